from collections.abc import Collection

import pytest

from scoring_operator.controller.job_inspector import JobInspector
from scoring_operator.controller.stall_detector import StallDetector
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.planner.types import Blocker, JobSnapshot
from tests.testkit.builders import a_job

PENDING = Blocker("ImagePullBackOff", "pods do not start", allows_probe=False)
REJECTED = Blocker("QuotaExceeded", "no more Jobs")
STORAGE = Blocker("StorageUnavailable", "no response")
NO_JOBS = JobSnapshot({}, frozenset(), frozenset())


class Inspector(JobInspector):
    """An inspector with a fixed result, which counts its inspections."""

    def __init__(self, result: Blocker | None) -> None:
        self.result = result
        self.inspections = 0

    async def pending_reason(self, open_batches: Collection[str]) -> Blocker | None:
        assert open_batches == ["job"]
        self.inspections += 1
        return self.result


def a_detector(result: Blocker | None = PENDING, *, stall: float = 0.0, inspection: float = 0.0) -> StallDetector:
    timings = ControllerTimings(stall_timeout=stall, inspection_interval=inspection)
    return StallDetector(Inspector(result), timings)


async def check(detector: StallDetector, *, jobs: JobSnapshot = NO_JOBS, progressing: bool = False) -> Blocker | None:
    return await detector.check(["job"], jobs, progressing=progressing)


async def test_stalled_run_gets_the_reason_of_its_pending_pods() -> None:
    assert await check(a_detector()) == PENDING


async def test_pods_are_not_inspected_before_the_stall_timeout() -> None:
    assert await check(a_detector(stall=60)) is None


async def test_pods_are_inspected_once_per_interval() -> None:
    inspector = Inspector(PENDING)
    detector = StallDetector(inspector, ControllerTimings(stall_timeout=0.0, inspection_interval=60))
    for _ in range(3):
        assert await check(detector) == PENDING
    assert inspector.inspections == 1


async def test_progress_ends_the_blocker_of_pending_pods() -> None:
    detector = a_detector()
    await check(detector)
    assert await check(detector, progressing=True) is None


async def test_running_pod_ends_the_blocker_of_pending_pods() -> None:
    detector = a_detector()
    await check(detector)
    running = JobSnapshot({"job": a_job("job", ready=True)}, frozenset(), frozenset())
    assert await check(detector, jobs=running) is None


async def test_inspection_without_a_finding_keeps_the_blocker() -> None:
    detector = a_detector(result=None)
    detector.record_creation(REJECTED)
    assert await check(detector) == REJECTED


@pytest.mark.parametrize("before", [None, PENDING, STORAGE], ids=["none", "pending", "storage"])
async def test_rejected_job_replaces_any_blocker(before: Blocker | None) -> None:
    detector = a_detector()
    detector.record_discovery(before)
    detector.record_creation(REJECTED)
    assert detector.blocker == REJECTED


@pytest.mark.parametrize(("before", "after"), [(REJECTED, None), (STORAGE, None), (PENDING, PENDING)])
async def test_pass_without_a_rejection_ends_only_a_blocker_that_allows_a_probe(
    before: Blocker, after: Blocker | None
) -> None:
    detector = a_detector()
    detector.record_discovery(before)
    detector.record_creation(None)
    assert detector.blocker == after


async def test_discovery_sets_and_clears_the_blocker() -> None:
    detector = a_detector()
    detector.record_discovery(STORAGE)
    assert await check(detector, progressing=True) == STORAGE
    detector.record_discovery(None)
    assert detector.blocker is None


async def test_next_check_is_due_after_the_stall_timeout_and_the_inspection_interval() -> None:
    assert 19.9 < a_detector(stall=20, inspection=10).next_check_in < 20.2
    inspected = a_detector(inspection=10)
    await check(inspected)
    assert 9.9 < inspected.next_check_in < 10.2
