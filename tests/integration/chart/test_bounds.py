"""The limits that the chart renders: networks, drains, quotas, priorities, users' rights, profiles."""

from typing import Any

import pytest
import yaml
from hack.charts import CHART

from tests.integration.chart.rendered_values import scoring_job
from tests.testkit.chart import EVERYTHING, MINIMAL, Manifest, a_fleet, a_schedule, find, helm, render

pytestmark = pytest.mark.usefixtures("helm")
METADATA = ["169.254.169.254/32", "168.63.129.16/32"]
ON: dict[str, Any] = {
    "fleets": [a_fleet()],
    "schedules": [a_schedule()],
    "networkPolicy": {"enabled": True},
}


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] == kind}


def ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


@pytest.mark.value("networkPolicy.enabled")
def test_each_kind_of_pod_is_selected_by_a_network_policy() -> None:
    manifests = render(ON, hooks=True)
    policies = of_kind(manifests, "NetworkPolicy")
    pods = {
        "operator": find(manifests, "Deployment")["spec"]["template"],
        "scheduler": find(manifests, "CronJob")["spec"]["jobTemplate"]["spec"]["template"],
        "scorer": scoring_job(manifests, "default")["spec"]["template"],
        "test": find(manifests, "Pod", "fleetscore-test-run"),
    }
    for name, pod in pods.items():
        chooser = policies.pop(f"fleetscore-{name}")["spec"]["podSelector"]
        assert chooser["matchLabels"].items() <= pod["metadata"]["labels"].items()
        for expression in chooser.get("matchExpressions", ()):
            assert pod["metadata"]["labels"][expression["key"]] in expression["values"]
    assert policies == {}
    assert not of_kind(render(MINIMAL), "NetworkPolicy")


@pytest.mark.fault("T6")
def test_network_policies_exclude_the_metadata_address() -> None:
    for policy in of_kind(render(EVERYTHING), "NetworkPolicy").values():
        assert "Egress" in policy["spec"]["policyTypes"]
        blocks = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
        assert blocks
        assert all(block["except"] == METADATA for block in blocks if block["cidr"] == "0.0.0.0/0")
        assert all(rule["to"] for rule in policy["spec"]["egress"])


@pytest.mark.value("networkPolicy.metadataAddresses")
def test_additional_metadata_addresses_are_excluded() -> None:
    values = ON | {"networkPolicy": {"enabled": True, "metadataAddresses": ["100.100.100.200/32"]}}
    for policy in of_kind(render(values), "NetworkPolicy").values():
        blocks = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
        assert {block["except"][0] for block in blocks if "except" in block} == {"100.100.100.200/32"}


@pytest.mark.value("networkPolicy.storagePorts", "networkPolicy.apiServerPorts")
def test_each_component_may_reach_only_the_services_it_needs() -> None:
    values = ON | {"networkPolicy": {"enabled": True, "storagePorts": [10000], "apiServerPorts": [6443]}}
    policies = of_kind(render(values), "NetworkPolicy")
    assert ports(policies["fleetscore-scorer"]["spec"]["egress"]) == {53, 5353, 10000}
    assert ports(policies["fleetscore-scheduler"]["spec"]["egress"]) == {53, 5353, 6443}
    assert ports(policies["fleetscore-operator"]["spec"]["egress"]) == {53, 5353, 6443, 10000}
    assert ports(of_kind(render(ON), "NetworkPolicy")["fleetscore-scorer"]["spec"]["egress"]) == {53, 5353, 443}


@pytest.mark.value("networkPolicy.dnsPorts")
def test_dns_is_allowed_over_both_protocols_at_each_port() -> None:
    policies = of_kind(render(ON | {"networkPolicy": {"enabled": True, "dnsPorts": [5300]}}), "NetworkPolicy")
    dns = [{"port": 5300, "protocol": "UDP"}, {"port": 5300, "protocol": "TCP"}]
    assert all(policy["spec"]["egress"][0]["ports"] == dns for policy in policies.values())


def test_scorers_and_schedules_accept_no_traffic() -> None:
    policies = of_kind(render(EVERYTHING), "NetworkPolicy")
    for name in ("fleetscore-scorer", "fleetscore-scheduler"):
        assert "Ingress" in policies[name]["spec"]["policyTypes"]
        assert "ingress" not in policies[name]["spec"]


