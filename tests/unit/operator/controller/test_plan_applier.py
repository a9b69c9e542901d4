from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.controller.job_inspector import JobInspector
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.controller.job_writer import Creation, JobWriter
from scoring_operator.controller.plan_applier import Applied, PlanApplier
from scoring_operator.controller.run_state import RunStateStore
from scoring_operator.controller.stall_detector import StallDetector
from scoring_operator.controller.status_writer import StatusWriter
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.errors import LeaseLost, RunBlocked, Unavailable
from scoring_operator.planner.types import Blocker, Plan, RunState
from scoring_operator.resources.jobs import ScorerImage
from tests.testkit.builders import a_batch, a_progress, a_run, an_observation
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import a_fleet
from tests.unit.operator.controller.in_memory_client import InMemoryClient

STATE = RunState(a_progress(3), ["a", "b", "c"], a_fleet("scoring"), frozenset(), None, missing=False)
RUNNING = a_run(status={"phase": "Running"})
REJECTED = Blocker("QuotaExceeded", "no more Jobs")


class Steps(list[str]):
    """The steps of an execution, in order, and what they return.

    Attributes:
        unsaved: Whether the state differs from the saved one.
        seconds_until_save: The seconds until a save is due.
        failure: The error of the next save or discovery.
        creation_failure: The error of the next creation.
        rejection: The rejection of the next creation.
        creation: The result of the next creation, if it is not only a rejection.
        next_status: The seconds until the status is due.
    """

    unsaved = True
    seconds_until_save = 0.0
    failure: Exception | None = None
    creation_failure: Exception | None = None
    rejection: Blocker | None = None
    creation: Creation | None = None
    next_status: float | None = None


class States(RunStateStore):
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    @property
    def unsaved(self) -> bool:
        return self._steps.unsaved

    @property
    def seconds_until_save(self) -> float:
        return self._steps.seconds_until_save

    async def save(self) -> RunState:
        return self._do("save")

    async def discover(self, *_: Any, **__: Any) -> RunState:
        return self._do("discover")

    def _do(self, step: str) -> RunState:
        self._steps.append(step)
        if self._steps.failure:
            raise self._steps.failure
        return STATE


class Writer(JobWriter):
    def __init__(self, steps: Steps) -> None:
        super().__init__(InMemoryClient(), ScorerImage("scorer:test"), JobTracker(30.0))
        self._steps = steps

    async def create(self, *arguments: Any, **_: Any) -> Creation:
        self._steps.append(f"create {len(arguments[-1])}")
        if self._steps.creation_failure:
            raise self._steps.creation_failure
        return self._steps.creation or Creation(self._steps.rejection)

    async def create_report(self, *_: Any, **__: Any) -> Blocker | None:
        self._steps.append("create report")
        return self._steps.rejection

    async def suspend(self, *_: Any, **__: Any) -> None:
        self._steps.append("suspend")

    async def delete(self, *_: Any, unchanged: bool = False) -> None:
        self._steps.append("replace" if unchanged else "delete")


class Status(StatusWriter):
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def write(self, *arguments: Any, **_: Any) -> tuple[ScoringRun, float | None]:
        self._steps.append("status")
        return arguments[0], self._steps.next_status

    async def delete_run(self) -> None:
        self._steps.append("delete run")


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def stalls() -> StallDetector:
    inspector = JobInspector(RUNNING.ref, InMemoryClient(), InMemoryStorage([]), 5.0)
    return StallDetector(inspector, ControllerTimings())


@pytest.fixture
def applier(steps: Steps, stalls: StallDetector) -> PlanApplier:
    return PlanApplier(States(steps), stalls, JobTracker(30.0), Writer(steps), Status(steps), ControllerTimings())


async def apply(applier: PlanApplier, plan: Plan) -> Applied:
    return await applier.apply(RUNNING, plan, an_observation(), STATE)


def a_plan(jobs: int = 0, **options: Any) -> Plan:
    return Plan("Running", create={f"job-{n}": a_batch("0") for n in range(jobs)}, **options)


