"""Parties next to the operator: a queue that suspends Jobs, injected sidecars, kubelets; on a real API server."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localcluster.nodes import stages
from scoring_operator.controller.timings import ControllerTimings, Timings
from scoring_operator.planner.types import PlannerLimits
from tests.testkit.builders import a_message
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.conditions import blocked, condition
from tests.testkit.in_memory_storage import InMemoryStorage, storage_with_devices
from tests.testkit.running_controller import RunController, a_fleet
from tests.testkit.runs import PodBehaviour, Runs, ended, until_status

SHORT_TIMINGS = Timings(
    planner=PlannerLimits(replace_delay=0.0),
    controller=ControllerTimings(stall_timeout=2.0, inspection_interval=1.0),
)
HANGS = stages.finish_pods(
    "hangs", labels={"app.kubernetes.io/component": "scorer"}, after_seconds=stages.NEVER_SECONDS, weight=100_000
)


class Queue:
    """A controller that suspends each Job that it has not admitted, as Kueue does.

    Attributes:
        admitted: The names of the Jobs that may run.
        quota: The number of unfinished Jobs that may run at the same time.
    """

    def __init__(self, runs: Runs, quota: int) -> None:
        self._runs = runs
        self.quota = quota
        self.admitted: set[str] = set()
        self.suspensions = 0

    async def work(self) -> None:
        while True:
            await asyncio.to_thread(self._step)
            await asyncio.sleep(0.2)

    def preempt(self) -> None:
        """Suspend every Job, whether it runs or not."""
        self.quota = 0
        self.admitted.clear()

    def _step(self) -> None:
        jobs = [job for job in self._runs.jobs() if not is_finished(job)]
        names = [job["metadata"]["name"] for job in jobs]
        self.admitted &= set(names)
        for name in names:
            if len(self.admitted) < self.quota:
                self.admitted.add(name)
        for job in jobs:
            suspend = job["metadata"]["name"] not in self.admitted
            if bool(job["spec"].get("suspend")) is not suspend:
                self.suspensions += suspend
                self._suspend(job["metadata"]["name"], suspend=suspend)

    def _suspend(self, name: str, *, suspend: bool) -> None:
        patch = json.dumps({"spec": {"suspend": suspend}})
        self._runs.cluster.kubectl("-n", self._runs.namespace, "patch", "job", name, "--type=merge", "-p", patch)


def is_finished(job: Mapping[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions)


@asynccontextmanager
async def queueing(queue: Queue) -> AsyncIterator[Queue]:
    task = asyncio.create_task(queue.work())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_jobs_of_a_queue_wait_without_a_deadline_until_they_are_admitted(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(HANGS)  # no pod ends before the queue suspends its Job
    async with running_controller(storage_with_devices(4)), queueing(Queue(runs, 0)) as queue:
        runs.create(pendingDeadlineSeconds=20, activeDeadlineSeconds=20)
        status = await until_status(
            runs, lambda status: blocked(status).get("reason") == "SuspendedByAnotherController"
        )
        assert blocked(status)["type"] == "Waiting"
        assert "suspended by another controller" in status["message"]
        await until_status(
            runs, lambda _: queue.suspensions == 4 and all(job["spec"].get("suspend") for job in runs.jobs())
        )
        runs.cluster.remove_stage("hangs")
        await asyncio.sleep(21)  # longer than the deadlines
        assert "completionTime" not in runs.status()
        assert queue.suspensions == 4  # the operator resumed none
        runs.change(activeDeadlineSeconds=3600)
        queue.quota = 1
        status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"]) == ("Complete", 4)
    assert not blocked(status)


async def test_preempted_jobs_cost_no_device(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(HANGS)
    async with running_controller(storage_with_devices(3), timings=SHORT_TIMINGS), queueing(Queue(runs, 3)) as queue:
        runs.create()
        await until_status(runs, lambda status: "firstPodTime" in status)
        queue.preempt()
        await until_status(runs, lambda status: blocked(status).get("reason") == "SuspendedByAnotherController")
        runs.cluster.remove_stage("hangs")
        queue.quota = 3
        status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"], status["devices"]["failed"]) == ("Complete", 3, 0)
    assert max(runs.created_jobs().values()) == 1


async def test_suspended_run_is_not_continued_by_a_queue_that_resumes_its_jobs(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(HANGS)
    async with running_controller(storage_with_devices(2), timings=SHORT_TIMINGS), queueing(Queue(runs, 2)):
        runs.create()
        await until_status(runs, lambda status: "firstPodTime" in status)
        runs.change(suspend=True)
        await until_status(runs, lambda status: status["phase"] == "Suspended" and not status["devices"]["active"])
        assert not [job for job in runs.jobs() if not is_finished(job)]
        runs.cluster.remove_stage("hangs")
        runs.change(suspend=False)
        status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"]) == ("Complete", 2)


async def test_job_without_parallelism_waits_and_one_that_a_finalizer_keeps_is_named(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(
        stages.keep_pods_pending("creating", arguments=["press-0"], reason="ContainerCreating", weight=100_000)
    )

    def patch(name: str, document: dict[str, Any]) -> None:
        runs.cluster.kubectl("-n", runs.namespace, "patch", "job", name, "--type=merge", "-p", json.dumps(document))

    # The parallelism is 0 before pending pods are inspected.
    timings = Timings(controller=ControllerTimings(stall_timeout=15.0, inspection_interval=1.0))
    async with running_controller(storage_with_devices(1), timings=timings):
        runs.create()
        await until_status(runs, lambda status: status.get("devices", {}).get("active") == 1)
        (name,) = [job["metadata"]["name"] for job in runs.jobs()]
        patch(name, {"spec": {"parallelism": 0}})
        status = await until_status(
            runs, lambda status: blocked(status).get("reason") == "SuspendedByAnotherController"
        )
        assert "parallelism 0" in status["message"]
        patch(name, {"metadata": {"finalizers": ["x.example/hold"]}, "spec": {"parallelism": 1}})
        runs.cluster.kubectl("-n", runs.namespace, "delete", "job", name, "--wait=false")
        status = await until_status(runs, lambda status: blocked(status).get("reason") == "JobTerminating")
        assert f"Job {name} is being deleted, and finalizers keep it: x.example/hold" in status["message"]
        runs.cluster.remove_stage("creating")
        patch(name, {"metadata": {"finalizers": None}})
        status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"]) == ("Complete", 1)


def pods(runs: Runs) -> list[dict[str, Any]]:
    selector = "labelSelector=app.kubernetes.io/component=scorer"
    return list(runs.cluster.api.request("GET", f"/api/v1/namespaces/{runs.namespace}/pods?{selector}")["items"])


def running_pods(runs: Runs) -> list[dict[str, Any]]:
    return [pod for pod in pods(runs) if pod["status"]["phase"] == "Running"]


def set_containers(runs: Runs, pod: Mapping[str, Any], *containers: dict[str, Any]) -> None:
    """Write the states of a pod's containers as a kubelet does; the pod is not ready any more."""
    conditions = [{"type": kind, "status": "False"} for kind in ("Ready", "ContainersReady")]
    patch = {"status": {"conditions": conditions, "containerStatuses": containers}}
    name = pod["metadata"]["name"]
    words = ("patch", "pod", name, "--subresource=status", "--type=strategic", "-p", json.dumps(patch))
    runs.cluster.kubectl("-n", runs.namespace, *words)


