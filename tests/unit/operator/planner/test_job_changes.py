from dataclasses import replace

import msgspec
import pytest

from scoring_operator.api.views import JobView
from scoring_operator.planner.job_changes import (
    HELD_WITHOUT_MARKS,
    deletion_blocker,
    held_blocker,
    mark_replaced,
    outdated_jobs,
    resumed_elsewhere,
    suspend_changes,
)
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import PlannerLimits
from tests.testkit.builders import a_batch, a_job, a_progress, an_observation, later

HELD = a_job("job-0", suspended=True, template="current")
STRIPPED = a_job("job-0", suspended=True)
PAUSED = a_job("job-0", suspended=True, marked=True)
ACTIVE = a_job("job-0")
SCALED_DOWN = a_job("job-0", parallelism=0)


def progress_of(count: int = 1, *, marks: bool = True) -> Progress:
    progress = a_progress(count)
    snapshot = msgspec.structs.replace(progress.snapshot, marks_suspension=marks)
    return replace(progress, snapshot=snapshot, open_batches={f"job-{n}": a_batch(str(n)) for n in range(count)})


def jobs_of(*jobs: JobView) -> dict[str, JobView]:
    return {f"job-{number}": job for number, job in enumerate(jobs)}


@pytest.mark.parametrize(
    ("job", "marks", "resumed"),
    [(PAUSED, True, True), (HELD, True, False), (HELD, False, True), (ACTIVE, True, False)],
    ids=["own", "held", "held in an earlier operator's run", "active"],
)
def test_only_jobs_that_the_operator_suspended_are_resumed(
    job: JobView,
    marks: bool,  # noqa: FBT001  # a table
    resumed: bool,  # noqa: FBT001  # a table
) -> None:
    jobs = an_observation(jobs=jobs_of(job)).jobs
    assert suspend_changes(progress_of(marks=marks), jobs, suspended=False) == ({"job-0": False} if resumed else {})


def test_finished_jobs_are_neither_suspended_nor_resumed() -> None:
    jobs = an_observation(jobs=jobs_of(a_job(failed=True), a_job())).jobs
    assert suspend_changes(progress_of(2), jobs, suspended=True) == {"job-1": True}


@pytest.mark.parametrize(
    ("jobs", "held"),
    [
        ([HELD, HELD], True),
        ([HELD, ACTIVE], False),
        ([HELD, PAUSED], False),
        ([HELD, a_job(complete=True)], True),
        ([HELD, SCALED_DOWN], True),
        ([a_job("job-0", suspended=True, marked=True, parallelism=0)], False),
        ([], False),
    ],
)
def test_run_is_held_while_another_controller_suspends_every_unfinished_job(
    jobs: list[JobView],
    held: bool,  # noqa: FBT001  # a table
) -> None:
    assert (held_blocker(progress_of(2), an_observation(jobs=jobs_of(*jobs)).jobs) is not None) is held


@pytest.mark.parametrize(
    ("jobs", "unmarked"),
    [([STRIPPED], True), ([HELD, STRIPPED], True), ([HELD], False), ([SCALED_DOWN], False)],
    ids=["stripped", "one of two", "held", "parallelism 0"],
)
def test_blocker_of_held_jobs_without_annotations_names_the_policy_that_removes_them(
    jobs: list[JobView],
    unmarked: bool,  # noqa: FBT001  # a table
) -> None:
    blocker = held_blocker(progress_of(2), an_observation(jobs=jobs_of(*jobs)).jobs)
    assert blocker is not None
    assert (blocker is HELD_WITHOUT_MARKS, "keep fleetscore.dev/*" in blocker.message) == (unmarked, unmarked)
    assert blocker.message.startswith("Jobs are suspended by another controller, such as a queue")


def test_suspended_job_without_annotations_is_not_resumed() -> None:
    jobs = an_observation(jobs=jobs_of(STRIPPED)).jobs
    assert suspend_changes(progress_of(), jobs, suspended=False) == {}


def test_job_that_finalizers_keep_from_being_deleted_is_named() -> None:
    kept = a_job("job-1", deleting=True)
    metadata = msgspec.structs.replace(kept.metadata, finalizers=("x.example/hold", "y.example/\x1bhold"))
    blocker = deletion_blocker([ACTIVE, msgspec.structs.replace(kept, metadata=metadata)])
    assert blocker is not None
    assert blocker.message.startswith("Job job-1 is being deleted, and finalizers keep it: x.example/hold, y.example/")
    assert (blocker.limits_jobs, blocker.allows_probe, blocker.message.isprintable()) == (False, False, True)
    assert deletion_blocker([ACTIVE]) is None


@pytest.mark.parametrize(
    ("finalizers", "named"),
    [(("a", "b", "c", "d"), "a, b, c;"), (("x" * 301,), f"{'x' * 95} ... {'x' * 200};")],
)
def test_three_finalizers_are_named_in_at_most_300_characters(finalizers: tuple[str, ...], named: str) -> None:
    kept = a_job("job-1", deleting=True)
    metadata = msgspec.structs.replace(kept.metadata, finalizers=finalizers)
    blocker = deletion_blocker([msgspec.structs.replace(kept, metadata=metadata)])
    assert blocker is not None
    assert f"finalizers keep it: {named}" in blocker.message


def test_job_of_a_paused_run_that_another_controller_resumed_is_found_by_its_mark() -> None:
    jobs = an_observation(jobs=jobs_of(a_job(marked=True), ACTIVE, PAUSED)).jobs
    assert resumed_elsewhere(progress_of(3), jobs) == ("job-0",)


@pytest.mark.parametrize(
    ("job", "outdated"),
    [
        (a_job(template="old"), True),
        (a_job(), False),
        (a_job(template="new"), False),
        (a_job(template="old", ready=True), False),
        (a_job(template="old", suspended=True), False),
        (a_job(template="old", deleting=True), False),
        (a_job(template="old", created="2026-11-24T12:00:31Z"), False),
        (a_job(template="old", created="soon"), False),
    ],
    ids=["old", "without the annotation", "current", "started", "suspended", "deleting", "young", "no time"],
)
def test_job_is_outdated_if_no_pod_has_started_and_settings_have_changed(
    job: JobView,
    outdated: bool,  # noqa: FBT001  # a table
) -> None:
    observation = replace(an_observation(jobs=jobs_of(job)), template="new")
    found = outdated_jobs(progress_of(), observation, later(60), PlannerLimits(replace_delay=30))
    assert found == (("job-0",) if outdated else ())


def test_no_job_is_outdated_if_its_scorer_runs_or_the_settings_are_unknown() -> None:
    observation = an_observation(jobs=jobs_of(a_job(template="old")), results={"job-0": JobResult()})
    assert outdated_jobs(progress_of(), replace(observation, template="new"), later(60), PlannerLimits()) == ()
    assert outdated_jobs(progress_of(), replace(observation, results={}), later(60), PlannerLimits()) == ()


def test_replaced_jobs_are_marked_in_progress() -> None:
    progress = mark_replaced(progress_of(2), ["job-0"])
    assert [batch.replaced for batch in progress.open_batches.values()] == [True, False]
    assert mark_replaced(progress, []) is progress
