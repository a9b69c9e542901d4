"""A release of the chart in a namespace of a real API server, which tests of `doctor` break on purpose.

The pods of the operator are simulated, so a test writes its Lease, or an operator's process stands for the pod.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.cli import main
from localcluster.cluster import Cluster
from tests.testkit.azurite import Storage, new_storage
from tests.testkit.chart import render
from tests.testkit.waiting import until

OPERATOR, SECRET, CRON_JOB = "fleetscore-operator", "account", "fleetscore-hourly"
FLEETS = "fleetscore-fleets"
RECEIVER = {"name": "hook", "type": "webhook", "url": "https://hook.example/x", "events": ["runFailed"]}


@dataclass
class Release:
    """The objects of the chart in a namespace."""

    cluster: Cluster
    storage: Storage
    namespace: str = field(default_factory=lambda: f"doctor-{secrets.token_hex(4)}")

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, input=given)

    def apply(self, *objects: Any) -> None:
        self.kubectl("apply", "-f", "-", given="\n---\n".join(json.dumps(one) for one in objects))

    def patch(self, kind: str, name: str, **spec: Any) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def install(self) -> None:
        containers = {role: self.storage.container(role) for role in ("models", "data", "predictions")}
        reference = {"name": SECRET, "key": "connectionString", "kind": "connectionString"}
        storage = {"accountUrl": self.storage.account_url, "auth": "existingSecret", "existingSecret": reference}
        values = {
            "crds": {"enabled": False},
            "rbac": {"aggregateClusterRoles": False},
            "fleets": [{"name": "default", "storage": {**storage, **containers}, "notify": [RECEIVER]}],
            "schedules": [{"name": "hourly", "cron": "5 * * * *", "fleet": "default"}],
        }
        self.set_key(self.storage.connection_string)
        self.apply(*(one for one in render(values, namespace=self.namespace) if one["kind"] != "PriorityClass"))
        until(lambda: len(self.pods()) == 1, "the operator's pod is ready")
        self.kubectl("rollout", "status", f"deployment/{OPERATOR}", "--timeout=180s")
        self.renew()

    def pods(self) -> list[str]:
        selector = "--selector=app.kubernetes.io/component=operator"
        ready = "jsonpath={range .items[?(@.status.containerStatuses[0].ready==true)]}{.metadata.name} {end}"
        return self.kubectl("get", "pods", selector, "-o", ready).split()

    def create_run(self, name: str, end: datetime, *, schedule: str = "", **spec: Any) -> None:
        """Create a run of the hour before a time."""
        window = {"start": f"{end - timedelta(hours=1):%Y-%m-%dT%H:00:00Z}", "end": f"{end:%Y-%m-%dT%H:00:00Z}"}
        labels = {"fleetscore.dev/schedule": schedule} if schedule else {}
        body = {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun"}
        self.apply({**body, "metadata": {"name": name, "labels": labels}, "spec": {"window": window, **spec}})

    def set_conditions(self, name: str, **conditions: tuple[str, str]) -> None:
        """Write the conditions of a run as the operator does, each with a reason and a message."""
        time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        found = [
            {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": time}
            for type_, (reason, message) in conditions.items()
        ]
        patch = json.dumps({"status": {"conditions": found}})
        self.kubectl("patch", "sr", name, "--subresource=status", "--type=merge", "-p", patch)

    def set_key(self, connection_string: str) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}}
        self.apply({**body, "stringData": {"connectionString": connection_string}})

    def renew(self, holder: str = "", *, age: timedelta = timedelta(0), seconds: int = 3600) -> None:
        """Write the Lease as the operator's pod does."""
        spec = {
            "holderIdentity": holder or self.pods()[0],
            "leaseDurationSeconds": seconds,
            "renewTime": f"{datetime.now(UTC) - age:%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        self.apply(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": OPERATOR}, "spec": spec}
        )


@contextmanager
def installed(cluster: Cluster, azurite: Any) -> Iterator[Release]:
    """Install a release with one model."""
    found = Release(cluster, new_storage(azurite))
    cluster.create_namespace(found.namespace)
    found.storage.put("models", "press-1.joblib", b"model")
    found.install()
    yield found
    cluster.api.request("DELETE", f"/api/v1/namespaces/{found.namespace}")


class Doctor:
    """The command in a namespace."""

    def __init__(self, namespace: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._words = ["doctor", "-n", namespace, "-o", "json"]
        self._capsys = capsys

    def __call__(self, *words: str, code: int | None = 1) -> list[tuple[str, str, str]]:
        """Run it with the fleet's Secret, check its exit code, and return what is not OK: result, check, message."""
        self._capsys.readouterr()
        found = main([*self._words, *(words or ("--use-fleet-secret",))])
        rows = json.loads(self._capsys.readouterr().out)
        problems = [row for row in rows if row["result"] == "PROBLEM"]
        expected = int(bool(problems)) if code is None else code
        assert found == expected, [row for row in rows if row["result"] != "OK"]
        assert all(row["cure"] for row in rows if row["result"] != "OK")
        return [(row["result"], row["check"], row["message"]) for row in rows if row["result"] != "OK"]

    def until_found(self, check: str, text: str, *words: str, result: str = "PROBLEM") -> None:
        """Wait until the command has a finding."""
        found: list[tuple[str, str, str]] = []

        def is_found() -> bool:
            found[:] = self(*words, code=None)
            return any((a, b) == (result, check) and text in message for a, b, message in found)

        try:
            until(is_found, f"{check}: {text}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {found}") from error
