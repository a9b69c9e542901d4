"""Scoring on a pool that an autoscaler grows from no node and shrinks to none, with evictions in the middle.

The autoscaler is real: Karpenter, which AKS node auto-provisioning runs. Its nodes and their pods are simulated here; a
second test evicts real scorers.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from localcluster.addons import karpenter
from localcluster.cluster import Cluster
from localcluster.kubernetes.api import ApiError
from localcluster.nodes import stages
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.release import Release, scored_locally
from tests.testkit.running_controller import MAX_RESOURCES, RunController, a_fleet
from tests.testkit.runs import Runs
from tests.testkit.waiting import until

DEVICES = 60
RUN_SECONDS = 40  # of a simulated scorer: long enough to be evicted in
KEY, POOL = "fleetscore.dev/pool", "scoring"
TAINT = {"key": KEY, "value": POOL, "effect": "NoSchedule"}


class Nodes(threading.Thread):
    """Notes each change of the number of the pool's nodes, with the seconds since it was started."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.cluster = cluster
        self.seen: list[tuple[float, int]] = []
        self.ended = threading.Event()

    def count(self) -> int:
        return len(self.cluster.api.request("GET", f"/api/v1/nodes?labelSelector={KEY}%3D{POOL}")["items"])

    def run(self) -> None:
        begun = time.monotonic()
        while not self.ended.wait(0.5):
            now = self.count()
            if not self.seen or self.seen[-1][1] != now:
                self.seen.append((time.monotonic() - begun, now))

    def timeline(self) -> str:
        return ", ".join(f"{count} at {seconds:.0f} s" for seconds, count in self.seen)


@pytest.fixture
def nodes(cluster_with_crd: Cluster) -> Iterator[Nodes]:
    """Karpenter with a pool for scoring, and its nodes over time."""
    karpenter.start(cluster_with_crd)
    karpenter.create_node_pool(
        cluster_with_crd, POOL, labels={KEY: POOL}, taint=TAINT, instance_type="c-4x-amd64-linux"
    )
    slow = stages.finish_pods(
        "slow-scorers",
        labels={"fleetscore.dev/run": "hourly", "app.kubernetes.io/component": "scorer"},
        after_seconds=RUN_SECONDS,
        message_template=ALL_SCORED,
        weight=1_000_000,
    )
    cluster_with_crd.add_stage(slow)
    watch = Nodes(cluster_with_crd)
    watch.start()
    yield watch
    watch.ended.set()
    watch.join()
    cluster_with_crd.remove_stage("slow-scorers")
    karpenter.stop(cluster_with_crd)


def running_pods(runs: Runs) -> list[dict[str, Any]]:
    selector = "labelSelector=app.kubernetes.io%2Fcomponent%3Dscorer&fieldSelector=status.phase%3DRunning"
    found = runs.cluster.api.request("GET", f"/api/v1/namespaces/{runs.namespace}/pods?{selector}")
    return [pod for pod in found["items"] if not pod["metadata"].get("deletionTimestamp")]


def take_a_third_of_the_pods_away(runs: Runs) -> tuple[int, int, int]:
    """Remove nodes with 30% of the running pods; return the numbers of nodes, removed pods and running pods."""
    running = until(
        lambda: found if len(found := running_pods(runs)) >= DEVICES // 2 else [], seconds=120, description="pods"
    )
    pods_of: dict[str, int] = {}
    for pod in running:
        pods_of[pod["spec"]["nodeName"]] = pods_of.get(pod["spec"]["nodeName"], 0) + 1
    claims, taken, evicted = karpenter.node_claims(runs.cluster), 0, 0
    for node, pods in sorted(pods_of.items(), key=lambda item: item[1]):
        if evicted < 0.3 * len(running):
            karpenter.evict_node(runs.cluster, claims[node])
            taken, evicted = taken + 1, evicted + pods
    return taken, evicted, len(running)


