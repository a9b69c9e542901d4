from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from scoring_operator.api.fleets import Fleet
from scoring_operator.controller.job_inspector import Inspection, JobInspector
from scoring_operator.controller.job_writer import Creation
from scoring_operator.controller.stall_detector import StallDetector
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress import Batch
from scoring_operator.planner.types import Blocker, JobSnapshot
from tests.testkit.builders import a_batch, a_job, an_observation
from tests.testkit.running_controller import a_fleet

PENDING = Blocker("ImagePullBackOff", "pods do not start", allows_probe=False)
REJECTED = Blocker("QuotaExceeded", "no more Jobs")
STORAGE = Blocker("StorageUnavailable", "no response")
WAITING = JobSnapshot({"job": a_job("job")}, frozenset(), frozenset())
READY = JobSnapshot({"job": a_job("job", ready=True)}, frozenset(), frozenset())


class Inspector(JobInspector):
    """An inspector with a fixed result, which counts its inspections."""

    def __init__(self, result: Inspection) -> None:
        self.result = result
        self.inspections: list[list[str]] = []

    async def inspect_waiting(self, names: Sequence[str], batches: Mapping[str, Batch], fleet: Fleet) -> Inspection:
        assert set(names) <= batches.keys()
        assert fleet.name == "default"
        self.inspections.append(list(names))
        return self.result


def a_detector(
    result: Blocker | None = PENDING, *, stall: float = 0.0, inspection: float = 0.0, **found: object
) -> StallDetector:
    timings = ControllerTimings(stall_timeout=stall, inspection_interval=inspection)
    return StallDetector(Inspector(Inspection(result, **found)), timings)  # type: ignore[arg-type]  # fields


async def check(detector: StallDetector, *, jobs: JobSnapshot = WAITING, progressing: bool = False) -> Blocker | None:
    batches = {"job": a_batch(), **{name: a_batch() for name in jobs.visible}}
    return (await detector.check(batches, jobs, a_fleet("scoring"), progressing=progressing)).blocker


async def test_stalled_run_gets_the_reason_of_its_pending_pods() -> None:
    assert await check(a_detector()) == PENDING


async def test_job_that_finalizers_keep_is_the_blocker_before_transient_ones() -> None:
    jobs = JobSnapshot({"job": a_job("job", deleting=True)}, frozenset(), frozenset())
    for found in (None, PENDING):
        blocker = await check(a_detector(found), jobs=jobs)
        assert blocker is not None
        assert blocker.reason == "JobTerminating"
    permanent = replace(PENDING, permanent=True)
    assert await check(a_detector(permanent), jobs=jobs) == permanent


async def test_pods_are_not_inspected_before_the_stall_timeout() -> None:
    assert await check(a_detector(stall=60)) is None


async def test_pods_are_inspected_once_per_interval() -> None:
    inspector = Inspector(Inspection(PENDING))
    detector = StallDetector(inspector, ControllerTimings(stall_timeout=0.0, inspection_interval=60))
    for _ in range(3):
        assert await check(detector) == PENDING
    assert inspector.inspections == [["job"]]


async def test_job_without_a_ready_pod_in_two_checks_is_inspected_while_others_run() -> None:
    inspector = Inspector(Inspection(PENDING))
    detector = StallDetector(inspector, ControllerTimings(stall_timeout=60, inspection_interval=0.0))
    both = JobSnapshot({"job": a_job("job", ready=True), "slow": a_job("slow")}, frozenset(), frozenset())
    assert [await check(detector, jobs=both) for _ in range(3)] == [None, None, None]
    assert inspector.inspections == [["slow"], ["slow"]]


@pytest.mark.parametrize("job", [a_job("job", suspended=True), a_job("job", failed=True)], ids=["suspended", "failed"])
async def test_suspended_and_finished_jobs_are_not_inspected(job: object) -> None:
    detector = a_detector()
    assert await check(detector, jobs=JobSnapshot({"job": job}, frozenset(), frozenset())) is None  # type: ignore[dict-item]  # a Job


async def test_jobs_that_were_inspected_last_are_inspected_after_others() -> None:
    inspector = Inspector(Inspection())
    detector = StallDetector(inspector, ControllerTimings(stall_timeout=0.0, inspection_interval=0.0))
    jobs = JobSnapshot({f"job-{n:03}": a_job(f"job-{n:03}") for n in range(150)}, frozenset(), frozenset())
    for _ in range(2):
        await check(detector, jobs=jobs)
    assert inspector.inspections[0][0] == "job-000"
    assert inspector.inspections[1][0] == "job-100"


async def test_results_of_inspected_jobs_end_a_stall() -> None:
    results = {"job": JobResult(ended=True)}
    detector = a_detector(result=None, results=results)
    detector.record_discovery(PENDING)
    found = await detector.check({"job": a_batch()}, WAITING, a_fleet("scoring"), progressing=False)
    assert (found.blocker, found.results) == (None, results)


async def test_check_without_an_inspection_has_no_results() -> None:
    detector = a_detector(inspection=60, results={"job": JobResult(ended=True)})
    checks = [
        await detector.check({"job": a_batch()}, WAITING, a_fleet("scoring"), progressing=False) for _ in range(2)
    ]
    assert [bool(found.results) for found in checks] == [True, False]


