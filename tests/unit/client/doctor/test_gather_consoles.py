"""The facts of consoles: their Deployments, pods, Secrets and logs."""

from datetime import timedelta
from typing import Any

import pytest

from fleetscore.cluster.connection import Cluster
from fleetscore.doctor.facts import ConsoleFacts, SecretKey, SecretState
from fleetscore.doctor.findings import Unseen
from fleetscore.doctor.gather_consoles import gather_consoles
from tests.testkit import fake_release as fake
from tests.testkit.fake_release import FakeRelease, api_time

NAME = "fleetscore-console-default"
LABELS = {**fake.LABELS, "app.kubernetes.io/component": "console", "fleetscore.dev/fleet": "default"}
PODS = f"/api/v1/namespaces/{fake.NAMESPACE}/pods"
SERVICES = f"/api/v1/namespaces/{fake.NAMESPACE}/services"
LOG = f"{PODS}/console-1/log"
ACCOUNT = f"/api/v1/namespaces/{fake.NAMESPACE}/serviceaccounts/console"
FAULT = "storage cannot be read: container models does not exist; check the settings"


def a_console(name: str = NAME, namespace: str = fake.NAMESPACE, *, with_key: bool = True) -> Any:
    reference = {"name": "account", "key": "connectionString"}
    env: list[Any] = [{"name": "FLEETSCORE_FLEETS", "value": "{}"}]
    if with_key:
        env.append({"name": "AZURE_STORAGE_CONNECTION_STRING", "valueFrom": {"secretKeyRef": reference}})
    template = {"serviceAccountName": "console", "containers": [{"name": "console", "env": env}]}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": LABELS},
        "spec": {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": {"spec": template}},
        "status": {"readyReplicas": 1, "updatedReplicas": 1},
    }


def a_pod(started: str, name: str = "console-1") -> Any:
    status = {"containerStatuses": [{"name": "console", "state": {"running": {"startedAt": started}}}]}
    return {"metadata": {"name": name, "labels": LABELS}, "status": status}


@pytest.fixture
def with_console(fake_release: FakeRelease) -> FakeRelease:
    """Return a release with a console, its Service and a running pod."""
    service = {"metadata": {"name": NAME, "labels": LABELS}, "spec": {"ports": [{"port": 8087}]}}
    fake_release.lists[SERVICES] = [service]
    fake_release.lists[PODS].append(a_pod("2026-01-05T12:00:00Z"))
    fake_release.texts[LOG] = "console on http://localhost:8087/\n"
    fake_release.objects[ACCOUNT] = {"metadata": {"name": "console"}}
    return fake_release


def gathered(*deployments: Any) -> Any:
    found = gather_consoles(Cluster.connect(), deployments or [a_console()], None, 10)
    assert isinstance(found, tuple)
    return found


def change_secret(release: FakeRelease, time: str) -> None:
    fields = [{"time": time, "fieldsV1": {"f:data": {"f:connectionString": {}}}}]
    release.objects[fake.SECRET]["metadata"] = {"name": "account", "managedFields": fields}


@pytest.mark.usefixtures("with_console")
def test_console_has_its_port_its_key_and_no_fault() -> None:
    key = SecretKey(fake.NAMESPACE, "account", "connectionString")
    assert gathered() == (ConsoleFacts(fake.NAMESPACE, NAME, port=8087, secret=key, secret_state=SecretState.PRESENT),)


@pytest.mark.usefixtures("with_console")
def test_consoles_of_other_namespaces_are_left_out() -> None:
    assert [one.name for one in gathered(a_console(namespace="other"), a_console())] == [NAME]


@pytest.mark.usefixtures("fake_release")
def test_number_of_consoles_has_a_limit() -> None:
    assert len(gathered(*(a_console(f"c{number}") for number in range(21)))) == 20


@pytest.mark.usefixtures("with_console")
def test_service_without_a_deployment_is_a_console_that_does_not_exist() -> None:
    assert gathered(a_console(namespace="other")) == (ConsoleFacts(fake.NAMESPACE, NAME, exists=False, port=8087),)


def test_console_without_its_account_and_secret_is_described(with_console: FakeRelease) -> None:
    del with_console.objects[ACCOUNT], with_console.objects[fake.SECRET]
    (found,) = gathered()
    assert (found.account, found.secret_state) == ("console", SecretState.MISSING)
    assert gathered(a_console(with_key=False))[0].secret is None


def test_fault_of_storage_is_read_from_the_log_of_a_running_pod(with_console: FakeRelease) -> None:
    with_console.texts[LOG] = f"{FAULT}\n"
    assert gathered()[0].storage_fault == "container models does not exist; check the settings"
    with_console.texts[LOG] = f"{FAULT}\nstorage can be read again\n"
    assert gathered()[0].storage_fault == ""
    del with_console.texts[LOG]
    assert gathered()[0].storage_fault == ""


@pytest.mark.parametrize(("changed", "outdated"), [("12:00:01", True), ("11:59:59", False)])
def test_key_that_was_changed_after_the_start_is_outdated(
    with_console: FakeRelease, changed: str, *, outdated: bool
) -> None:
    change_secret(with_console, f"2026-01-05T{changed}Z")
    assert gathered()[0].outdated is outdated
    with_console.lists[PODS][-1]["metadata"]["deletionTimestamp"] = api_time(timedelta(0))
    assert not gathered()[0].outdated


@pytest.mark.parametrize(("path", "right"), [(PODS, "list pods"), (LOG, "get pods/log")], ids=["pods", "log"])
def test_missing_right_to_read_pods_is_named(with_console: FakeRelease, path: str, right: str) -> None:
    with_console.forbidden.add(path)
    fault = gathered()[0].storage_fault
    assert isinstance(fault, Unseen)
    assert right in fault.reason


def test_missing_right_to_read_services_and_secrets_hides_nothing_else(with_console: FakeRelease) -> None:
    with_console.forbidden |= {SERVICES, fake.SECRET}
    (found,) = gathered()
    assert (found.port, found.ready, found.storage_fault) == (0, 1, "")
    assert isinstance(found.secret_state, Unseen)