def evictions(runs: Runs) -> int:
    """Return the number of evicted pods of the namespace, by the API server's audit log."""
    count = 0
    for line in runs.cluster.audit_log.read_text().splitlines():
        entry = json.loads(line)
        target = entry.get("objectRef", {})
        if target.get("subresource") == "eviction" and target.get("namespace") == runs.namespace:
            count += entry["stage"] == "ResponseComplete" and entry["responseStatus"]["code"] == 201
    return count


@pytest.mark.fault("F17", "F18")
async def test_node_pool_scales_from_and_to_zero_and_evictions_cost_no_device(
    runs: Runs, running_controller: RunController, nodes: Nodes, record_measurement: RecordMeasurement
) -> None:
    scorer = {
        "serviceAccountName": "default",
        "maxResources": MAX_RESOURCES,
        "nodeSelector": {KEY: POOL},
        "tolerations": [{**TAINT, "operator": "Equal"}],
    }
    assert nodes.count() == 0
    async with running_controller(storage_with_devices(DEVICES), a_fleet(runs.namespace, scorer=scorer)):
        runs.create(parallelism=DEVICES, backoffLimit=0)
        taken, evicted, running = await asyncio.to_thread(take_a_third_of_the_pods_away, runs)
        assert evicted >= 0.3 * running
        status = await asyncio.to_thread(runs.until_ended, seconds=300)
    await asyncio.to_thread(until, lambda: nodes.seen[-1][1] == 0, seconds=120, description="no node left")

    counts = status["devices"]
    record_measurement(
        f"{DEVICES} devices; nodes: {nodes.timeline()}; {taken} nodes taken with {evicted} of {running} running pods, "
        f"{evictions(runs)} evictions; {DEVICES - counts['scored']} devices lost"
    )
    assert status["phase"] == "Complete"
    assert (counts["total"], counts["scored"]) == (DEVICES, DEVICES)
    assert evictions(runs) >= 0.3 * running
    # No Job was created again, and no Job had a retry: evicted pods were replaced within their Jobs.
    assert sorted(runs.created_jobs().values()) == [1] * DEVICES
    assert max(count for _, count in nodes.seen) > 1
    assert nodes.seen[0][1] == 0


def evict(release: Release, wanted: int) -> int:
    """Evict this number of running scorers, each once."""
    done: set[str] = set()

    def enough() -> bool:
        for pod in release.get("pods", "-l", "app.kubernetes.io/component=scorer")["items"]:
            name = pod["metadata"]["name"]
            if pod["status"]["phase"] == "Running" and name not in done and len(done) < wanted:
                body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
                with suppress(ApiError):  # it has ended meanwhile
                    path = f"/api/v1/namespaces/{release.namespace}/pods/{name}/eviction"
                    release.cluster.api.request("POST", path, body)
                    done.add(name)
        return len(done) >= wanted

    until(enough, seconds=180, description=f"{wanted} running scorers to evict")
    return len(done)


@pytest.mark.fault("F17")
def test_evicted_scorers_write_the_same_predictions(
    release: Release, fleet_of: Callable[[int], Path], record_measurement: RecordMeasurement
) -> None:
    devices = 9
    store = fleet_of(devices)
    release.upload(store)
    fleet = release.fleet()
    fleet["scorer"]["resources"]["limits"] = {"cpu": "50m", "memory": "512Mi"}  # so little that each is met at work
    release.fleets = [fleet]
    release.install()
    release.start_run("evicted", backoffLimit=0)
    evicted = evict(release, wanted=devices // 3 + 1)
    release.wait_for_end("evicted", seconds=600)
    assert release.devices("evicted") == {"total": devices, "scored": devices}
    assert sorted(release.created_jobs("evicted").values()) == [1] * devices
    assert release.predictions() == scored_locally(store, [f"press-{number}" for number in range(1, devices + 1)])
    record_measurement(
        f"{evicted} of {devices} real scorers evicted at work, 0 devices lost, predictions equal byte for byte"
    )
