from dataclasses import replace
from typing import Any

import msgspec

from scoring_operator.api.intervals import Positions
from scoring_operator.contract.outcome_message import parse_outcome_message
from scoring_operator.planner.batching import next_jobs
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.plan import make_plan, needs_inspection
from scoring_operator.planner.progress import Progress
from tests.testkit.builders import NOW, a_batch, a_job, a_message, a_progress, a_run, an_observation


def select(progress: Progress, free_slots: int, **observed: Any) -> tuple[Progress, list[str], bool]:
    return next_jobs(a_run(parallelism=200), progress, an_observation(progress, **observed), free_slots)


def test_100_batches_are_reserved_beyond_the_created_ones() -> None:
    progress, names, reserved = select(a_progress(1000), 10)
    assert (len(names), reserved) == (10, True)
    assert names == list(progress.open_batches)[:10]
    assert len(progress.open_batches) == 110


def test_job_of_one_device_is_named_after_it() -> None:
    _, names, _ = select(a_progress(2), 2, devices=["fan-1", "press-7"])
    assert [name.rpartition("-")[0] for name in names] == ["hourly-fan-1", "hourly-press-7"]
    _, packed, _ = select(a_progress(4, per_job=2), 1, devices=["a", "b", "c", "d"])
    assert packed[0].rpartition("-")[0] == "hourly"


def test_parallelism_limits_the_batches_that_are_reserved_ahead() -> None:
    progress, _, _ = next_jobs(a_run(parallelism=7), a_progress(1000), an_observation(a_progress(1000)), 3)
    assert len(progress.open_batches) == 10


def test_open_circuit_reserves_nothing_ahead() -> None:
    progress, names, _ = select(replace(a_progress(1000), consecutive_failures=20), 1)
    assert list(progress.open_batches) == names
    assert len(names) == 1


def test_reserved_batch_needs_no_save_when_its_job_is_created() -> None:
    first = make_plan(a_run(parallelism=2), an_observation(a_progress(10)), NOW)
    done = {name: a_job(name, complete=True) for name in first.create}
    results = {name: JobResult(failure_reason="JobLost") for name in first.create}
    observation = an_observation(first.progress, jobs=done, results=results)
    second = make_plan(a_run(parallelism=2), observation, NOW)
    assert len(second.create) == 2
    assert not second.save


def test_retries_are_reserved_before_new_batches() -> None:
    retry = a_batch("3", round=1)
    progress = replace(a_progress(10), queued_batches=(retry,), waiting=Positions.parse("4-9"))
    progress, names, _ = select(progress, 1)
    assert progress.open_batches[names[0]] == retry
    assert progress.queued_batches == ()


def test_job_that_exists_or_was_seen_is_not_created() -> None:
    progress, names, _ = select(a_progress(4), 4)
    visible, assumed, seen, free = names
    _, again, reserved = select(progress, 4, jobs={visible: a_job(visible)}, assumed=[assumed], seen=[seen])
    assert (again, reserved) == ([free], False)


def test_job_of_a_batch_that_is_recorded_as_created_is_not_created() -> None:
    batches = {"lost": a_batch("0", created=True), "reserved": a_batch("1")}
    progress = replace(a_progress(2), open_batches=batches, waiting=Positions())
    assert select(progress, 2)[1] == ["reserved"]


def test_unverified_job_is_created_after_it_was_inspected() -> None:
    progress, names, _ = select(a_progress(2), 2)
    assert select(progress, 2, unverified=names)[1] == []
    inspected = {names[0]: JobResult(missing=True)}
    assert select(progress, 2, unverified=names, results=inspected)[1] == [names[0]]


def test_rebuilt_progress_inspects_each_batch_before_its_job_is_created() -> None:
    run, lost = a_run(parallelism=2), a_progress(3)
    rebuilt = replace(lost, snapshot=msgspec.structs.replace(lost.snapshot, rebuilt=True))
    first = make_plan(run, an_observation(rebuilt), NOW)
    assert first.progress is not None
    names = list(first.progress.open_batches)
    assert (first.create, first.save, first.requeue_after, len(names)) == ({}, True, 0.0, 3)
    observation = an_observation(first.progress, unverified=names)
    assert list(needs_inspection(observation.state, observation.jobs)) == names
    waiting = make_plan(run, observation, NOW)
    assert (waiting.create, waiting.progress) == ({}, first.progress)
    results = {
        names[0]: JobResult(message=parse_outcome_message(a_message(1), 1), missing=True),
        names[1]: JobResult(missing=True),
    }
    jobs = {names[2]: a_job(names[2])}
    inspected = an_observation(first.progress, unverified=names, results=results, jobs=jobs)
    plan = make_plan(run, inspected, NOW)
    assert plan.progress is not None
    assert plan.progress.count("scored") == 1
    assert list(plan.create) == [names[1]]


def test_rejected_jobs_are_created_again_after_all_others_and_in_their_order() -> None:
    progress, names, _ = select(a_progress(6), 6)
    rejected = [names[3], "another", names[0]]
    assert select(progress, 5, rejected=rejected)[1] == [names[1], names[2], names[4], names[5], names[3]]
    assert select(progress, 6, rejected=rejected)[1][4:] == [names[3], names[0]]


def test_new_batches_are_reserved_while_all_reserved_ones_are_rejected() -> None:
    progress, names, _ = next_jobs(a_run(parallelism=1), a_progress(10), an_observation(), 1)
    rejected = list(progress.open_batches)
    following, new, reserved = select(progress, 1, rejected=rejected)
    assert (reserved, len(new), new[0] in rejected, names[0] in rejected) == (True, 1, False, True)
    assert len(following.open_batches) > len(rejected)


def test_no_batch_is_reserved_while_1000_jobs_are_rejected() -> None:
    progress, names, _ = select(a_progress(3000), 1000)
    progress = replace(progress, open_batches={name: progress.open_batches[name] for name in names})
    assert select(progress, 1, rejected=names[:999])[1:] == ([names[999]], False)
    assert select(progress, 2, rejected=names)[1:] == (names[:2], False)
