import asyncio
from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.conditions import find_condition, true_condition
from scoring_operator.api.names import progress_config_map_name, report_job_name
from scoring_operator.api.scoringrun import parse_run
from scoring_operator.controller.job_limiter import JobLimiter
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.controller.reconciler import RunReconciler
from scoring_operator.controller.services import Services
from scoring_operator.controller.timings import ControllerTimings, Timings
from scoring_operator.errors import QuotaExceeded, RunDeleted, Unavailable
from scoring_operator.planner.progress import decode
from scoring_operator.planner.types import JobLimits
from scoring_operator.resources import config_maps
from scoring_operator.resources.jobs import ScorerImage
from tests.testkit.builders import UID, a_body, a_job, a_message, a_run, later
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import a_fleet
from tests.unit.operator.controller.in_memory_client import InMemoryClient

RUN_PATH = "/apis/fleetscore.dev/v1alpha1/namespaces/scoring/scoringruns/hourly"
JOBS = "/apis/batch/v1/namespaces/scoring/jobs"
PODS = "/api/v1/namespaces/scoring/pods"
PROGRESS = f"/api/v1/namespaces/scoring/configmaps/{progress_config_map_name(a_run())}"
IMMEDIATE = ControllerTimings(save_interval=0, status_interval=0, collect_interval=0, discovery_retry_interval=5)


class Cluster:
    """A reconciler with its API server, its storage and its tracker."""

    def __init__(self, timings: ControllerTimings = IMMEDIATE, **spec: Any) -> None:
        self.client = InMemoryClient()
        self.client.objects[RUN_PATH] = a_body(**spec)
        self.storage = InMemoryStorage(["fan-1", "press-1"])
        self.limiter = JobLimiter(JobLimits(1000), 1.0, lambda _uid: None)
        self.jobs = JobTracker(30.0)
        services = Services(
            self.client,
            self.storage,
            {"default": a_fleet("scoring")},
            ScorerImage("scorer:test"),
            self.limiter,
            Timings(controller=timings),
        )
        self.reconciler = RunReconciler(parse_run(self.client.objects[RUN_PATH]), self.jobs, services)

    async def reconcile(self, times: int = 1) -> float | None:
        """Make passes, and return the result of the last one."""
        requeue_after = None
        for _ in range(times):
            requeue_after = await self.reconciler.reconcile()
        return requeue_after

    def job_names(self) -> list[str]:
        return [path.rpartition("/")[2] for path in self.client.objects if path.startswith(JOBS)]

    def show(self, name: str, **state: Any) -> bool:
        """Let the informer show a Job, and return whether the change requires a pass."""
        return self.reconciler.on_job_event(None, a_job(name, **state))

    def complete(self, name: str) -> None:
        """Complete a Job with one scored device."""
        self.show(name, complete=True)
        self.storage.records[name] = a_message(1).encode()

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.client.objects[RUN_PATH].get("status", {})
        return status


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_first_pass_discovers_and_second_creates_the_jobs(cluster: Cluster) -> None:
    assert await cluster.reconcile() == 0.0
    assert (cluster.reconciler.phase, cluster.job_names()) == ("Pending", [])
    await cluster.reconcile()
    assert (cluster.reconciler.phase, len(cluster.job_names())) == ("Running", 2)
    assert cluster.limiter.active(UID) == 2


async def test_job_is_created_after_its_reservation_is_saved(cluster: Cluster) -> None:
    await cluster.reconcile(2)
    requests = [request for request in cluster.client.requests if request[1] == PROGRESS or request[1].startswith(JOBS)]
    creations = [index for index, request in enumerate(requests) if request[1].startswith(JOBS)]
    assert ("PUT", PROGRESS) in requests[: creations[0]]
    content = config_maps.config_map_content(cluster.client.objects[PROGRESS], config_maps.PROGRESS_KEY)
    assert set(cluster.job_names()) == set(decode(content).open_batches)


async def test_failed_save_creates_no_job(cluster: Cluster) -> None:
    await cluster.reconcile()
    cluster.client.failures["PUT", PROGRESS] = Unavailable("no response")
    with pytest.raises(Unavailable):
        await cluster.reconcile()
    assert cluster.job_names() == []
    await cluster.reconcile()
    assert len(cluster.job_names()) == 2


async def test_run_completes_with_the_results_of_its_jobs(cluster: Cluster) -> None:
    await cluster.reconcile(2)
    for name in cluster.job_names():
        cluster.complete(name)
    await cluster.reconcile()
    assert (cluster.status["phase"], cluster.status["devices"]["scored"]) == ("Complete", 2)
    await cluster.reconcile()
    assert report_job_name(cluster.reconciler.run) in cluster.job_names()


async def test_cancelled_run_waits_for_the_results_of_complete_jobs(cluster: Cluster) -> None:
    await cluster.reconcile(2)
    first, second = cluster.job_names()
    cluster.show(second)
    cluster.complete(first)
    cluster.reconciler.update(parse_run(a_body(generation=2, cancel=True) | {"status": cluster.status}))
    cluster.client.objects[RUN_PATH]["metadata"]["resourceVersion"] = "7"
    assert await cluster.reconcile() == 0.0
    assert cluster.status["phase"] == "Running"
    async with asyncio.timeout(10):
        while cluster.status["phase"] == "Running":  # the results are collected concurrently
            await asyncio.sleep(0)
            await cluster.reconcile()
    assert (cluster.status["phase"], cluster.status["devices"]["scored"]) == ("Cancelled", 1)


