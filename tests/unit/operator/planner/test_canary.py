from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.intervals import EMPTY, Positions
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.contract.outcome_message import parse_outcome_message
from scoring_operator.planner import canary
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.plan import make_plan
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.progress_codec import decode_progress, encode_progress
from scoring_operator.planner.queueing import Demand
from scoring_operator.planner.types import Plan
from scoring_operator.resources.status import build_status
from tests.testkit.builders import NOW, a_batch, a_job, a_message, a_progress, a_run, an_observation


def run_with_canary(jobs: int = 3, percent: int | str = "50%", **spec: Any) -> ScoringRun:
    return a_run(canary={"jobs": jobs, "maxFailedPercent": percent}, **spec)


def canary_progress(positions: str = "0-2", *, devices: int = 10, per_job: int = 1, **outcomes: str) -> Progress:
    """Return the progress of a run with a canary; its other devices wait."""
    progress = replace(a_progress(devices, per_job=per_job), canary=Positions.parse(positions))
    sets = {outcome: Positions.parse(text) for outcome, text in outcomes.items()}
    waiting = progress.waiting
    for done in sets.values():
        waiting = waiting - done
    reasons = {"ModelInvalid": sets["failed"]} if "failed" in sets else {}
    return replace(progress, outcomes=sets, waiting=waiting, reasons=reasons)


def plan_of(progress: Progress, run: ScoringRun | None = None, **observed: Any) -> Plan:
    return make_plan(run or run_with_canary(), an_observation(progress, **observed), NOW)


def created(plan: Plan) -> str:
    return str(Positions.from_spans(span for batch in plan.create.values() for span in batch.positions.spans))


def message_of(progress: Progress) -> str:
    observation = an_observation(progress)
    return str(build_status(run_with_canary(), plan_of(progress), observation, NOW)["message"])


@pytest.mark.parametrize(
    ("waiting", "per_job", "positions"),
    [("0-9", 1, "0-2"), ("2,4-9", 1, "2,4-5"), ("0-9", 2, "0-5"), ("0-1", 1, "0-1"), ("0-3", 50, "0-3"), ("", 1, "")],
)
def test_canary_has_the_first_devices_without_an_outcome(waiting: str, per_job: int, positions: str) -> None:
    assert str(canary.first_positions(run_with_canary(), Positions.parse(waiting), per_job)) == positions


def test_run_without_the_field_has_no_canary() -> None:
    assert canary.first_positions(a_run(), Positions.range_to(10), 1) == EMPTY


def test_only_the_jobs_of_the_canary_are_reserved_and_created() -> None:
    plan = plan_of(canary_progress())
    assert plan.progress is not None
    assert created(plan) == "0-2"
    assert (len(plan.progress.open_batches), str(plan.progress.waiting)) == (3, "3-9")


def test_nothing_is_created_while_a_job_of_the_canary_has_no_result() -> None:
    first = plan_of(canary_progress()).progress
    assert first is not None
    jobs = {name: a_job(name, complete=at < 2) for at, name in enumerate(first.open_batches)}
    done = JobResult(message=parse_outcome_message(a_message(1), 1))
    plan = plan_of(first, jobs=jobs, results=dict.fromkeys(list(jobs)[:2], done))
    assert plan.progress is not None
    assert (created(plan), plan.completion, plan.progress.count("scored")) == ("", None, 2)
    assert canary.describe(plan.progress) == "canary: 2 of 3 Jobs ended"


def test_retry_of_a_job_of_the_canary_belongs_to_it() -> None:
    progress = canary_progress("0-3", per_job=2, scored="0-1")
    retries = (a_batch("2", round=1), a_batch("3", round=1))
    progress = replace(progress, waiting=Positions.parse("4-9"), queued_batches=retries)
    assert created(plan_of(progress)) == "2-3"
    assert canary.describe(progress) == "canary: 1 of 2 Jobs ended"


