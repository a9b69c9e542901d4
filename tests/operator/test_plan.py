from dataclasses import replace
from typing import Any

import msgspec
import pytest

from scoring_operator.api.intervals import Positions
from scoring_operator.contract.outcome_message import parse_outcome_message
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.plan import make_plan, needs_inspection
from scoring_operator.planner.progress import Completion, Progress, finish
from scoring_operator.planner.types import Blocker, Observation, Plan
from tests.testkit.builders import NOW, a_job, a_message, a_progress, a_run, later


def going(progress: Progress, **spec: Any) -> Plan:
    return make_plan(a_run(**spec), Observation(progress=progress), NOW)


def with_outcomes(progress: Progress, **texts: str) -> Progress:
    outcomes = {outcome: Positions.parse(text) for outcome, text in texts.items()}
    left = progress.waiting
    for positions in outcomes.values():
        left = left - positions
    return replace(progress, outcomes=outcomes, waiting=left)


def test_jobs_are_created_up_to_parallelism_and_marked_before() -> None:
    decided = going(a_progress(10), parallelism=4)
    assert len(decided.create) == 4
    assert decided.save
    assert decided.progress is not None
    assert set(decided.create) <= set(decided.progress.open_batches)


def test_the_share_of_the_operators_limit_bounds_as_well() -> None:
    assert len(make_plan(a_run(), Observation(progress=a_progress(10), share=2), NOW).create) == 2


def test_marks_made_ahead_need_no_saving_when_their_jobs_are_created() -> None:
    first = going(a_progress(10), parallelism=2)
    done = {name: a_job(name, complete=True) for name in first.create}
    words = {name: JobResult(failure_reason="JobLost") for name in first.create}
    seen = Observation(progress=first.progress, jobs=done, words=words)
    second = make_plan(a_run(parallelism=2), seen, NOW)
    assert len(second.create) == 2
    assert not second.save


def test_already_scored_devices_get_no_job() -> None:
    decided = going(a_progress(4, already="1-2"))
    assert sorted(str(batch.positions) for batch in decided.create.values()) == ["0", "3"]


@pytest.mark.parametrize(
    ("spec", "outcomes", "reason"),
    [
        ({"maxFailedDevices": 1}, {"failed": "0-1"}, "MaxFailedDevicesExceeded"),
        ({"maxFailedDevices": "10%"}, {"failed": "0-1"}, "MaxFailedDevicesExceeded"),
        ({"maxFailedDevices": "11%"}, {"failed": "0-1"}, None),
        ({"maxEmptyDevices": "50%"}, {"empty": "0-5"}, "NoData"),
        ({"maxEmptyDevices": "50%"}, {"empty": "0-4"}, None),
        ({"cancel": True}, {"scored": "0"}, "Cancelled"),
        ({}, {"scored": "0-9"}, "AllDevicesDone"),
        ({"suspend": True}, {"scored": "0-9"}, "AllDevicesDone"),
    ],
)
def test_a_run_ends_as_soon_as_its_end_is_certain(
    spec: dict[str, Any], outcomes: dict[str, str], reason: str | None
) -> None:
    end = going(with_outcomes(a_progress(10), **outcomes), **spec).end
    assert (end.reason if end else None) == reason


def test_what_has_no_outcome_at_the_end_was_not_run() -> None:
    decided = going(with_outcomes(a_progress(10), scored="0-3"), cancel=True)
    assert decided.progress is not None
    assert decided.progress.count("notRun") == 6
    assert decided.save


def test_the_pending_deadline_counts_until_the_first_pod_and_the_active_one_from_it() -> None:
    run = a_run(pendingDeadlineSeconds=10, activeDeadlineSeconds=100)
    fresh = a_progress(2)
    late = make_plan(run, Observation(progress=fresh), later(10)).end
    assert late is not None
    assert late.reason == "PendingDeadlineExceeded"
    name = next(iter(make_plan(run, Observation(progress=fresh), NOW).create))
    marked = make_plan(run, Observation(progress=fresh), NOW).progress
    started = make_plan(run, Observation(progress=marked, jobs={name: a_job(name, ready=True)}), later(9))
    assert started.end is None
    assert make_plan(run, Observation(progress=started.progress), later(108)).end is None
    end = make_plan(run, Observation(progress=started.progress), later(109)).end
    assert end is not None
    assert end.reason == "DeadlineExceeded"


