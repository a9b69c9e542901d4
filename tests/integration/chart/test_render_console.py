"""The console of each fleet that helm renders, and the command line that it starts."""

import json
from typing import Any

import pytest
import yaml
from hack import version

from fleetscore.console.security import allowed_hosts
from fleetscore.contract.fleets import parse_fleets
from tests.testkit.chart import (
    EVERYTHING,
    MINIMAL,
    HelmFailedError,
    Manifest,
    a_fleet,
    environment,
    find,
    helm,
    render,
)
from tests.testkit.paths import CHART

pytestmark = pytest.mark.usefixtures("helm")
DIGEST = f"sha256:{'0123456789' * 6}0123"
SECRET = {"name": "account", "key": "sas", "kind": "sas"}


def console(fleets: list[dict[str, Any]] | None = None, **values: Any) -> list[Manifest]:
    """Return the objects of the console, with the given values of it."""
    given = {"fleets": fleets or [a_fleet()], "console": {"enabled": True, **values}}
    return [m for m in render(given) if m["metadata"]["labels"]["app.kubernetes.io/component"] == "console"]


def container(manifests: list[Manifest], name: str = "") -> dict[str, Any]:
    found: dict[str, Any] = find(manifests, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.value("console.enabled")
def test_console_is_not_installed_by_default() -> None:
    values: dict[str, Any] = {"fleets": [a_fleet()]}
    assert not [m for m in render(values) if "console" in json.dumps(m["metadata"])]
    kinds = {m["kind"] for m in console()}
    assert kinds == {"Deployment", "NetworkPolicy", "Role", "RoleBinding", "Service", "ServiceAccount"}


@pytest.mark.value("console.fleets")
def test_each_named_fleet_has_a_console_in_each_of_its_namespaces() -> None:
    manifests = render(EVERYTHING)
    for kind in ("Deployment", "NetworkPolicy", "Service"):
        found = [m["metadata"] for m in manifests if m["kind"] == kind and "-console-" in m["metadata"]["name"]]
        names = {(one["name"], one["namespace"]) for one in found}
        assert names == {("fleetscore-console-presses", "plant-a"), ("fleetscore-console-presses", "plant-b")}
    roles = {m["metadata"]["namespace"] for m in manifests if m["metadata"]["name"] == "fleetscore-console"}
    assert roles == {"plant-a", "plant-b"}
    with pytest.raises(HelmFailedError, match=r'console\.fleets: "pumps" is not the name of one of the fleets'):
        render({"fleets": [a_fleet()], "console": {"fleets": ["pumps"]}})


def test_consoles_of_two_fleets_share_the_account_of_their_namespace() -> None:
    manifests = console([a_fleet(name="one"), a_fleet(name="two")])
    assert {m["metadata"]["name"] for m in manifests if m["kind"] == "Deployment"} == {
        "fleetscore-console-one",
        "fleetscore-console-two",
    }
    for kind in ("ServiceAccount", "Role", "RoleBinding"):
        assert find(manifests, kind)["metadata"]["name"] == "fleetscore-console"
    selectors = [m["spec"]["selector"]["matchLabels"] for m in manifests if m["kind"] == "Deployment"]
    assert [one["fleetscore.dev/fleet"] for one in selectors] == ["one", "two"]


@pytest.mark.value("console.image.repository", "console.image.tag", "console.image.digest")
def test_image_of_the_console_has_the_version_of_the_chart_by_default() -> None:
    assert container(console())["image"] == f"fleetscore/console:{version.read()}"
    assert container(console(image={"repository": "x/c", "tag": "v2"}))["image"] == "x/c:v2"
    assert container(console(image={"repository": "x/c", "tag": "v2", "digest": DIGEST}))["image"] == f"x/c@{DIGEST}"


@pytest.mark.value("console.allowedHosts")
def test_hosts_that_the_schema_allows_are_allowed_by_the_console() -> None:
    hosts = ["console.example.com", "10.0.0.7", "a"]
    arguments = container(console(allowedHosts=hosts))["args"]
    assert arguments[4:] == [f"--allowed-host={host}" for host in hosts]
    assert allowed_hosts(hosts) > set(hosts)
    for host in ("*", "*.example.com", "https://a", "a:80", "Console.example.com", "a/b", ""):
        with pytest.raises(HelmFailedError, match="a host name in lower case without scheme, port and wildcard"):
            console(allowedHosts=[host])


def test_fleet_reaches_the_console_without_contacts_notices_and_limits() -> None:
    manifests = render(EVERYTHING)
    deployment = find(manifests, "Deployment", "fleetscore-console-presses", "plant-a")
    text = environment(deployment["spec"]["template"])["FLEETSCORE_FLEETS"]
    layout = parse_fleets(json.loads(text))["presses"]
    assert layout.predictions_path == "v2/{window}/{device}.csv"
    assert layout.containers["models"] == "press-models"
    assert layout.account_url == "https://presses.blob.core.windows.net"
    assert "hall3@example.com" not in text
    assert "alertmanager" not in text


def test_path_of_a_fleet_is_not_expanded_by_kubernetes() -> None:
    fleet = a_fleet(models={"path": "$(POD_IP)/{device}.joblib"})
    assert "$$(POD_IP)/" in environment({"spec": {"containers": [container(console([fleet]))]}})["FLEETSCORE_FLEETS"]


def test_fleets_identity_is_the_only_credential_of_its_console() -> None:
    deployment = find(console(), "Deployment")["spec"]["template"]
    assert deployment["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert environment(deployment)["AZURE_TOKEN_CREDENTIALS"] == "WorkloadIdentityCredential"
    with_sas = a_fleet(storage=a_fleet()["storage"] | {"auth": "existingSecret", "existingSecret": SECRET})
    deployment = find(console([with_sas]), "Deployment")["spec"]["template"]
    assert "azure.workload.identity/use" not in deployment["metadata"]["labels"]
    variables = {one["name"]: one.get("valueFrom") for one in deployment["spec"]["containers"][0]["env"]}
    assert variables["AZURE_STORAGE_SAS_TOKEN"] == {"secretKeyRef": {"name": "account", "key": "sas"}}
    assert "AZURE_TOKEN_CREDENTIALS" not in variables
    minimal = find(
        render({**yaml.safe_load(MINIMAL.read_text()), "console": {"enabled": True}}),
        "Deployment",
        "fleetscore-console-default",
    )
    names = [one["name"] for one in minimal["spec"]["template"]["spec"]["containers"][0]["env"]]
    assert names == ["FLEETSCORE_FLEETS", "AZURE_STORAGE_CONNECTION_STRING"]


def test_policy_of_the_console_admits_no_client_by_default() -> None:
    policy = find(console(), "NetworkPolicy")["spec"]
    assert (policy["policyTypes"], policy["ingress"]) == (["Ingress"], [])
    manifests = render({"fleets": [a_fleet()], "console": {"enabled": True}, "networkPolicy": {"enabled": True}})
    policy = find(manifests, "NetworkPolicy", "fleetscore-console-default")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"][-1]["port"] for rule in policy["egress"]] == [5353, 6443, 443]
    assert find(console(), "Service")["spec"]["type"] == "ClusterIP"


def test_names_of_a_long_release_and_fleet_have_at_most_63_characters() -> None:
    values = {"fleets": [a_fleet(name="f" * 50)], "console": {"enabled": True}}
    names = {m["metadata"]["name"] for m in render(values, release="r" * 50)}
    assert f"rrrr-console-{'f' * 50}" in names
    assert max(map(len, names - {"scoringruns.fleetscore.dev"})) <= 63


def test_notes_show_the_port_forward_of_each_console() -> None:
    options = ("--dry-run=client", "--values", MINIMAL, "--set", "console.enabled=true", "--set", "console.port=9000")
    notes = helm("install", "fleetscore", CHART, "--namespace", "scoring", *options).partition("NOTES:")[2]
    assert "kubectl -n scoring port-forward service/fleetscore-console-default 9000\n" in notes
