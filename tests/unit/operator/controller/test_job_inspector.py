from typing import Any

import pytest

from scoring_operator.api.names import RUN_UID_LABEL, owner_reference, report_job_name
from scoring_operator.api.views import JobView
from scoring_operator.controller.job_inspector import Inspection, JobInspector
from scoring_operator.kube.listing import ListLimits
from scoring_operator.planner.job_results import PODS_DELETED, TOO_MANY_PODS
from scoring_operator.planner.types import JobSnapshot
from tests.testkit.builders import NOW, a_batch, a_job, a_message, a_report_message, a_run, pod_metadata
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
        pod = {"metadata": pod_metadata(job), "status": {"containerStatuses": [container]}}
        self.client.lists.setdefault(PODS, []).append(pod)

    def add_waiting_pod(self, job: str = "job", *, phase: str = "Pending", **statuses: Any) -> None:
        pod = {"metadata": pod_metadata(job), "status": {"phase": phase} | statuses}
        self.client.lists.setdefault(PODS, []).append(pod)

    async def inspect(self, *names: str) -> Inspection:
        return await self.inspector.inspect_waiting(list(names or ["job"]), BATCHES, a_fleet("scoring"))

    def add_job(self, name: str, **metadata: Any) -> None:
        owned = {"name": name, "ownerReferences": [owner_reference(a_run().ref)]}
        self.client.objects[f"{JOBS}/{name}"] = {"metadata": owned | metadata}

    async def fetch(self, jobs: JobSnapshot, *names: str) -> tuple[dict[str, Any], dict[str, JobView]]:
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
    assert existing == {}


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
    assert await cluster.fetch(VISIBLE) == ({}, {})
    cluster.storage.down = False
    assert await cluster.fetch(VISIBLE) == ({}, {})  # until the back-off has passed


async def test_outcome_records_are_not_read_without_a_fleet(cluster: Cluster) -> None:
    cluster.add_pod()
    cluster.storage.records["job"] = a_message(1).encode()
    results, _ = await cluster.inspector.fetch_results(BATCHES, ["job"], VISIBLE, None)
    last = await cluster.inspector.fetch_last_results(BATCHES, VISIBLE, None)
    for found in (results["job"], last["job"]):
        assert (found.message, found.failure_reason) == (None, "OOMKilled")


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
    assert list(existing) == ["existing"]
    assert results.keys() == {"missing"}
    assert results["missing"].missing


ORPHANED: dict[str, Any] = {"ownerReferences": [], "labels": {RUN_UID_LABEL: a_run().uid}}
OTHER_RUN = [owner_reference(a_run(uid="another").ref)]


@pytest.mark.fault("T3")
@pytest.mark.parametrize(
    ("metadata", "exists"),
    [
        ({}, True),
        (ORPHANED, True),
        ({"ownerReferences": []}, False),
        ({"ownerReferences": [], "labels": {RUN_UID_LABEL: "another"}}, False),
        (ORPHANED | {"ownerReferences": OTHER_RUN}, False),
    ],
    ids=["own", "orphaned", "without an owner", "of another uid", "of another run"],
)
async def test_job_of_another_owner_does_not_exist_for_the_run(
    cluster: Cluster,
    metadata: dict[str, Any],
    exists: bool,  # noqa: FBT001  # a table
) -> None:
    cluster.add_job("job", **metadata)
    results, existing = await cluster.fetch(NOT_VISIBLE)
    assert ("job" in existing, "job" in results) == (exists, not exists)


async def test_missing_job_that_the_informer_shows_meanwhile_is_not_lost(cluster: Cluster) -> None:
    assert await cluster.fetch(JobSnapshot({"job": a_job("job")}, frozenset(), frozenset())) == ({}, {})


async def test_one_list_covers_100_finished_jobs_and_a_pass_asks_for_50_missing_ones(cluster: Cluster) -> None:
    names = [f"job-{n}" for n in range(101)]
    finished = JobSnapshot({name: a_job(name, failed=True) for name in names}, frozenset(), frozenset())
    assert len((await cluster.fetch(finished, *names))[0]) == 101
    assert cluster.client.count("LIST") == 2
    assert len((await cluster.fetch(NOT_VISIBLE, *names))[0]) == 50
    assert cluster.client.count("GET") == 50