def waiting(cluster: Cluster) -> str:
    """Return the reason of the condition Waiting, if it is True."""
    found = true_condition(cluster.status, "Waiting")
    return found.reason if found else ""


async def test_run_ends_at_its_deadline_with_the_results_of_scorers_that_ended() -> None:
    cluster = Cluster(activeDeadlineSeconds=3)
    await cluster.reconcile(2)
    first, second = sorted(cluster.job_names())
    cluster.show(first)
    cluster.show(second, ready=True)
    await cluster.reconcile()
    labels = {"batch.kubernetes.io/job-name": first}
    ended = {"name": "scorer", "state": {"terminated": {"exitCode": 0, "message": a_message(1)}}}
    pod = {"metadata": {"name": "x", "labels": labels}, "status": {"phase": "Running", "containerStatuses": [ended]}}
    cluster.client.lists[PODS] = [pod]
    cluster.client.time = later(4)
    assert await cluster.reconcile() == 0.0
    assert cluster.status["phase"] == "Running"
    await cluster.reconcile()
    assert (cluster.status["phase"], cluster.status["devices"]["scored"], cluster.status["devices"]["notRun"]) == (
        "Failed",
        1,
        1,
    )


async def test_unavailable_storage_stalls_the_run_and_is_retried(cluster: Cluster) -> None:
    cluster.storage.down = True
    assert await cluster.reconcile() == 5.0
    await cluster.reconcile()
    assert waiting(cluster) == "StorageUnavailable"
    cluster.storage.down = False
    await cluster.reconcile(2)
    assert cluster.reconciler.phase == "Running"


async def test_rejected_job_stalls_the_run(cluster: Cluster) -> None:
    await cluster.reconcile(2)
    names = cluster.job_names()
    other = Cluster()
    await other.reconcile()
    for name in names:
        other.client.failures["POST", f"{JOBS}/{name}"] = QuotaExceeded("exceeded quota")
    await other.reconcile(2)
    assert waiting(other) == "QuotaExceeded"


async def test_progress_is_saved_once_per_interval_but_a_new_phase_at_once() -> None:
    cluster = Cluster(replace(IMMEDIATE, save_interval=60))
    await cluster.reconcile(2)
    assert cluster.status["phase"] == "Running"
    saves = cluster.client.count("PUT")
    cluster.complete(cluster.job_names()[0])
    await cluster.reconcile(3)
    assert cluster.client.count("PUT") == saves
    assert cluster.status["devices"]["scored"] == 0


async def test_idle_running_run_is_inspected_after_the_stall_timeout(cluster: Cluster) -> None:
    await cluster.reconcile(3)
    requeue_after = await cluster.reconcile()
    assert requeue_after is not None
    assert 19 < requeue_after < 20.2


def test_older_state_of_the_run_is_ignored(cluster: Cluster) -> None:
    newer, older = a_run(generation=3), a_run(generation=2)
    cluster.reconciler.update(newer)
    cluster.reconciler.update(older)
    assert cluster.reconciler.run is newer


async def test_job_event_of_an_ended_run_requires_no_pass(cluster: Cluster) -> None:
    await cluster.reconcile(2)
    name = cluster.job_names()[0]
    assert cluster.show(name, ready=True)  # the first pod
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    cluster.reconciler.update(a_run(generation=2, status=ended))
    assert not cluster.show(name, complete=True)


async def test_deleted_run_ends_the_passes(cluster: Cluster) -> None:
    await cluster.reconcile()
    del cluster.client.objects[RUN_PATH]
    with pytest.raises(RunDeleted):
        await cluster.reconciler.refresh()
    cluster.limiter.remove(UID)
    with pytest.raises(RunDeleted):
        await cluster.reconcile()


async def test_event_during_a_pass_is_not_replaced_by_the_written_run(cluster: Cluster) -> None:
    cancelled = a_body(generation=2, cancel=True)
    cancelled["metadata"]["resourceVersion"] = "99"

    class Client(InMemoryClient):
        async def patch(self, *arguments: Any, **options: Any) -> Any:
            written = await super().patch(*arguments, **options)
            cluster.reconciler.update(parse_run(cancelled))
            return written

    await cluster.reconcile()
    cluster.client.__class__ = Client
    await cluster.reconcile()
    assert cluster.reconciler.run.spec.cancel


async def test_failed_report_job_has_the_reason_of_its_pod(cluster: Cluster) -> None:
    await cluster.reconcile(2)
    for name in cluster.job_names():
        cluster.complete(name)
    await cluster.reconcile(2)
    report = report_job_name(cluster.reconciler.run)
    cluster.show(report)
    await cluster.reconcile()
    terminated = {"exitCode": 137, "reason": "OOMKilled"}
    container = {"name": "scorer", "state": {"terminated": terminated}}
    labels = {"batch.kubernetes.io/job-name": report}
    pod = {"metadata": {"name": "x", "labels": labels}, "status": {"containerStatuses": [container]}}
    cluster.client.lists[PODS] = [pod]
    cluster.show(report, failed=True)
    await cluster.reconcile()
    reported = find_condition(cluster.status, "Reported")
    assert reported is not None
    assert (reported.status, reported.reason) == ("False", "OOMKilled")
