"""The chart on clusters as they are: as a dependency, with ids that the cluster chooses, with IPv6."""

import ipaddress
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.charts import CHART

from tests.integration.chart.rendered_values import scoring_job
from tests.testkit.chart import (
    EVERYTHING,
    MINIMAL,
    HelmFailedError,
    Manifest,
    a_fleet,
    a_schedule,
    each_ci_values,
    find,
    helm,
    pod_templates,
    render,
)

pytestmark = pytest.mark.usefixtures("helm")
UMBRELLA = """
apiVersion: v2
name: plant
version: 0.1.0
dependencies:
  - {name: fleetscore, version: "*", condition: fleetscore.enabled}
"""
IDS = {"runAsUser", "runAsGroup", "fsGroup"}
NO_IDS = dict.fromkeys(IDS)
POLICIES: dict[str, Any] = {
    "fleets": [a_fleet()],
    "schedules": [a_schedule()],
    "networkPolicy": {"enabled": True},
}


def render_umbrella(
    folder: Path,
    values: dict[str, Any],
    *,
    chart: str = UMBRELLA,
    release: str = "plant",
    key: str = "fleetscore",
    shared: dict[str, Any] | None = None,
) -> list[Manifest]:
    """Render a chart that has this chart as a dependency; `shared` are the values of `global`."""
    (folder / "Chart.yaml").write_text(chart)
    shutil.copytree(CHART, folder / "charts" / "fleetscore")
    text = helm("template", release, folder, "--values", "-", stdin=json.dumps({key: values, "global": shared or {}}))
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


@pytest.mark.value("enabled")
@pytest.mark.parametrize(("enabled", "deployments"), [(True, 1), (False, 0)])
def test_condition_of_a_dependency_decides_if_the_chart_is_rendered(
    tmp_path: Path, *, enabled: bool, deployments: int
) -> None:
    manifests = render_umbrella(tmp_path, {"enabled": enabled, "fleets": [a_fleet()]})
    assert [m["kind"] for m in manifests].count("Deployment") == deployments


@pytest.mark.parametrize("release", ["v1.2", "a" * 38 + ".1-" + "b" * 8])
def test_names_of_services_are_dns_labels_for_any_release_and_alias(tmp_path: Path, release: str) -> None:
    chart = UMBRELLA.replace("condition: fleetscore.enabled", "alias: plantA")
    values = {"fleets": [a_fleet()], "console": {"enabled": True}, "monitoring": {"serviceMonitor": {"enabled": True}}}
    manifests = render_umbrella(tmp_path, values, chart=chart, release=release, key="plantA")
    services = [manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "Service"]
    assert len(services) == 2
    assert [name for name in services if not re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)] == []


@pytest.mark.value("fullnameOverride")
@pytest.mark.parametrize(
    "chosen", [{"release": "2025"}, {"fullnameOverride": "3.plant"}, {"nameOverride": "a_b"}], ids=str
)
def test_name_that_is_not_a_dns_label_becomes_one(chosen: dict[str, str]) -> None:
    values: dict[str, Any] = {"fleets": [a_fleet()], "console": {"enabled": True}, **chosen}
    release = values.pop("release", "scores")
    manifests = render(values, release=release)
    service = find(manifests, "Service")["metadata"]["name"]
    assert re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", service)


def test_long_releases_share_no_name() -> None:
    values: dict[str, Any] = {"fleets": [a_fleet()], "schedules": [a_schedule()], "console": {"enabled": True}}
    values |= {"admissionPolicy": {"enabled": True}, "rbac": {"aggregateClusterRoles": True}}
    first, second = (
        {(m["kind"], m["metadata"]["name"]) for m in render(values, release=f"{'r' * 45}-{number}")}
        for number in (1, 2)
    )
    assert {kind for kind, _ in first & second} <= {"CustomResourceDefinition"}