def a_report_job(*, failed: bool = False) -> JobSnapshot:
    return JobSnapshot({REPORT: a_job(REPORT, failed=failed)}, frozenset(), frozenset())


async def test_report_result_is_the_failure_of_its_pod_or_its_absence(cluster: Cluster) -> None:
    missing, _ = await cluster.inspector.inspect_report(NOT_VISIBLE)
    assert missing is not None
    assert missing.missing
    cluster.add_job(REPORT)
    assert await cluster.inspector.inspect_report(NOT_VISIBLE) == (None, None)
    cluster.add_pod(REPORT)
    failed, _ = await cluster.inspector.inspect_report(a_report_job(failed=True))
    assert failed is not None
    assert failed.failure_reason == "OOMKilled"


def container(name: str = "scorer", **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state}


@pytest.mark.parametrize("code", [0, 75])
async def test_result_of_a_report_counts_while_a_sidecar_runs(cluster: Cluster, code: int) -> None:
    ended = container(terminated={"exitCode": code, "message": a_report_message(problems=2)})
    cluster.add_waiting_pod(REPORT, phase="Running", containerStatuses=[ended, SIDECAR])
    result, blocker = await cluster.inspector.inspect_report(a_report_job())
    assert result is not None
    assert (result.ended, result.report is not None, blocker) == (True, code == 0, None)
    assert result.failure_reason == ("StorageUnavailable" if code else "")


async def test_running_report_has_no_result_and_one_that_does_not_start_has_a_cause(cluster: Cluster) -> None:
    cluster.add_waiting_pod(REPORT, phase="Running", containerStatuses=[container(running={}), SIDECAR])
    assert await cluster.inspector.inspect_report(a_report_job()) == (None, None)
    cluster.client.lists[PODS].clear()
    waiting = container(waiting={"reason": "ErrImagePull", "message": PULL})
    cluster.add_waiting_pod(REPORT, containerStatuses=[waiting])
    result, blocker = await cluster.inspector.inspect_report(a_report_job())
    assert blocker is not None
    assert (result, blocker.message) == (None, f"pods do not start: {PULL}")


@pytest.mark.parametrize("state", [{"suspended": True}, {"parallelism": 0}])
async def test_report_that_another_controller_holds_names_it(cluster: Cluster, state: dict[str, Any]) -> None:
    jobs = JobSnapshot({REPORT: a_job(REPORT, **state)}, frozenset(), frozenset())
    result, blocker = await cluster.inspector.inspect_report(jobs)
    assert blocker is not None
    assert (result, blocker.reason) == (None, "SuspendedByAnotherController")
    assert blocker.message.startswith(
        "it is suspended by another controller, such as a queue, or has the parallelism 0"
    )


PULL = "failed to pull and unpack image: not found"
STARTING = container(waiting={"reason": "ContainerCreating"})
SIDECAR = container("mesh-proxy", running={"startedAt": "2026-11-24T12:00:00Z"})


def an_event(text: str, *, reason: str = "FailedMount", job: str = "job", at: int = 0) -> dict[str, Any]:
    time = f"2026-11-24T12:00:0{at}Z"
    return {
        "involvedObject": {"name": job},
        "reason": reason,
        "message": text,
        "type": "Warning",
        "lastTimestamp": time,
    }


async def test_waiting_container_is_the_blocker_without_a_request_for_events(cluster: Cluster) -> None:
    cluster.add_waiting_pod(containerStatuses=[container(waiting={"reason": "ErrImagePull", "message": PULL})])
    blocker = (await cluster.inspect()).blocker
    assert blocker is not None
    assert (blocker.reason, blocker.message, blocker.allows_probe, blocker.permanent) == (
        "ImagePullBackOff",
        f"pods do not start: {PULL}",
        False,
        True,
    )
    assert cluster.client.requests == [("LIST", f"{PODS}?batch.kubernetes.io/job-name in (job)&")]


async def test_text_of_a_blocker_has_at_most_800_characters(cluster: Cluster) -> None:
    waiting = {"reason": "ErrImagePull", "message": "x" * 2000}
    cluster.add_waiting_pod(containerStatuses=[container(waiting=waiting)])
    blocker = (await cluster.inspect()).blocker
    assert blocker is not None
    assert len(blocker.message.removeprefix("pods do not start: ")) == 800


