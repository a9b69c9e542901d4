"""A schedule of the chart on a real API server."""

from pathlib import Path

import pytest

from localcluster.cluster import Cluster
from tests.testkit.scheduler import Scheduler


@pytest.fixture
def scheduler(cluster_with_crd: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Install a schedule of the chart; KUBECONFIG is its account's."""
    scheduler = Scheduler(cluster_with_crd, namespace, tmp_path, run={"parallelism": 7})
    monkeypatch.setenv("KUBECONFIG", str(scheduler.kubeconfig))
    return scheduler