def test_run_continues_at_once_when_its_canary_has_passed() -> None:
    plan = plan_of(canary_progress(scored="0", failed="1", empty="2"), run_with_canary(maxFailedDevices=1))
    assert plan.progress is not None
    assert (created(plan), plan.progress.canary, plan.requeue_after) == ("3-9", EMPTY, 0.0)


@pytest.mark.parametrize(
    ("failed", "percent", "fails"),
    [("0-1", "50%", True), ("0", "50%", False), ("0", 0, True), ("0-2", 100, False), ("0", "33.3%", True)],
)
def test_canary_fails_if_more_than_the_allowed_share_failed(failed: str, percent: int | str, *, fails: bool) -> None:
    progress = canary_progress(failed=failed, partial=str(Positions.parse("0-2") - Positions.parse(failed)))
    completion = plan_of(progress, run_with_canary(percent=percent, maxFailedDevices="100%")).completion
    assert bool(completion) is fails
    if completion:
        assert completion.reason == "CanaryFailed"


def test_failed_canary_ends_the_run_with_its_counts_and_the_next_step() -> None:
    plan = plan_of(canary_progress("0-5", devices=100, per_job=2, failed="0-4", scored="5"))
    assert plan.completion is not None
    assert plan.completion.message == (
        "5 of 6 devices of the canary (3 Jobs) failed, most often as ModelInvalid; canary.maxFailedPercent allows 50%, "
        "so no other Job was created; fix the cause that status.failures names, then create another run of the window"
    )
    assert plan.progress is not None
    assert (created(plan), plan.progress.count("notRun")) == ("", 94)


def test_budgets_of_the_run_apply_after_the_canary() -> None:
    run = run_with_canary(maxFailedDevices=0, maxEmptyDevices=0)
    assert plan_of(canary_progress(failed="0", empty="1"), run).completion is None
    completion = plan_of(canary_progress(failed="0", empty="1", scored="2"), run).completion
    assert completion is not None
    assert completion.reason == "MaxFailedDevicesExceeded"


def test_cancelled_run_ends_during_its_canary() -> None:
    cancelled = plan_of(canary_progress(), run_with_canary(cancel=True)).completion
    assert cancelled is not None
    assert cancelled.reason == "Cancelled"


def test_suspended_run_keeps_its_canary_until_it_resumes() -> None:
    suspended = plan_of(canary_progress(scored="0"), run_with_canary(suspend=True)).progress
    assert suspended is not None
    assert str(suspended.canary) == "0-2"
    assert created(plan_of(suspended)) == "1-2"


def test_canary_that_ends_while_suspended_has_passed_when_the_run_resumes() -> None:
    suspended = plan_of(canary_progress(scored="0-2"), run_with_canary(suspend=True)).progress
    assert suspended is not None
    assert created(plan_of(suspended)) == "3-9"


def test_canary_survives_a_restart_and_progress_without_it_has_none() -> None:
    progress = canary_progress(scored="0")
    assert decode_progress(encode_progress(progress)) == progress
    assert created(plan_of(replace(progress, canary=EMPTY))) == "1-9"


def test_run_with_fewer_batches_than_the_canary_completes() -> None:
    plan = plan_of(canary_progress("0-1", devices=2, scored="0-1"))
    assert plan.completion is not None
    assert plan.completion.condition == "Complete"


def test_run_uses_only_the_slots_of_its_canary() -> None:
    run = run_with_canary()
    assert Demand(run, "Running", canary_progress(scored="0")).jobs == 2
    assert Demand(run, "Running", replace(canary_progress(scored="0"), canary=EMPTY)).jobs == 9


def test_message_says_how_many_jobs_of_the_canary_have_ended() -> None:
    assert message_of(canary_progress(scored="0-1")) == "2 of 10 devices done; canary: 2 of 3 Jobs ended"
    assert message_of(canary_progress("")) == "0 of 10 devices done"