def types(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place and the type of each value of a document; the items of a list have one place."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from types(entry, f"{path}.{key}")
    elif isinstance(value, list):
        for entry in value:
            yield from types(entry, f"{path}[]")
    else:
        yield path, type(value).__name__


def types_of_release(name: str) -> set[tuple[str, str]]:
    """Return the types of all values of a release in which everything that has a name has this one."""
    secret = {"auth": "existingSecret", "existingSecret": {"name": name, "key": name, "kind": "sas"}}
    fleet = a_fleet(name=name, namespaces=[name])
    everything: dict[str, Any] = {
        "fleets": [fleet | {"storage": fleet["storage"] | secret}],
        "schedules": [a_schedule(name=name, fleet=name, namespace=name)],
        "watch": {"namespaces": [name]},
        "nameOverride": name,
        "priorityClass": {"create": True, "name": name},
        "monitoring": {"alerts": {"enabled": True}, "serviceMonitor": {"enabled": True}},
        **{switch: {"enabled": True} for switch in ("networkPolicy", "resourceQuota")},
        **{part: {"serviceAccount": {"name": name}} for part in ("operator", "scorer", "scheduler")},
        "console": {"enabled": True, "serviceAccount": {"name": name}},
    }
    manifests = render(everything, release=name, namespace=name, hooks=True)
    return {(manifest["kind"] + path, kind) for manifest in manifests for path, kind in types(manifest)}


@pytest.mark.parametrize("name", ["2025", "0x1f", "null", "2024-01-01"])
def test_name_that_yaml_reads_as_another_type_stays_a_text(name: str) -> None:
    assert types_of_release(name) ^ types_of_release("plant") == set()


def test_pods_of_helm_test_have_the_annotations_of_schedules() -> None:
    annotations = {"linkerd.io/inject": "disabled", "helm.sh/hook": "none"}
    manifests = render({"fleets": [a_fleet()], "scheduler": {"podAnnotations": annotations}}, hooks=True)
    for step in ("prepare", "run", "finish"):
        found = find(manifests, "Pod", f"fleetscore-test-{step}")["metadata"]["annotations"]
        assert found["linkerd.io/inject"] == "disabled"
        assert found["helm.sh/hook"] == "test"


def test_pull_secrets_of_a_parent_chart_are_used(tmp_path: Path) -> None:
    values = {"fleets": [a_fleet()], "schedules": [a_schedule()], "imagePullSecrets": [{"name": "own"}]}
    manifests = render_umbrella(tmp_path, values, shared={"imagePullSecrets": ["plain", {"name": "own"}]})
    templates = [find(manifests, "Deployment")["spec"]["template"], *pod_templates(manifests).values()]
    assert {str(one["spec"]["imagePullSecrets"]) for one in templates} == {"[{'name': 'plain'}, {'name': 'own'}]"}
    (container,) = templates[0]["spec"]["containers"]
    assert {"name": "FLEETSCORE_SCORER_IMAGE_PULL_SECRETS", "value": "plain,own"} in container["env"]


@pytest.mark.parametrize("section", ["crds", "networkPolicy", "console", "operator", "monitoring", "azure"])
def test_section_that_is_null_is_named(section: str) -> None:
    with pytest.raises(HelmFailedError, match=f"missing property '{section}'"):
        render({"fleets": [a_fleet()], section: None})


def test_probes_and_annotations_can_be_null() -> None:
    probes = dict.fromkeys(("startupProbe", "livenessProbe", "readinessProbe"))
    none = {"extraArgs": None, "serviceAccount": {"annotations": None}}
    manifests = render({"fleets": [a_fleet()], "commonLabels": None, "operator": {**probes, **none}})
    (container,) = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert not container.keys() & probes


def test_ids_can_be_left_out_in_a_dependency(tmp_path: Path) -> None:
    manifests = render_umbrella(tmp_path, {"podSecurityContext": NO_IDS, "fleets": [a_fleet()]})
    assert not IDS & find(manifests, "Deployment")["spec"]["template"]["spec"]["securityContext"].keys()


def pods(values: dict[str, Any] | Path, **more: Any) -> dict[str, Manifest]:
    """Return the pods of operator, schedules and `helm test`, and of the scoring Jobs of each fleet."""
    given = (yaml.safe_load(values.read_text()) if isinstance(values, Path) else values) | more
    manifests = render(given, hooks=True)
    jobs = {fleet["name"]: scoring_job(manifests, fleet["name"])["spec"]["template"] for fleet in given["fleets"]}
    return pod_templates(manifests) | {f"Job/{name}": template for name, template in jobs.items()}


@each_ci_values
@pytest.mark.value("podSecurityContext.runAsUser", "podSecurityContext.runAsGroup", "podSecurityContext.fsGroup")
def test_no_pod_has_an_id_if_all_ids_are_left_out(values: Path) -> None:
    for name, pod in pods(values, podSecurityContext=NO_IDS).items():
        context = pod["spec"]["securityContext"]
        assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}, name
        assert not IDS & {key for container in pod["spec"]["containers"] for key in container["securityContext"]}, name


