"""Scoring in a cluster whose Jobs a real Kueue admits by quota: runs wait for it, and a preemption costs no device."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from localcluster.addons import kueue
from localcluster.cluster import Cluster
from localcluster.nodes import stages
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.running_controller import MAX_RESOURCES, RunController, a_fleet
from tests.testkit.runs import Runs, hour
from tests.testkit.waiting import until

DEVICES = 8
PREEMPTED_DEVICES = 24  # six times the quota: the run is not over when Kueue preempts it
PENDING_DEADLINE_SECONDS = 15  # Kueue suspends a new Job well within it, also on a busy machine
QUEUE = "batch"
HELD = "SuspendedByAnotherController"


@pytest.fixture
def queue(runs: Runs, cluster_with_crd: Cluster) -> Iterator[Cluster]:
    """Kueue with a queue of the test's namespace. Its quota is one CPU: four scorers, or the occupying Job."""
    kueue.start(cluster_with_crd)
    cluster_with_crd.add_stage(
        stages.finish_pods("occupying", labels={"app": "occupying"}, after_seconds=stages.NEVER_SECONDS, weight=100_000)
    )
    kueue.create_queue(cluster_with_crd, QUEUE, runs.namespace, cpu="1")
    yield cluster_with_crd
    cluster_with_crd.remove_stage("occupying")
    kueue.stop(cluster_with_crd)


def queued_scorer() -> dict[str, Any]:
    return {
        "serviceAccountName": "default",
        "maxResources": MAX_RESOURCES,
        "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
        "labels": {kueue.QUEUE_LABEL: QUEUE},
    }


def is_held(status: dict[str, Any]) -> bool:
    return HELD in str(status.get("conditions")) or "suspended by another controller" in status.get("message", "")


def occupying_job(**labels: str) -> dict[str, Any]:
    """Return a Job of another team, which uses the whole quota."""
    container = {"name": "work", "image": "work:test", "resources": {"requests": {"cpu": "1", "memory": "64Mi"}}}
    template = {
        "metadata": {"labels": {"app": "occupying"}},
        "spec": {"containers": [container], "restartPolicy": "Never"},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "occupying", "labels": {kueue.QUEUE_LABEL: QUEUE, **labels}},
        "spec": {"suspend": True, "template": template},
    }


def assert_complete(status: dict[str, Any], devices: int) -> None:
    assert status["phase"] == "Complete"
    assert (status["devices"]["total"], status["devices"]["scored"]) == (devices, devices)


async def test_runs_wait_for_the_quota_and_are_completed(
    runs: Runs, running_controller: RunController, queue: Cluster
) -> None:
    jobs_path = f"/apis/batch/v1/namespaces/{runs.namespace}/jobs"
    names, admitted = ("first", "second"), [0]

    def are_held() -> bool:
        return all(is_held(runs.status(name)) for name in names)

    def ended() -> bool:
        admitted.append(len(kueue.admitted_jobs(queue, runs.namespace)))
        return all("completionTime" in runs.status(name) for name in names)

    async with running_controller(storage_with_devices(DEVICES), a_fleet(runs.namespace, scorer=queued_scorer())):
        queue.api.create(jobs_path, occupying_job())
        await asyncio.to_thread(until, lambda: kueue.admitted_jobs(queue, runs.namespace), "the occupying Job")
        for number, name in enumerate(names):
            runs.create(name, window=hour(number), parallelism=4, pendingDeadlineSeconds=PENDING_DEADLINE_SECONDS)
        await asyncio.to_thread(until, are_held, "both runs in the queue", seconds=60)
        held_since = time.monotonic()
        # Both runs are longer in the queue than their pending deadline.
        await asyncio.to_thread(
            until, lambda: time.monotonic() - held_since > PENDING_DEADLINE_SECONDS + 5, "the deadline", seconds=60
        )
        assert are_held()
        queue.api.request("DELETE", f"{jobs_path}/occupying?propagationPolicy=Background")
        await asyncio.to_thread(until, ended, "the end of both runs", seconds=240)
    for name in names:
        assert_complete(runs.status(name), DEVICES)
    created = {name: times for name, times in runs.created_jobs().items() if name != "occupying"}
    assert list(created.values()) == [1] * 2 * DEVICES
    assert 1 <= max(admitted) <= 4


async def test_preemption_in_the_middle_costs_no_device(
    runs: Runs, running_controller: RunController, queue: Cluster
) -> None:
    jobs_path = f"/apis/batch/v1/namespaces/{runs.namespace}/jobs"
    kind = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "WorkloadPriorityClass"}
    urgent = {**kind, "metadata": {"name": "urgent"}, "value": 1000, "description": "another team's work"}
    queue.api.create("/apis/kueue.x-k8s.io/v1beta2/workloadpriorityclasses", urgent)

    urgent_label = {"kueue.x-k8s.io/priority-class": "urgent"}

    def only_occupying() -> bool:
        return kueue.admitted_jobs(queue, runs.namespace) == ["occupying"]

    async with running_controller(
        storage_with_devices(PREEMPTED_DEVICES), a_fleet(runs.namespace, scorer=queued_scorer())
    ):
        runs.create(parallelism=4, backoffLimit=0)
        await asyncio.to_thread(until, lambda: kueue.admitted_jobs(queue, runs.namespace), "admitted Jobs")
        await asyncio.to_thread(queue.api.create, jobs_path, occupying_job(**urgent_label))
        await asyncio.to_thread(until, only_occupying, "the preemption", seconds=60)
        await asyncio.to_thread(runs.until, is_held, seconds=60)
        queue.api.request("DELETE", f"{jobs_path}/occupying?propagationPolicy=Background")
        status = await asyncio.to_thread(runs.until_ended, seconds=240)
    assert_complete(status, PREEMPTED_DEVICES)