async def test_jobs_are_created_after_the_reservation_is_saved(applier: PlanApplier, steps: Steps) -> None:
    applied = await apply(applier, a_plan(2, save=True))
    assert steps == ["save", "suspend", "create 2", "save", "status", "delete", "replace"]
    assert (applied.state, applied.requeue_after) == (STATE, 1.0)


async def test_failed_save_prevents_every_other_write(applier: PlanApplier, steps: Steps) -> None:
    steps.failure = Unavailable("no response")
    with pytest.raises(Unavailable):
        await apply(applier, a_plan(2, save=True))
    assert steps == ["save"]


async def test_status_and_deletions_wait_for_a_save_that_is_not_due(applier: PlanApplier, steps: Steps) -> None:
    steps.seconds_until_save = 1.5
    assert (await apply(applier, a_plan())).requeue_after == 1.5
    assert steps == ["suspend"]


async def test_new_phase_is_saved_and_reported_at_once(applier: PlanApplier, steps: Steps) -> None:
    steps.seconds_until_save = 1.5
    await apply(applier, replace(a_plan(), phase="Suspended"))
    assert steps == ["suspend", "save", "status", "delete", "replace"]


async def test_pass_is_requeued_at_the_earliest_due_time(applier: PlanApplier, steps: Steps) -> None:
    assert (await apply(applier, a_plan())).requeue_after is None
    steps.next_status = 0.5
    assert (await apply(applier, a_plan(requeue_after=3.0))).requeue_after == 0.5
    assert (await apply(applier, a_plan(requeue_after=0.1))).requeue_after == 0.1


async def test_more_than_200_jobs_are_continued_at_once_unless_one_was_rejected(
    applier: PlanApplier, steps: Steps
) -> None:
    assert (await apply(applier, a_plan(201))).requeue_after == 0.0
    assert (await apply(applier, a_plan(200))).requeue_after == 1.0
    steps.rejection = REJECTED
    assert (await apply(applier, a_plan(201))).requeue_after == 1.0
    steps.creation = Creation(rejected={"job-0": REJECTED}, created=["job-1"])
    assert (await apply(applier, a_plan(201))).requeue_after == 0.0
    steps.creation = Creation(rejected={"job-0": REJECTED})
    assert (await apply(applier, a_plan(201))).requeue_after == 1.0


async def test_rejection_is_the_blocker_until_a_pass_without_one(
    applier: PlanApplier, steps: Steps, stalls: StallDetector
) -> None:
    steps.rejection = REJECTED
    await apply(applier, a_plan(create_report=True))
    assert "create report" in steps
    blockers = [stalls.blocker]
    await apply(applier, a_plan())
    assert [*blockers, stalls.blocker] == [REJECTED, None]


async def test_lost_lease_during_the_creation_is_raised_after_the_save(applier: PlanApplier, steps: Steps) -> None:
    steps.creation_failure = LeaseLost("not the leader")
    with pytest.raises(LeaseLost):
        await apply(applier, a_plan(1))
    assert steps == ["suspend", "create 1", "save", "status", "delete", "replace"]


@pytest.mark.parametrize("permanent", [False, True])
async def test_discovery_follows_the_status_and_is_repeated_after_5_seconds(
    applier: PlanApplier, steps: Steps, stalls: StallDetector, *, permanent: bool
) -> None:
    plan = Plan("Pending", discover_devices=True)
    steps.failure = RunBlocked("StorageUnavailable", "no response", permanent=permanent)
    assert (await apply(applier, plan)).requeue_after == 5.0
    blockers = [stalls.blocker]
    steps.failure = None
    assert (await apply(applier, plan)).requeue_after == 0.0
    assert [*blockers, stalls.blocker] == [Blocker("StorageUnavailable", "no response", permanent=permanent), None]
    assert steps == ["status", "discover"] * 2


async def test_run_is_deleted_before_anything_else(applier: PlanApplier, steps: Steps) -> None:
    await apply(applier, Plan("Complete", delete_run=True))
    assert steps[0] == "delete run"
