"""The console that the chart deploys: its command, its probes and its rights, on a real API server and Azurite."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.chart_rights import NEEDED, granted

from localcluster.allocation import free_port
from tests.testkit.audit import Audit
from tests.testkit.azurite import Storage
from tests.testkit.chart import Manifest, a_schedule, find, render
from tests.testkit.console_fleet import HALL, WINDOW
from tests.testkit.console_process import ConsoleProcess, started_console
from tests.testkit.runs import Runs, hour

pytestmark = pytest.mark.usefixtures("helm")
PAGES = [
    *("/", "/heat-map", "/heat-map.png", f"/device?id={HALL}", "/run?name=open", "/schedules"),
    f"/device/predictions.csv?id={HALL}&window={WINDOW.slug}",
    f"/report?window={WINDOW.slug}",
]


@pytest.fixture
def manifests(runs: Runs, filled: Storage) -> list[Manifest]:
    """Apply the chart with a console and a suspended schedule in the namespace of the test, without pods."""
    secret = {"name": "fleet-storage", "key": "connectionString", "kind": "connectionString"}
    roles = {role: filled.container(role) for role in ("models", "data", "predictions")}
    storage = {"accountUrl": filled.account_url, "auth": "existingSecret", "existingSecret": secret, **roles}
    values = {
        "fleets": [{"name": "default", "storage": storage}],
        "schedules": [a_schedule(suspend=True)],
        "console": {"enabled": True, "port": free_port(), "allowedHosts": ["console.example.com"]},
        "crds": {"enabled": False},
        "admissionPolicy": {"enabled": False},
    }
    rendered = render(values, namespace=runs.namespace)
    installed = [one for one in rendered if one["kind"] != "Deployment"]
    runs.cluster.kubectl("-n", runs.namespace, "apply", "-f", "-", input=yaml.safe_dump_all(installed))
    return rendered


@pytest.fixture
def pod(manifests: list[Manifest]) -> dict[str, Any]:
    """Return the spec of the console's pod."""
    spec: dict[str, Any] = find(manifests, "Deployment", "fleetscore-console-default")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def console(runs: Runs, pod: dict[str, Any], filled: Storage, tmp_path: Path) -> Iterator[ConsoleProcess]:
    secrets = {"connectionString": filled.connection_string}
    with started_console(runs.cluster, pod, runs.namespace, secrets, tmp_path) as started:
        yield started


@pytest.mark.fault("T3", "T13")
def test_pages_use_every_right_of_the_role_no_other_and_show_no_credential(
    runs: Runs, manifests: list[Manifest], console: ConsoleProcess, filled: Storage
) -> None:
    runs.create("open", window=hour(5), suspend=True)
    secret = filled.azurite.key
    for address in PAGES:
        response = console.get(address)
        assert response.status_code == 200, (address, response.text, console.output.read_text())
        assert secret not in response.text, address
    assert "hourly" in console.get("/schedules").text
    assert "does not allow this user" not in console.get("/run?name=open").text
    account = f"system:serviceaccount:{runs.namespace}:fleetscore-console"
    requests = [one for one in Audit(runs.cluster.audit_log).of(runs.namespace) if one.user == account]
    assert [one for one in requests if one.code in (401, 403)] == []
    assert {(one.verb, one.resource) for one in requests} == granted(manifests, "console") == NEEDED["console"].keys()
    assert secret not in console.output.read_text()


def test_probes_succeed_and_other_hosts_than_those_of_the_values_are_rejected(
    pod: dict[str, Any], console: ConsoleProcess
) -> None:
    (container,) = pod["containers"]
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert console.probe(container[name]) == 200
        assert console.probe({"httpGet": {"path": container[name]["httpGet"]["path"]}}) == 421
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-User": "ann"}
    hosts = ["localhost:8087", "127.0.0.1:9", "console.example.com", "evil.example", "fleetscore-console-default:8087"]
    assert [console.get("/", host, **forwarded).status_code for host in hosts] == [200, 200, 200, 421, 421]
