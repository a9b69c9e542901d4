"""`doctor` on a real API server and Azurite, with the objects of the chart; each test breaks one thing on purpose.

The pods of the operator are simulated, so the test writes its Lease.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from fleetscore.cli import main
from localcluster.cluster import Cluster
from tests.testkit.azurite import Storage, new_storage
from tests.testkit.chart import render
from tests.testkit.waiting import until

OPERATOR, SECRET, CRON_JOB = "fleetscore-operator", "account", "fleetscore-hourly"
REVIEWS = ("rbac.authorization.k8s.io", "roles")


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
            "fleets": [{"name": "default", "storage": {**storage, **containers}}],
            "schedules": [{"name": "hourly", "cron": "5 * * * *", "fleet": "default"}],
        }
        self.set_key(self.storage.connection_string)
        self.apply(*(one for one in render(values, namespace=self.namespace) if one["kind"] != "PriorityClass"))
        until(lambda: len(self.pods()) == 1, "the operator's pod is ready", seconds=60)
        self.renew()

    def pods(self) -> list[str]:
        selector = "--selector=app.kubernetes.io/component=operator"
        ready = "jsonpath={range .items[?(@.status.containerStatuses[0].ready==true)]}{.metadata.name} {end}"
        return self.kubectl("get", "pods", selector, "-o", ready).split()

    def set_key(self, connection_string: str) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}}
        self.apply({**body, "stringData": {"connectionString": connection_string}})

    def renew(self, holder: str = "") -> None:
        """Write the Lease as the operator's pod does."""
        spec = {
            "holderIdentity": holder or self.pods()[0],
            "leaseDurationSeconds": 3600,
            "renewTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        self.apply(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": OPERATOR}, "spec": spec}
        )


@pytest.fixture(scope="module")
def release(cluster_with_crd: Cluster, azurite: Any, helm: None) -> Iterator[Release]:  # noqa: ARG001  it builds helm
    found = Release(cluster_with_crd, new_storage(azurite))
    cluster_with_crd.create_namespace(found.namespace)
    found.storage.put("models", "press-1.joblib", b"model")
    found.install()
    yield found
    cluster_with_crd.api.request("DELETE", f"/api/v1/namespaces/{found.namespace}")


class Doctor:
    """The command in the namespace of the release."""

    def __init__(self, release: Release, capsys: pytest.CaptureFixture[str]) -> None:
        self._words = ["doctor", "-n", release.namespace, "-o", "json"]
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 1) -> list[tuple[str, str, str]]:
        """Run it with the fleet's Secret, check its exit code, and return what is not OK: result, check, message."""
        self._capsys.readouterr()
        found = main([*self._words, *(words or ("--use-fleet-secret",))])
        captured = self._capsys.readouterr()
        rows = json.loads(captured.out)
        assert found == code, [row for row in rows if row["result"] != "OK"]
        assert all(row["cure"] for row in rows if row["result"] != "OK")
        return [(row["result"], row["check"], row["message"]) for row in rows if row["result"] != "OK"]


@pytest.fixture
def doctor(release: Release, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    monkeypatch.setenv("KUBECONFIG", str(release.cluster.kubeconfig))
    return Doctor(release, capsys)


def test_healthy_release_has_only_oks(doctor: Doctor) -> None:
    assert doctor(code=0) == []


def test_storage_without_a_key_is_not_checked_and_the_option_is_named(doctor: Doctor) -> None:
    ((result, check, message),) = doctor("--fleet", "default", code=0)
    assert (result, check) == ("UNKNOWN", "storage")
    assert "gets no token of this user" in message


Breakage = Callable[[Release], Any]


@contextmanager
def broken(release: Release, break_it: Breakage, repair: Breakage) -> Iterator[None]:
    break_it(release)
    try:
        yield
    finally:
        repair(release)


def delete(kind: str, name: str) -> Breakage:
    return lambda release: release.kubectl("delete", kind, name)


def reinstall(release: Release) -> None:
    release.install()


def add_operator(release: Release) -> None:
    found = json.loads(release.kubectl("get", "deployment", OPERATOR, "-o", "json"))
    metadata = {"name": "second", "labels": found["metadata"]["labels"]}
    release.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": found["spec"]})


def rename_container(release: Release) -> None:
    release.storage.client.delete_container(release.storage.data)


def restore_container(release: Release) -> None:
    release.storage.azurite.create_container(release.storage.data)


BREAKAGES: dict[str, tuple[Breakage, Breakage, str, str]] = {
    "operator-scaled": (
        lambda release: release.patch("deployment", OPERATOR, replicas=0),
        reinstall,
        "operator",
        "has 0 replicas",
    ),
    "two-operators": (add_operator, delete("deployment", "second"), "operator", "both handle runs of"),
    "lease-of-another": (
        lambda release: release.renew("a-laptop"),
        lambda release: release.renew(),
        "lease",
        "held by a-laptop, which is not a pod of this release",
    ),
    "right": (delete("rolebinding", OPERATOR), reinstall, "rights", "the operator may not"),
    "wrong-key": (
        lambda release: release.set_key(release.storage.connection_string.replace("AccountKey=", "AccountKey=AAAA")),
        lambda release: release.set_key(release.storage.connection_string),
        "storage",
        "rejects the key (Auth",
    ),
    "container": (rename_container, restore_container, "storage", "does not exist"),
    "models": (
        lambda release: release.storage.client.get_blob_client(release.storage.models, "press-1.joblib").delete_blob(),
        lambda release: release.storage.put("models", "press-1.joblib", b"model"),
        "models",
        "has no models",
    ),
    "suspended": (
        lambda release: release.patch("cronjob", CRON_JOB, suspend=True),
        lambda release: release.patch("cronjob", CRON_JOB, suspend=False),
        "schedules",
        "the schedule is suspended",
    ),
    "secret": (
        delete("secret", SECRET),
        lambda release: release.set_key(release.storage.connection_string),
        "secrets",
        "Secret account does not exist",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_breakage_is_a_problem_with_its_cure(release: Release, doctor: Doctor, name: str) -> None:
    break_it, repair, check, text = BREAKAGES[name]
    with broken(release, break_it, repair):
        found = doctor()
    assert any((result, of) == ("PROBLEM", check) and text in message for result, of, message in found), found


def test_user_without_rights_learns_each_missing_one(
    release: Release, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = release.cluster.create_kubeconfig(release.namespace, "default")
    monkeypatch.setenv("KUBECONFIG", str(account))
    found = doctor()
    assert {check for result, check, _ in found if result == "PROBLEM"} == {"user"}
    assert {check for result, check, _ in found if result == "UNKNOWN"} == {"operator", "fleets", "schedules"}
    assert all("this user may not" in message for _, _, message in found)
