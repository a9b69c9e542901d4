"""ScoringRuns of a test's namespace on a real API server, and the simulated pods of their Jobs."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localcluster.cluster import Cluster
from localcluster.kubernetes.api import ApiError
from localcluster.nodes import stages
from tests.testkit.audit import Audit, created_jobs
from tests.testkit.cluster import ALL_SCORED
from tests.testkit.conditions import condition
from tests.testkit.paths import CRD
from tests.testkit.waiting import until

PodBehaviour = Callable[[dict[str, Any]], None]

HOUR = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}


def hour(start: int) -> dict[str, str]:
    """Return an hour of a day without other windows, because runs of different windows do not wait for each other."""
    return {"start": f"2018-08-01T{start:02}:00:00Z", "end": f"2018-08-01T{start + 1:02}:00:00Z"}


class Runs:
    """ScoringRuns in a test's namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._audit = Audit(cluster.audit_log)
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
        self, true: Callable[[dict[str, Any]], bool], name: str = "hourly", *, seconds: float = 180
    ) -> dict[str, Any]:
        """Wait until the status of a run satisfies a condition, and return it; the failure has the last status."""
        status: dict[str, Any] = {}

        def matching() -> bool:
            nonlocal status
            status = self.status(name)
            return true(status)

        until(matching, f"the status of {name}", seconds=seconds, state=lambda: json.dumps(status, indent=1))
        return status

    def until_ended(self, name: str = "hourly", *, seconds: float = 180) -> dict[str, Any]:
        return self.until(lambda status: "completionTime" in status, name, seconds=seconds)

    def until_scored(self, count: int, name: str = "hourly") -> dict[str, Any]:
        return self.until(lambda status: status.get("devices", {}).get("scored", 0) >= count, name)

    def jobs(self, component: str = "scorer") -> list[dict[str, Any]]:
        """Return the namespace's Jobs of a component: scorer or report."""
        selector = f"labelSelector=app.kubernetes.io/component={component}"
        listed = self.cluster.api.request("GET", f"/apis/batch/v1/namespaces/{self.namespace}/jobs?{selector}")
        return list(listed["items"])

    def pod_specs(self, name: str = "") -> list[dict[str, Any]]:
        """Return the pod specs of the scoring Jobs of a run, or of all runs."""
        every = [job for job in self.jobs() if job["metadata"]["labels"]["fleetscore.dev/run"] == name or not name]
        return [job["spec"]["template"]["spec"] for job in every]

    def devices_of(self, name: str) -> list[str]:
        """Return the devices of a run's Jobs, from the arguments of their pods."""
        arguments = [pod["containers"][0]["args"] for pod in self.pod_specs(name)]
        return sorted(device for words in arguments for device in words[words.index("--") + 1 :])

    def events(self, name: str = "hourly") -> list[str]:
        """Return the reasons of the events of a run, the oldest first."""
        found = self.cluster.api.request("GET", f"/api/v1/namespaces/{self.namespace}/events")["items"]
        mine = [event for event in found if event["involvedObject"]["name"] == name]
        return [event["reason"] for event in sorted(mine, key=lambda event: int(event["metadata"]["resourceVersion"]))]

    def grant(self, account: str, name: str, rules: list[tuple[list[str], list[str], list[str]]]) -> None:
        """Grant rights to a service account of the namespace: lists of API groups, resources and verbs."""
        api = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name, "namespace": self.namespace}}
        granted = [{"apiGroups": groups, "resources": found, "verbs": verbs} for groups, found, verbs in rules]
        subjects = [{"kind": "ServiceAccount", "name": account, "namespace": self.namespace}]
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        for one in (
            {**api, "kind": "Role", "rules": granted},
            {**api, "kind": "RoleBinding", "subjects": subjects, "roleRef": reference},
        ):
            self.cluster.kubectl("apply", "-f", "-", input=json.dumps(one))

    def create_quota(self, name: str, hard: dict[str, str]) -> str:
        """Create a ResourceQuota and return its path. It has no effect until the controller manager sets its status."""
        path = f"/api/v1/namespaces/{self.namespace}/resourcequotas"
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard}}
        self.cluster.api.request("POST", path, quota)
        path = f"{path}/{name}"
        until(lambda: self.cluster.api.request("GET", path).get("status", {}).get("hard"), f"quota {name} is in effect")
        return path

    def until_rejected(self, verb: str, path: str, body: dict[str, Any], *, seconds: float = 120) -> None:
        """Wait until the API server rejects a request."""

        def is_rejected() -> bool:
            try:
                self.cluster.api.request(verb, path, body)
            except ApiError:
                return True
            return False

        until(is_rejected, f"{verb} {path} is rejected", seconds=seconds)

    def created_jobs(self) -> Counter[str]:
        """Return how often each scoring Job of the namespace was created, by the API server's audit log."""
        created = created_jobs(self._audit.of(self.namespace))
        for report in self.jobs("report"):  # listed after the log was read, so the log may lack a later one
            created.pop(report["metadata"]["name"], None)
        return created


async def ended(runs: Runs, name: str = "hourly", seconds: float = 180) -> dict[str, Any]:
    return await asyncio.to_thread(runs.until_ended, name, seconds=seconds)


async def until_status(runs: Runs, true: Callable[[dict[str, Any]], bool], name: str = "hourly") -> dict[str, Any]:
    return await asyncio.to_thread(runs.until, true, name)


async def reported(runs: Runs, name: str = "hourly") -> dict[str, Any]:
    """Wait for the end of a run's report, and return the condition."""
    return condition(
        await until_status(runs, lambda status: condition(status, "Reported").get("status") in ("True", "False"), name),
        "Reported",
    )


@pytest.fixture(scope="session")
def cluster_with_crd(cluster: Cluster) -> Cluster:
    """Return the cluster with the ScoringRun CRD; simulated scorers score every device after a second."""
    cluster.kubectl("apply", "-f", str(CRD))
    cluster.wait_for_crds()
    cluster.add_stage(
        stages.finish_pods(
            "scorers", labels={"app.kubernetes.io/component": "scorer"}, after_seconds=1, message_template=ALL_SCORED
        )
    )
    return cluster


@pytest.fixture
def runs(cluster_with_crd: Cluster, namespace: str) -> Runs:
    """Return the ScoringRuns of a fresh namespace."""
    return Runs(cluster_with_crd, namespace)


@pytest.fixture
def pod_behaviour(runs: Runs) -> Iterator[PodBehaviour]:
    """Add stages of simulated pods, which are removed after the test."""
    added: list[str] = []

    def add(stage: dict[str, Any]) -> None:
        added.append(stage["metadata"]["name"])
        runs.cluster.add_stage(stage)

    yield add
    for name in added:
        runs.cluster.remove_stage(name)