def test_a_pod_on_a_node_whose_clock_is_ahead_started_now() -> None:
    run, marked = a_run(), make_plan(a_run(), Observation(progress=a_progress(1)), NOW).progress
    assert marked is not None
    name = next(iter(marked.open_batches))
    word = JobResult(failure_reason="JobLost", started_at=later(3600))
    seen = Observation(progress=marked, jobs={name: a_job(name, failed=True)}, words={name: word})
    decided = make_plan(run, seen, later(5)).progress
    assert decided is not None
    assert decided.clock.first_pod == (later(5), 5.0)


@pytest.mark.parametrize(("suspend", "ahead"), [(True, ""), (False, "earlier")])
def test_time_in_which_a_run_stands_still_does_not_count(suspend: bool, ahead: str) -> None:  # noqa: FBT001  # a table
    still = make_plan(
        a_run(suspend=suspend, pendingDeadlineSeconds=10), Observation(progress=a_progress(2), ahead=ahead), later(5)
    )
    assert still.save
    waited = make_plan(
        a_run(suspend=suspend, pendingDeadlineSeconds=10), Observation(progress=still.progress, ahead=ahead), later(900)
    )
    assert waited.end is None
    again = make_plan(a_run(pendingDeadlineSeconds=10), Observation(progress=waited.progress), later(1000))
    assert again.end is None
    assert again.wake == 5


def test_a_suspended_run_suspends_its_jobs_and_creates_none() -> None:
    first = going(a_progress(3), parallelism=2)
    jobs = {name: a_job(name) for name in first.create}
    decided = make_plan(a_run(suspend=True), Observation(progress=first.progress, jobs=jobs), NOW)
    assert decided.suspend == dict.fromkeys(jobs, True)
    assert not decided.create
    paused = {name: a_job(name, suspended=True) for name in jobs}
    assert make_plan(
        a_run(parallelism=2), Observation(progress=decided.progress, jobs=paused), NOW
    ).suspend == dict.fromkeys(jobs, False)


def test_a_lower_parallelism_takes_effect_as_jobs_finish() -> None:
    first = going(a_progress(10), parallelism=4)
    jobs = {name: a_job(name) for name in first.create}
    decided = make_plan(a_run(parallelism=1), Observation(progress=first.progress, jobs=jobs), NOW)
    assert not decided.create
    assert not decided.suspend


@pytest.mark.parametrize(("ended", "free"), [({"complete": True}, 2), ({"failed": True}, 0)])
def test_a_job_that_completed_leaves_its_place_before_its_pod_is_heard_and_a_failed_one_does_not(
    ended: Any, free: int
) -> None:
    first = going(a_progress(10), parallelism=2)
    jobs = {name: a_job(name, **ended) for name in first.create}
    decided = make_plan(a_run(parallelism=2), Observation(progress=first.progress, jobs=jobs), NOW)
    assert len(decided.create) == free


def test_while_the_api_server_refuses_one_job_per_pass_is_tried() -> None:
    trouble = Blocker("QuotaExceeded", "full")
    assert len(make_plan(a_run(), Observation(progress=a_progress(10), trouble=trouble), NOW).create) == 1


def test_while_pods_cannot_start_no_job_is_created() -> None:
    trouble = Blocker("ImagePullBackOff", "no image", allows_probe=False)
    assert not make_plan(a_run(), Observation(progress=a_progress(10), trouble=trouble), NOW).create


def test_a_run_that_was_not_frozen_asks_for_its_devices() -> None:
    assert make_plan(a_run(), Observation(), NOW).discover


@pytest.mark.parametrize(
    ("spec", "seen", "phase"),
    [
        ({"suspend": True}, Observation(), "Suspended"),
        ({}, Observation(ahead="earlier"), "Queued"),
        ({"overlapPolicy": "Skip"}, Observation(ahead="earlier"), "Skipped"),
        ({"cancel": True}, Observation(), "Cancelled"),
        ({}, Observation(refusal=Blocker("FleetNotFound", "no such fleet")), "Failed"),
    ],
)
def test_a_run_that_may_not_begin_asks_for_nothing(spec: dict[str, Any], seen: Observation, phase: str) -> None:
    decided = make_plan(a_run(**spec), seen, NOW)
    assert (decided.phase, decided.discover) == (phase, False)