async def test_container_that_keeps_pods_from_ending_is_named_and_limits_no_jobs() -> None:
    detector = a_detector(result=None, results={"job": JobResult(ended=True)}, endless=["mesh-proxy"])
    blocker = await check(detector)
    assert blocker is not None
    assert (blocker.reason, blocker.limits_jobs, blocker.permanent) == ("PodsDoNotEnd", False, False)
    assert "container 'mesh-proxy' keeps pods from ending" in blocker.message
    assert "scorer.podAnnotations" in blocker.message
    assert await check(detector, jobs=READY) == blocker  # between two inspections


async def test_container_that_keeps_pods_from_ending_is_reported_for_two_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    detector = a_detector(result=None, results={"job": JobResult(ended=True)}, endless=["mesh-proxy"])
    now[0] += 1
    await check(detector)
    now[0] += 119
    assert detector.blocker is not None
    now[0] += 1
    assert detector.blocker is None


async def test_pod_that_a_lost_node_does_not_delete_is_reported_and_limits_no_jobs() -> None:
    detector = a_detector(result=None, results={"job": JobResult()}, terminating="pod x\x1b is being deleted")
    blocker = await check(detector)
    assert blocker is not None
    assert (blocker.reason, blocker.limits_jobs, blocker.permanent) == ("PodTerminating", False, False)
    assert blocker.message == "pod x  is being deleted"


async def test_progress_ends_the_blocker_of_pending_pods() -> None:
    detector = a_detector()
    await check(detector)
    assert await check(detector, progressing=True) is None


async def test_running_pod_ends_the_blocker_of_pending_pods() -> None:
    detector = a_detector()
    await check(detector)
    assert await check(detector, jobs=READY) is None


async def test_inspection_without_a_finding_keeps_the_blocker() -> None:
    detector = a_detector(result=None)
    detector.record_creation(Creation(REJECTED))
    assert await check(detector) == REJECTED


@pytest.mark.parametrize("before", [None, PENDING, STORAGE], ids=["none", "pending", "storage"])
async def test_rejected_job_replaces_any_blocker(before: Blocker | None) -> None:
    detector = a_detector()
    detector.record_discovery(before)
    detector.record_creation(Creation(REJECTED))
    assert detector.blocker == REJECTED


@pytest.mark.parametrize(("before", "after"), [(REJECTED, None), (STORAGE, None), (PENDING, PENDING)])
async def test_pass_without_a_rejection_ends_only_a_blocker_that_allows_a_probe(
    before: Blocker, after: Blocker | None
) -> None:
    detector = a_detector()
    detector.record_discovery(before)
    detector.record_creation(Creation())
    assert detector.blocker == after


async def test_discovery_sets_and_clears_the_blocker() -> None:
    detector = a_detector()
    detector.record_discovery(STORAGE)
    assert await check(detector, progressing=True) == STORAGE
    detector.record_discovery(None)
    assert detector.blocker is None


async def test_next_check_is_due_after_the_stall_timeout_and_the_inspection_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    assert a_detector(stall=20, inspection=10).next_check_in == pytest.approx(20.1)
    inspected = a_detector(inspection=10)
    await check(inspected)
    assert inspected.next_check_in == pytest.approx(10.1)


def denied(name: str) -> Blocker:
    return Blocker("Forbidden", f"a policy denies {name}", permanent=True)


async def test_rejected_job_limits_others_only_if_none_of_the_last_ones_was_created() -> None:
    detector = a_detector()
    detector.record_creation(Creation(rejected={"b": denied("b"), "a": denied("a")}))
    assert (detector.blocker, detector.rejected) == (denied("a"), ("b", "a"))
    detector.record_creation(Creation(created=["c"]))
    assert detector.blocker == replace(denied("a"), limits_jobs=False)
    detector.record_creation(Creation())
    assert detector.blocker == replace(denied("a"), limits_jobs=False)
    detector.record_creation(Creation(rejected={"b": denied("b")}))
    assert (detector.blocker, detector.rejected) == (denied("a"), ("a", "b"))  # b was tried last


async def test_rejection_of_a_job_is_kept_until_the_job_exists_or_the_run_pauses() -> None:
    detector = a_detector()
    detector.record_creation(Creation(rejected={name: denied(name) for name in ("a", "b", "c", "d")}))
    detector.record_creation(Creation(created=["a"]))
    batches = {name: a_batch("0") for name in ("a", "b", "c")}
    jobs = an_observation(jobs={"b": a_job("b")}).jobs
    await detector.check(batches, jobs, None, progressing=False)
    assert list(detector.rejected) == ["c"]
    detector.record_creation(Creation(), running=False)
    assert (detector.blocker, detector.rejected) == (None, ())


async def test_rejection_of_all_jobs_is_named_before_that_of_one() -> None:
    detector = a_detector()
    detector.record_creation(Creation(REJECTED, {"a": denied("a")}, ["b"]))
    assert (detector.blocker, detector.rejected) == (REJECTED, ("a",))
    detector.record_creation(Creation(created=["c"]))
    assert detector.blocker == replace(denied("a"), limits_jobs=False)
