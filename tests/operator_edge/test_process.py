"""The whole operator as a process, on a real API server with simulated pods and a real Azurite."""

import json
from pathlib import Path

import pytest

from localcluster import stages
from localcluster.cluster import Cluster
from tests.operator_edge.process import DATA, Release, a_release, operator, until
from tests.support.azurite import Storage
from tests.support.cluster import ALL_SCORED


@pytest.fixture
def release(cluster: Cluster, namespace: str, tmp_path: Path, storage: Storage) -> Release:
    return a_release(cluster, namespace, tmp_path, storage)


def give_devices(storage: Storage, count: int) -> None:
    for number in range(count):
        storage.put("models", f"press-{number}.joblib", b"x")
        storage.put("data", f"{DATA}/press-{number}.csv", b"x")


def condition(release: Release, name: str, kind: str) -> str:
    found = release.get(name).get("status", {}).get("conditions", [])
    return next((str(item["status"]) for item in found if item["type"] == kind), "")


def test_a_run_is_scored_and_everything_about_it_can_be_seen(release: Release, storage: Storage) -> None:
    give_devices(storage, 12)
    storage.put("data", f"{DATA}/new-device.csv", b"x")
    release.cluster.add_stage(
        stages.finish("edge-scored", labels={"fleetscore.dev/run": "full"}, message_template=ALL_SCORED)
    )
    with operator(release) as running:
        assert running.probe("/healthz") == (200, "ok")
        release.run("full", parallelism=4)
        until(lambda: condition(release, "full", "Complete") == "True", "the run is complete")
        status = release.get("full")["status"]
        assert (status["devices"]["total"], status["devices"]["scored"]) == (12, 12)
        assert status["withoutModel"] == {"count": 1, "samples": ["new-device"]}
        metrics = running.probe("/metrics")[1]
        assert "fleetscore_lease_held 1.0" in metrics
        assert 'fleetscore_api_requests_total{code="201",verb="POST"}' in metrics
        assert "fleetscore_watch_age_seconds" in metrics
        seconds = running.end()
        assert running.process.returncode == 0
        assert seconds < 5
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert any(line.get("run") == f"{release.namespace}/full" for line in lines)
    assert not [line for line in lines if line["level"] == "ERROR"]
    assert storage.connection_string not in running.log.read_text()