async def test_event_of_a_pod_explains_containers_that_are_created(cluster: Cluster) -> None:
    cluster.add_waiting_pod(containerStatuses=[STARTING])
    cluster.client.lists[EVENTS] = [an_event('MountVolume.SetUp failed: secret "corporate-ca" not found')]
    blocker = (await cluster.inspect()).blocker
    assert blocker is not None
    assert (blocker.reason, blocker.permanent) == ("FailedMount", True)
    assert 'secret "corporate-ca" not found' in blocker.message
    assert ("LIST", f"{EVENTS}?&involvedObject.uid=job-pod") in cluster.client.requests


async def test_event_has_the_reason_of_the_registry_that_the_container_lacks(cluster: Cluster) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "scorer:nope"'}
    cluster.add_waiting_pod(containerStatuses=[container(waiting=waiting)])
    cluster.client.lists[EVENTS] = [an_event("Failed to pull image: scorer:nope: not found", reason="Failed")]
    blocker = (await cluster.inspect()).blocker
    assert blocker is not None
    assert (blocker.reason, blocker.permanent) == ("ImagePullBackOff", True)
    assert blocker.message == "pods do not start: Failed to pull image: scorer:nope: not found"


async def test_pod_without_a_cause_is_named(cluster: Cluster) -> None:
    cluster.add_waiting_pod(containerStatuses=[STARTING])
    blocker = (await cluster.inspect()).blocker
    assert blocker is not None
    assert blocker.message == "pods do not start: pod job-x waits in ContainerCreating, and no event says why"


async def test_permanent_cause_is_reported_before_another_one(cluster: Cluster) -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no nodes"}
    cluster.add_waiting_pod(conditions=[unscheduled])
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}
    cluster.add_waiting_pod(containerStatuses=[container(waiting=waiting)])
    blocker = (await cluster.inspect()).blocker
    assert blocker is not None
    assert blocker.reason == "CreateContainerConfigError"


async def test_events_of_at_most_three_pods_are_read(cluster: Cluster) -> None:
    for name in ("a", "b", "c", "d"):
        cluster.add_waiting_pod(name, containerStatuses=[STARTING])
    batches = {name: a_batch("0") for name in ("a", "b", "c", "d")}
    await cluster.inspector.inspect_waiting(list(batches), batches, a_fleet("scoring"))
    assert cluster.client.count("LIST") == 1 + 3


async def test_latest_event_of_a_job_is_the_blocker_without_a_pod(cluster: Cluster) -> None:
    cluster.client.lists[EVENTS] = [
        an_event("second", at=2), an_event("first", at=1), an_event("third", job="other", at=3),
    ]  # fmt: skip
    blocker = (await cluster.inspect()).blocker
    assert blocker is not None
    assert (blocker.reason, blocker.message) == ("PodsRejected", "pods are rejected: second")
    cluster.client.lists[EVENTS] = []
    assert await cluster.inspect() == Inspection(endless=[])


async def test_events_that_another_client_creates_are_read_up_to_a_limit(cluster: Cluster) -> None:
    cluster.client.lists[EVENTS] = [*[an_event("read", at=1)] * 2000, an_event("not read", at=2)]
    blocker = (await cluster.inspect()).blocker
    assert blocker is not None
    assert blocker.message == "pods are rejected: read"


async def test_scorer_that_has_ended_is_a_result_although_its_pod_runs(cluster: Cluster) -> None:
    ended = container(terminated={"exitCode": 0, "message": a_message(1)})
    cluster.add_waiting_pod(phase="Running", containerStatuses=[ended, SIDECAR])
    found = await cluster.inspect()
    assert found.results["job"].ended
    assert found.results["job"].message is not None
    assert (found.endless, found.blocker) == (["mesh-proxy"], None)


async def test_outcome_record_replaces_the_message_of_an_ended_scorer(cluster: Cluster) -> None:
    cluster.add_waiting_pod(phase="Running", containerStatuses=[container(terminated={"exitCode": 0}), SIDECAR])
    cluster.storage.records["job"] = a_message(1).encode()
    assert (await cluster.inspect()).results["job"].message is not None


async def test_running_scorer_in_a_pod_that_is_not_ready_is_a_start(cluster: Cluster) -> None:
    running = container(running={"startedAt": "2026-11-24T12:00:00Z"})
    cluster.add_waiting_pod(phase="Running", startTime="2026-11-24T12:00:00Z", containerStatuses=[running])
    result = (await cluster.inspect()).results["job"]
    assert (result.ended, result.started_at) == (False, NOW)


