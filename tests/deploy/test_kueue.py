"""Scoring in a cluster whose Jobs a real Kueue admits by quota: runs wait for it, and a preemption costs no device."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from localcluster.addons import kueue
from localcluster.cluster import Cluster
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.running_controller import MAX_RESOURCES, RunController, a_fleet
from tests.testkit.runs import Runs, hour
from tests.testkit.waiting import until

DEVICES = 8
QUEUE = "batch"
HELD = "SuspendedByAnotherController"


@pytest.fixture
def queue(runs: Runs, cluster_with_crd: Cluster) -> Iterator[Cluster]:
    """Kueue with a queue in the namespace of the test, whose quota is one CPU: four scorers at a time."""
    kueue.start(cluster_with_crd)
    kueue.create_queue(cluster_with_crd, QUEUE, runs.namespace, cpu="1")
    yield cluster_with_crd
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


def occupying_job() -> dict[str, Any]:
    """Return a Job of another team with a higher priority, which uses the whole quota."""
    container = {"name": "work", "image": "work:test", "resources": {"requests": {"cpu": "1", "memory": "64Mi"}}}
    labels = {kueue.QUEUE_LABEL: QUEUE, "kueue.x-k8s.io/priority-class": "urgent"}
    template = {
        "metadata": {"labels": {"app": "occupying"}},
        "spec": {"containers": [container], "restartPolicy": "Never"},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "occupying", "labels": labels},
        "spec": {"suspend": True, "template": template},
    }


def assert_complete(status: dict[str, Any]) -> None:
    assert status["phase"] == "Complete"
    assert (status["devices"]["total"], status["devices"]["scored"]) == (DEVICES, DEVICES)


async def test_second_run_waits_for_the_quota_and_is_completed(
    runs: Runs, running_controller: RunController, queue: Cluster
) -> None:
    admitted: list[int] = []
    async with running_controller(storage_with_devices(DEVICES), a_fleet(runs.namespace, scorer=queued_scorer())):
        for number, name in enumerate(("first", "second")):
            # The pending deadline is shorter than the second run's time in the queue.
            runs.create(name, window=hour(number), parallelism=4, pendingDeadlineSeconds=5)
        await asyncio.to_thread(runs.until, is_held, "second", seconds=60)

        def ended() -> bool:
            admitted.append(len(kueue.admitted_jobs(queue, runs.namespace)))
            return all("completionTime" in runs.status(name) for name in ("first", "second"))

        await asyncio.to_thread(until, ended, "the end of both runs", seconds=240)
    for name in ("first", "second"):
        assert_complete(runs.status(name))
    assert sorted(runs.created_jobs().values()) == [1] * 2 * DEVICES
    assert 1 <= max(admitted) <= 4


async def test_preemption_in_the_middle_costs_no_device(
    runs: Runs, running_controller: RunController, queue: Cluster
) -> None:
    jobs_path = f"/apis/batch/v1/namespaces/{runs.namespace}/jobs"
    kind = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "WorkloadPriorityClass"}
    urgent = {**kind, "metadata": {"name": "urgent"}, "value": 1000, "description": "another team's work"}
    queue.api.create("/apis/kueue.x-k8s.io/v1beta2/workloadpriorityclasses", urgent)

    def only_occupying() -> bool:
        return kueue.admitted_jobs(queue, runs.namespace) == ["occupying"]

    async with running_controller(storage_with_devices(DEVICES), a_fleet(runs.namespace, scorer=queued_scorer())):
        runs.create(parallelism=4, backoffLimit=0)
        await asyncio.to_thread(until, lambda: kueue.admitted_jobs(queue, runs.namespace), "admitted Jobs")
        await asyncio.to_thread(queue.api.create, jobs_path, occupying_job())
        await asyncio.to_thread(until, only_occupying, "the preemption", seconds=60)
        await asyncio.to_thread(runs.until, is_held, seconds=60)
        queue.api.request("DELETE", f"{jobs_path}/occupying?propagationPolicy=Background")
        status = await asyncio.to_thread(runs.until_ended, seconds=240)
    assert_complete(status)