def a_container_status(name: str, **state: Any) -> dict[str, Any]:
    return {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}


async def test_result_counts_although_a_sidecar_keeps_the_pod_from_ending(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(HANGS)
    async with running_controller(storage_with_devices(2), timings=SHORT_TIMINGS):
        runs.create()
        await until_status(runs, lambda status: "firstPodTime" in status and len(running_pods(runs)) == 2)
        scored = a_container_status(
            "scorer", terminated={"exitCode": 0, "message": a_message(1), "reason": "Completed"}
        )
        sidecar = a_container_status("mesh-proxy", running={"startedAt": "2018-08-28T23:00:00Z"})
        first, second = running_pods(runs)
        set_containers(runs, first, scored, sidecar)
        status = await until_status(runs, lambda status: blocked(status).get("reason") == "PodsDoNotEnd")
        assert "container 'mesh-proxy' keeps pods from ending" in status["message"]
        assert "scorer.podAnnotations" in status["message"]
        assert status["devices"]["scored"] == 1
        set_containers(runs, second, scored, sidecar)
        status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"]) == ("Complete", 2)


async def test_end_by_deadline_counts_what_an_ended_scorer_has_scored(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(HANGS)
    async with running_controller(storage_with_devices(2)):
        runs.create(activeDeadlineSeconds=3600)
        await until_status(runs, lambda status: "firstPodTime" in status)
        scored = a_container_status(
            "scorer", terminated={"exitCode": 0, "message": a_message(1), "reason": "Completed"}
        )
        set_containers(runs, running_pods(runs)[0], scored, a_container_status("mesh-proxy", running={}))
        runs.change(activeDeadlineSeconds=1)  # over, however fast the pods started
        status = await ended(runs)
    assert condition(status, "Failed")["reason"] == "DeadlineExceeded"
    assert (status["devices"]["scored"], status["devices"]["notRun"]) == (1, 1)


async def test_volume_that_cannot_be_mounted_stalls_the_run_with_the_text_of_the_kubelet(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(
        stages.keep_pods_pending("creating", arguments=["nothing"], reason="ContainerCreating", weight=100_000)
    )
    text = 'MountVolume.SetUp failed for volume "ca" : secret "corporate-ca" not found'
    async with running_controller(InMemoryStorage(["nothing"]), timings=SHORT_TIMINGS):
        runs.create(pendingDeadlineSeconds=40)  # a slow machine reports the event before
        await until_status(runs, lambda status: blocked(status).get("reason") == "ContainerCreating")
        pod = pods(runs)[0]["metadata"]
        involved = {"apiVersion": "v1", "kind": "Pod", "namespace": runs.namespace}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "x-"},
            "involvedObject": involved | {"name": pod["name"], "uid": pod["uid"]},
            "type": "Warning",
            "reason": "FailedMount",
            "message": text,
            "lastTimestamp": "2026-11-24T12:00:00Z",
        }
        runs.cluster.api.request("POST", f"/api/v1/namespaces/{runs.namespace}/events", event)
        status = await until_status(runs, lambda status: blocked(status).get("reason") == "FailedMount")
        assert blocked(status)["type"] == "Stalled"
        assert text in blocked(status)["message"]
        status = await ended(runs)
    assert condition(status, "Failed")["reason"] == "PendingDeadlineExceeded"
    assert text in condition(status, "Failed")["message"]


async def test_changed_settings_replace_jobs_whose_pods_never_started(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour
) -> None:
    pod_behaviour(
        stages.keep_pods_pending("no-image", arguments=["press-0"], reason="ImagePullBackOff", weight=100_000)
    )
    storage = storage_with_devices(2)
    async with running_controller(storage, timings=SHORT_TIMINGS):
        runs.create()
        await until_status(
            runs,
            lambda status: blocked(status).get("reason") == "ImagePullBackOff" and status["devices"]["scored"] == 1,
        )
    runs.cluster.remove_stage("no-image")
    fixed = a_fleet(runs.namespace, scorer={"serviceAccountName": "default", "podAnnotations": {"fixed": "true"}})
    async with running_controller(storage, fixed, timings=SHORT_TIMINGS):
        status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"]) == ("Complete", 2)
    assert sorted(runs.created_jobs().values()) == [1, 1, 1]


@pytest.mark.parametrize("reason", ["StartError", "ContainerStatusUnknown"])
async def test_failed_device_has_the_message_of_the_kubelet(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour, reason: str
) -> None:
    text = "failed to start containerd task: OCI runtime create failed"
    pod_behaviour(
        stages.finish_pods("dies", arguments=["press-0"], exit_code=128, reason=reason, message=text, weight=100_000)
    )
    async with running_controller(storage_with_devices(1)):
        runs.create(backoffLimit=0)
        status = await ended(runs)
    assert status["failures"] == [{"device": "press-0", "reason": "Unknown", "message": f"{reason}: {text}"}]


OTHER_OWNER = {
    "apiVersion": "x.example/v1",
    "kind": "Wrapper",
    "name": "x",
    "uid": "00000000-0000-4000-8000-000000000000",
}


@pytest.mark.parametrize("change", ["labels", "labels and owner", "another owner"])
async def test_job_whose_metadata_another_party_changes_is_counted_once(
    runs: Runs, running_controller: RunController, pod_behaviour: PodBehaviour, change: str
) -> None:
    scorer = {"app.kubernetes.io/component": "scorer"}
    slow = stages.finish_pods("slow", labels=scorer, after_seconds=5, message_template=ALL_SCORED, weight=100_000)
    pod_behaviour(slow)
    timings = Timings(controller=ControllerTimings(assumed_timeout=0.5, inspection_interval=0.5))
    async with running_controller(storage_with_devices(2), timings=timings):
        runs.create()
        await until_status(runs, lambda status: "firstPodTime" in status)
        assert len(runs.jobs()) == 2
        for job in runs.jobs():
            metadata: dict[str, Any] = {"labels": {"app.kubernetes.io/managed-by": "policy"}}
            if change == "labels and owner":
                metadata = {"labels": metadata["labels"] | {"fleetscore.dev/run-uid": None}, "ownerReferences": None}
            if change == "another owner":
                metadata = {"ownerReferences": [OTHER_OWNER, *job["metadata"]["ownerReferences"]]}
            words = ("patch", "job", job["metadata"]["name"], "--type=merge", "-p", json.dumps({"metadata": metadata}))
            runs.cluster.kubectl("-n", runs.namespace, *words)
        status = await ended(runs)
    assert (status["phase"], status["devices"]["scored"]) == ("Complete", 2)
    assert max(runs.created_jobs().values()) == 1