async def test_scorer_in_a_pod_that_a_lost_node_does_not_delete_is_reported(cluster: Cluster) -> None:
    running = container(running={"startedAt": "2026-11-24T12:00:00Z"})
    cluster.add_waiting_pod(phase="Running", containerStatuses=[running])
    assert not (await cluster.inspect()).terminating
    pod = cluster.client.lists[PODS][0]
    pod["metadata"]["deletionTimestamp"] = "2026-11-24T12:05:00Z"
    pod["spec"] = {"nodeName": "aks-spot-3"}
    found = await cluster.inspect()
    assert found.results.keys() == {"job"}
    assert "pod job-x is being deleted, and node aks-spot-3" in found.terminating


async def last(cluster: Cluster, jobs: JobSnapshot | None = None) -> dict[str, Any]:
    running = jobs or JobSnapshot({"job": a_job("job")}, frozenset(), frozenset())
    return await cluster.inspector.fetch_last_results(BATCHES, running, a_fleet("scoring"))


async def test_last_results_are_those_of_ended_scorers_and_of_records_without_a_pod(cluster: Cluster) -> None:
    assert await last(cluster) == {}
    cluster.storage.records["job"] = a_message(1).encode()
    assert (await last(cluster))["job"].ended
    cluster.add_waiting_pod(phase="Running", containerStatuses=[container(running={"startedAt": "x"})])
    assert await last(cluster) == {}  # it runs, so that it has no record
    cluster.client.lists[PODS].clear()
    cluster.add_waiting_pod(phase="Running", containerStatuses=[container(terminated={"exitCode": 1}), SIDECAR])
    assert (await last(cluster))["job"].message is not None


async def test_last_result_of_an_evicted_pod_is_its_outcome_record_and_not_its_failure(cluster: Cluster) -> None:
    cluster.add_waiting_pod(phase="Running", containerStatuses=[container(terminated={"exitCode": 143})])
    cluster.client.lists[PODS][0]["metadata"]["deletionTimestamp"] = "2026-11-24T12:05:00Z"
    assert await last(cluster) == {}
    cluster.storage.records["job"] = a_message(1).encode()
    assert (await last(cluster))["job"].message is not None


async def test_job_that_ends_while_its_running_pod_is_read_has_no_last_result(cluster: Cluster) -> None:
    cluster.add_waiting_pod(phase="Running", containerStatuses=[container(running={"startedAt": "x"})])
    jobs = {"job": a_job("job")}
    cluster.client.on_request = lambda: jobs.update(job=a_job("job", complete=True))
    assert await last(cluster, JobSnapshot(jobs, frozenset(), frozenset())) == {}


async def test_at_most_500_records_of_jobs_without_a_pod_are_read_before_a_run_ends(cluster: Cluster) -> None:
    names = [f"job-{n}" for n in range(501)]
    running = JobSnapshot({name: a_job(name) for name in names}, frozenset(), frozenset())
    cluster.storage.records = dict.fromkeys(names, a_message(1).encode())
    batches = dict.fromkeys(names, a_batch("0"))
    results = await cluster.inspector.fetch_last_results(batches, running, a_fleet("scoring"))
    assert len(results) == 500


async def test_run_ends_without_last_results_if_storage_is_unavailable(cluster: Cluster) -> None:
    cluster.storage.down = True
    assert await last(cluster) == {}


async def test_job_whose_pods_are_hidden_by_others_has_its_record_or_names_the_cause(cluster: Cluster) -> None:
    forged = {"metadata": {"name": "a", "labels": {"batch.kubernetes.io/job-name": "job"}}}
    cluster.client.lists[PODS] = [forged] * (ListLimits().max_items + 1)
    results, _ = await cluster.fetch(VISIBLE)
    assert (results["job"].failure_reason, results["job"].failure_detail) == ("JobLost", TOO_MANY_PODS)
    cluster.storage.records["job"] = a_message(1).encode()
    assert (await cluster.fetch(VISIBLE))[0]["job"].message is not None


async def test_forged_pod_of_a_job_is_not_its_result(cluster: Cluster) -> None:
    cluster.add_pod(message=a_message(1))
    del cluster.client.lists[PODS][0]["metadata"]["ownerReferences"]
    assert (await cluster.fetch(VISIBLE))[0]["job"].failure_detail == PODS_DELETED