@each_ci_values
def test_no_pod_has_a_variable_for_each_service_of_its_namespace(values: Path) -> None:
    assert [name for name, pod in pods(values).items() if pod["spec"]["enableServiceLinks"] is not False] == []


@each_ci_values
def test_ids_of_the_images_are_the_default(values: Path) -> None:
    for name, pod in pods(values).items():
        assert {pod["spec"]["securityContext"][key] for key in IDS} == {65532}, name


def test_one_id_can_be_changed_for_every_pod() -> None:
    for name, pod in pods(MINIMAL, podSecurityContext={"runAsUser": 1000680000, "fsGroup": None}).items():
        context = pod["spec"]["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (1000680000, 65532), name
        assert "fsGroup" not in context, name


def test_user_id_of_root_is_rejected() -> None:
    with pytest.raises(HelmFailedError, match="podSecurityContext/runAsUser"):
        render({"podSecurityContext": {"runAsUser": 0}})


def peers(manifests: list[Manifest], policy: str = "") -> Iterator[list[dict[str, Any]]]:
    """Yield the blocks of each rule of the policies."""
    for manifest in manifests:
        if manifest["kind"] == "NetworkPolicy" and policy in ("", manifest["metadata"]["name"]):
            for rule in manifest["spec"]["egress"]:
                yield [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]


@pytest.mark.fault("T6")
@pytest.mark.parametrize(
    "values",
    [POLICIES, POLICIES | {"networkPolicy": {"enabled": True, "metadataAddresses": ["10.0.0.0/8", "fd00::/8"]}}],
)
def test_every_block_of_addresses_is_valid_for_its_family(values: dict[str, Any]) -> None:
    rules = list(peers(render(values, hooks=True)))
    assert rules
    for blocks in rules:
        assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
        for block in blocks:
            network = ipaddress.ip_network(block["cidr"])
            inner = [ipaddress.ip_network(address) for address in block["except"]]
            assert inner
            assert all(one.version == network.version and one.prefixlen > network.prefixlen for one in inner)


@pytest.mark.fault("T6")
def test_metadata_addresses_of_both_families_are_excluded_by_default() -> None:
    for v4, v6 in peers(render(POLICIES)):
        assert v4["except"] == ["169.254.169.254/32", "168.63.129.16/32"]
        assert {"fd00:ec2::254/128", "fd20:ce::254/128"} <= set(v6["except"])


@pytest.mark.value("networkPolicy.ipFamilies")
@pytest.mark.parametrize(("family", "cidr"), [("IPv4", "0.0.0.0/0"), ("IPv6", "::/0")])
def test_policies_can_have_one_family(family: str, cidr: str) -> None:
    rules = list(peers(render(POLICIES | {"networkPolicy": {"enabled": True, "ipFamilies": [family]}})))
    assert rules
    assert all([block["cidr"] for block in blocks] == [cidr] for blocks in rules)


def test_family_without_metadata_addresses_has_no_exception() -> None:
    values = POLICIES | {"networkPolicy": {"enabled": True, "metadataAddresses": ["169.254.169.254/32"]}}
    for _, v6 in peers(render(values)):
        assert v6 == {"cidr": "::/0"}


@pytest.mark.value("networkPolicy.extraEgress")
@pytest.mark.parametrize("component", ["operator", "scorer", "scheduler"])
def test_extra_targets_are_allowed_for(component: str) -> None:
    (extra,) = yaml.safe_load(EVERYTHING.read_text())["networkPolicy"]["extraEgress"]
    policies = [m for m in render(EVERYTHING) if m["metadata"]["name"] == f"fleetscore-{component}"]
    found = [m["spec"]["egress"] for m in policies if m["kind"] == "NetworkPolicy"]
    assert found
    assert all(extra in egress for egress in found)
