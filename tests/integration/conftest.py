import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcluster import stages
from localcluster.cluster import Cluster
from tests.support.cluster import ALL_SCORED

CRD = Path(__file__).parents[2] / "crds" / "fleetscore.dev_scoringruns.yaml"
HOUR = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}


@pytest.fixture(scope="session")
def crd(cluster: Cluster) -> Cluster:
    """The cluster with the ScoringRun CRD, and simulated scorers that score every device after a second."""
    cluster.kubectl("apply", "-f", str(CRD))
    cluster.kubectl("wait", "--for=condition=Established", "crd/scoringruns.fleetscore.dev", "--timeout=30s")
    cluster.add_stage(
        stages.finish(
            "scorers", labels={"app.kubernetes.io/component": "scorer"}, after_seconds=1, message_template=ALL_SCORED
        )
    )
    return cluster


class Runs:
    """ScoringRuns in a test's namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.path = f"/apis/fleetscore.dev/v1alpha1/namespaces/{namespace}/scoringruns"

    def create(self, name: str = "hourly", *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
        body = {
            "apiVersion": "fleetscore.dev/v1alpha1",
            "kind": "ScoringRun",
            "metadata": {"name": name, "labels": labels or {}},
            "spec": {"window": HOUR, **spec},
        }
        return self.cluster.api.request("POST", self.path, body)

    def change(self, name: str = "hourly", **spec: Any) -> None:
        self.cluster.kubectl(
            "-n", self.namespace, "patch", "sr", name, "--type=merge", "-p", json.dumps({"spec": spec})
        )

    def get(self, name: str = "hourly") -> dict[str, Any]:
        return self.cluster.api.request("GET", f"{self.path}/{name}")

    def status(self, name: str = "hourly") -> dict[str, Any]:
        status: dict[str, Any] = self.get(name).get("status", {})
        return status

    def until(
        self, true: Callable[[dict[str, Any]], bool], name: str = "hourly", *, seconds: float = 60
    ) -> dict[str, Any]:
        """Wait for a state of status; fails with the last one."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(name)
            if true(status):
                return status
            assert time.monotonic() < deadline, f"not within {seconds} s: {json.dumps(status, indent=1)}"
            time.sleep(0.1)

    def until_ended(self, name: str = "hourly", *, seconds: float = 60) -> dict[str, Any]:
        return self.until(lambda status: "completionTime" in status, name, seconds=seconds)

    def until_scored(self, count: int, name: str = "hourly") -> dict[str, Any]:
        return self.until(lambda status: status.get("devices", {}).get("scored", 0) >= count, name, seconds=90)

    def jobs(self) -> list[dict[str, Any]]:
        listed = self.cluster.api.request("GET", f"/apis/batch/v1/namespaces/{self.namespace}/jobs")
        return list(listed["items"])


@pytest.fixture
def runs(crd: Cluster, namespace: str) -> Runs:
    return Runs(crd, namespace)
