from typing import Any

import pytest

from scoring_operator.api.names import report_job_name
from scoring_operator.controller.job_inspector import JobInspector
from scoring_operator.planner.types import JobSnapshot
from tests.testkit.builders import UID, a_batch, a_job, a_message, a_run
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import a_fleet
from tests.unit.operator.controller.in_memory_client import InMemoryClient

PODS = "/api/v1/namespaces/scoring/pods"
EVENTS = "/api/v1/namespaces/scoring/events"
JOBS = "/apis/batch/v1/namespaces/scoring/jobs"
BATCHES = {"job": a_batch("0")}
VISIBLE = JobSnapshot({"job": a_job("job", failed=True)}, frozenset(), frozenset())
NOT_VISIBLE = JobSnapshot({}, frozenset(), frozenset())
REPORT = report_job_name(a_run())


class Cluster:
    """An inspector with its API server and its storage."""

    def __init__(self, storage_backoff: float = 60.0) -> None:
        self.client = InMemoryClient()
        self.storage = InMemoryStorage([])
        self.inspector = JobInspector(a_run().ref, self.client, self.storage, storage_backoff)

    def add_pod(self, job: str = "job", message: str = "", **state: Any) -> None:
        terminated = {"exitCode": 137, "reason": "OOMKilled", "message": message}
        container = {"name": "scorer", "state": {"terminated": terminated} | state}
        labels = {"batch.kubernetes.io/job-name": job}
        pod = {"metadata": {"name": f"{job}-x", "labels": labels}, "status": {"containerStatuses": [container]}}
        self.client.lists.setdefault(PODS, []).append(pod)

    def add_job(self, name: str) -> None:
        self.client.objects[f"{JOBS}/{name}"] = {"metadata": {"name": name}}

    async def fetch(self, jobs: JobSnapshot, *names: str) -> tuple[dict[str, Any], list[str]]:
        wanted = list(names or ["job"])
        batches = dict.fromkeys(wanted, a_batch("0"))
        return await self.inspector.fetch_results(batches, wanted, jobs, a_fleet("scoring"))


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_message_of_a_pod_is_the_result_without_a_request_to_storage(cluster: Cluster) -> None:
    cluster.add_pod(message=a_message(1))
    cluster.storage.down = True
    results, existing = await cluster.fetch(VISIBLE)
    assert results["job"].message is not None
    assert existing == []


async def test_outcome_record_replaces_a_missing_message(cluster: Cluster) -> None:
    cluster.add_pod()
    cluster.storage.records["job"] = a_message(1).encode()
    results, _ = await cluster.fetch(VISIBLE)
    assert results["job"].message is not None
    assert results["job"].failure_reason == "OOMKilled"


async def test_job_without_message_and_record_has_the_failure_of_its_pod(cluster: Cluster) -> None:
    cluster.add_pod()
    results, _ = await cluster.fetch(VISIBLE)
    assert (results["job"].message, results["job"].failure_reason) == (None, "OOMKilled")


async def test_job_has_no_result_while_storage_is_unavailable(cluster: Cluster) -> None:
    cluster.add_pod()
    cluster.storage.down = True
    assert await cluster.fetch(VISIBLE) == ({}, [])
    cluster.storage.down = False
    assert await cluster.fetch(VISIBLE) == ({}, [])  # until the back-off has passed


async def test_storage_is_read_again_after_the_backoff() -> None:
    cluster = Cluster(storage_backoff=-1)
    cluster.add_pod()
    cluster.storage.down = True
    await cluster.fetch(VISIBLE)
    cluster.storage.down = False
    assert (await cluster.fetch(VISIBLE))[0].keys() == {"job"}


async def test_missing_job_is_missing_only_if_the_api_server_does_not_have_it(cluster: Cluster) -> None:
    cluster.add_job("existing")
    results, existing = await cluster.fetch(NOT_VISIBLE, "existing", "missing")
    assert existing == ["existing"]
    assert results.keys() == {"missing"}
    assert results["missing"].missing


async def test_one_list_covers_100_finished_jobs_and_a_pass_asks_for_50_missing_ones(cluster: Cluster) -> None:
    names = [f"job-{n}" for n in range(101)]
    finished = JobSnapshot({name: a_job(name, failed=True) for name in names}, frozenset(), frozenset())
    assert len((await cluster.fetch(finished, *names))[0]) == 101
    assert cluster.client.count("LIST") == 2
    assert len((await cluster.fetch(NOT_VISIBLE, *names))[0]) == 50
    assert cluster.client.count("GET") == 50


async def test_report_result_is_the_failure_of_its_pod_or_its_absence(cluster: Cluster) -> None:
    missing = await cluster.inspector.fetch_report_result(NOT_VISIBLE)
    assert missing is not None
    assert missing.missing
    cluster.add_job(REPORT)
    assert await cluster.inspector.fetch_report_result(NOT_VISIBLE) is None
    cluster.add_pod(REPORT)
    failed = await cluster.inspector.fetch_report_result(JobSnapshot({REPORT: a_job(REPORT)}, frozenset(), frozenset()))
    assert failed is not None
    assert failed.failure_reason == "OOMKilled"


async def test_waiting_container_is_the_pending_reason(cluster: Cluster) -> None:
    cluster.add_pod(terminated=None, waiting={"reason": "ImagePullBackOff", "message": "no image"})
    blocker = await cluster.inspector.pending_reason(["job"])
    assert blocker is not None
    assert (blocker.reason, blocker.message, blocker.allows_probe) == (
        "ImagePullBackOff",
        "pods do not start: no image",
        False,
    )
    assert cluster.client.requests == [
        ("LIST", f"{PODS}?fleetscore.dev/run-uid={UID}&status.phase=Pending"),
    ]


async def test_newest_event_of_an_open_job_is_the_pending_reason_without_a_pod(cluster: Cluster) -> None:
    events = [("job", "first"), ("job", "second"), ("other", "third")]
    cluster.client.lists[EVENTS] = [{"involvedObject": {"name": name}, "message": text} for name, text in events]
    blocker = await cluster.inspector.pending_reason(["job"])
    assert blocker is not None
    assert (blocker.reason, blocker.message) == ("PodsRejected", "pods are rejected: second")
    assert await cluster.inspector.pending_reason(["unknown"]) is None
    assert await cluster.inspector.pending_reason([]) is None