def test_several_operators_prefer_different_nodes() -> None:
    def affinity(**operator: Any) -> Any:
        return find(render({"operator": operator}), "Deployment")["spec"]["template"]["spec"].get("affinity")

    assert affinity() is None
    assert "podAntiAffinity" in affinity(replicas=2)
    assert affinity(replicas=2, affinity={"nodeAffinity": {}}) == {"nodeAffinity": {}}


@pytest.mark.value("operator.podDisruptionBudget.enabled")
def test_disruption_budget_exists_only_if_it_cannot_block_a_drain() -> None:
    def budgets(**operator: Any) -> list[Any]:
        return [
            m["spec"]["maxUnavailable"] for m in of_kind(render({"operator": operator}), "PodDisruptionBudget").values()
        ]

    assert budgets() == budgets(replicas=1) == budgets(replicas=0) == []
    assert budgets(replicas=2) == [1]
    assert budgets(replicas=2, podDisruptionBudget={"enabled": False}) == []


@pytest.mark.value("resourceQuota.enabled")
def test_each_namespace_of_a_fleet_has_a_quota_if_enabled() -> None:
    quotas = [m for m in render(EVERYTHING) if m["kind"] == "ResourceQuota"]
    assert {quota["metadata"]["namespace"] for quota in quotas} == {"plant-a", "plant-b", "scoring"}
    assert {"count/jobs.batch": "4000", "requests.cpu": "100"}.items() <= quotas[0]["spec"]["hard"].items()
    assert not of_kind(render(MINIMAL), "ResourceQuota")


def test_quota_keeps_fractions_and_large_numbers() -> None:
    hard = {"requests.cpu": 0.5, "pods": 12_345_678, "limits.memory": "5Gi"}
    quota = find(render({"fleets": [a_fleet()], "resourceQuota": {"enabled": True, "hard": hard}}), "ResourceQuota")
    found = quota["spec"]["hard"]
    assert {key: found[key] for key in hard} == {"requests.cpu": "0.5", "pods": "12345678", "limits.memory": "5Gi"}


@pytest.mark.value("priorityClass.create", "priorityClass.preemptionPolicy", "scorer.priorityClassName")
def test_scorers_use_the_created_priority_class_unless_they_name_another() -> None:
    values = {"fleets": [a_fleet()], "priorityClass": {"create": True, "preemptionPolicy": "PreemptLowerPriority"}}
    manifests = render(values)
    created = find(manifests, "PriorityClass")
    assert (created["metadata"]["name"], created["value"]) == ("fleetscore-scorer", -100)
    assert created["preemptionPolicy"] == "PreemptLowerPriority"
    pod = scoring_job(manifests, "default")["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "fleetscore-scorer"
    named = scoring_job(render(values | {"scorer": {"priorityClassName": "low"}}), "default")
    assert named["spec"]["template"]["spec"]["priorityClassName"] == "low"
    assert "priorityClassName" not in scoring_job(render(MINIMAL), "default")["spec"]["template"]["spec"]


@pytest.mark.value("extraObjects")
def test_extra_objects_are_rendered_as_templates() -> None:
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}
    assert find(render({"extraObjects": [extra]}, release="mine"), "ConfigMap", "mine-more")


def profile(*names: str) -> list[Manifest]:
    files = [*(CHART / f"values-{name}.yaml" for name in names), MINIMAL]
    text = helm("template", "fleetscore", CHART, "-n", "scoring", *(f"--values={file}" for file in files))
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def test_aks_profile_assigns_scorers_and_the_rest_to_separate_pools() -> None:
    manifests = profile("aks")
    pod = scoring_job(manifests, "default")["spec"]["template"]
    assert pod["spec"]["nodeSelector"] == {"fleetscore.dev/pool": "scoring"}
    assert pod["spec"]["tolerations"][0]["key"] == "fleetscore.dev/pool"
    assert pod["metadata"]["annotations"] == {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    assert find(manifests, "Deployment")["spec"]["template"]["spec"]["nodeSelector"] == {
        "kubernetes.azure.com/mode": "system"
    }


def test_spot_profile_allows_spot_nodes_and_preemption_of_scorers() -> None:
    manifests = profile("aks", "spot")
    pod = scoring_job(manifests, "default")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {
        "fleetscore.dev/pool": "scoring",
        "kubernetes.azure.com/scalesetpriority": "spot",
    }
    keys = {toleration["key"] for toleration in pod["tolerations"]}
    assert keys == {"fleetscore.dev/pool", "kubernetes.azure.com/scalesetpriority"}
    assert pod["priorityClassName"] == find(manifests, "PriorityClass")["metadata"]["name"]