def test_a_run_without_news_of_its_devices_ends_at_its_pending_deadline() -> None:
    run = a_run(status={"startTime": "2026-11-24T12:00:00Z"}, pendingDeadlineSeconds=60)
    trouble = Blocker("StorageUnavailable", "no answer")
    end = make_plan(run, Observation(trouble=trouble), later(60)).end
    assert end is not None
    assert end.message.endswith(": no answer")


def test_an_end_once_saved_stays() -> None:
    ended = finish(a_progress(3), Completion("Complete", "AllDevicesDone", "", NOW))
    decided = make_plan(a_run(cancel=True), Observation(progress=ended), later(5))
    assert decided.end == ended.completion


def test_a_run_that_will_not_fit_its_window_says_so_once() -> None:
    progress = with_outcomes(a_progress(1000), scored="0")
    clock = msgspec.structs.replace(progress.clock, first_pod=(NOW, 0.0))
    decided = make_plan(a_run(), Observation(progress=replace(progress, clock=clock)), later(120))
    assert decided.slow
    assert not make_plan(a_run(), Observation(progress=decided.progress), later(121)).slow


def rebuilt(progress: Progress) -> Progress:
    return replace(progress, snapshot=msgspec.structs.replace(progress.snapshot, rebuilt=True))


def test_after_progress_was_lost_each_batch_is_looked_for_before_it_is_run() -> None:
    run = a_run(parallelism=2)
    first = make_plan(run, Observation(progress=rebuilt(a_progress(3))), NOW)
    assert first.progress is not None
    names = list(first.progress.open_batches)
    assert (first.create, first.save, first.wake, len(names)) == ({}, True, 0.0, 3)
    doubt = Observation(progress=first.progress, doubtful=set(names))
    assert list(needs_inspection(doubt)) == names
    waiting = make_plan(run, doubt, NOW)
    assert (waiting.create, waiting.progress) == ({}, first.progress)
    said = {
        names[0]: JobResult(message=parse_outcome_message(a_message(1), 1), missing=True),
        names[1]: JobResult(missing=True),
    }
    heard = make_plan(run, replace(doubt, words=said, jobs={names[2]: a_job(names[2])}), NOW)
    assert heard.progress is not None
    assert heard.progress.count("scored") == 1
    assert list(heard.create) == [names[1]]


@pytest.mark.parametrize(
    ("spec", "seen", "phase"),
    [
        ({}, {}, "Pending"),
        ({"suspend": True}, {}, "Suspended"),
        ({"overlapPolicy": "Skip"}, {"ahead": "earlier"}, "Queued"),
        ({"cancel": True}, {}, "Cancelled"),
        ({}, {"refusal": Blocker("DeviceListLost", "gone")}, "Failed"),
    ],
)
@pytest.mark.parametrize("progress", [None, a_progress(3)])
def test_a_run_that_lost_its_list_asks_for_it_unless_it_stands_still_or_ends(
    spec: dict[str, Any], seen: dict[str, Any], phase: str, progress: Progress | None
) -> None:
    decided = make_plan(a_run(**spec), Observation(progress=progress, lost=True, **seen), NOW)
    assert (decided.phase, decided.discover) == (phase, phase == "Pending")
    if decided.end and progress:
        assert decided.progress is not None
        assert (decided.save, decided.progress.count("notRun")) == (True, 3)


def test_a_run_that_lost_its_list_waits_for_it_as_long_as_it_might_have_run() -> None:
    run = a_run(status={"startTime": "2026-11-24T12:00:00Z"}, pendingDeadlineSeconds=60, activeDeadlineSeconds=100)
    assert make_plan(run, Observation(lost=True), later(159)).end is None
    assert make_plan(run, Observation(lost=True), later(160)).end is not None


def test_a_job_that_was_looked_at_or_is_assumed_to_be_there_is_not_looked_at_again() -> None:
    first = going(a_progress(3))
    names = list(first.create)
    seen = Observation(
        progress=first.progress,
        jobs={name: a_job(name, complete=True) for name in names[:2]},
        words={names[0]: JobResult(missing=True)},
        assumed={names[2]},
    )
    assert list(needs_inspection(seen)) == [names[1]]
    assert list(needs_inspection(Observation())) == []
