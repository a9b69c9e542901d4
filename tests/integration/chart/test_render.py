"""The objects that helm renders, and their rights."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import version
from hack.charts import CHART, CRD

from fleetscore.contract.documents import parse_yaml
from scoring_operator.api.fleets import parse_fleets
from scoring_operator.cli.arguments import read_yaml
from scoring_operator.runtime import settings
from tests.integration.chart.rendered_values import scoring_job
from tests.testkit.chart import (
    ALL_NAMESPACES,
    EVERYTHING,
    MINIMAL,
    a_fleet,
    each_ci_values,
    environment,
    find,
    helm,
    pod_templates,
    render,
)
from tests.testkit.texts_of_helm import NUMBERS_OF_HELM, TEXTS_OF_HELM

pytestmark = pytest.mark.usefixtures("helm")
GOLDEN_RBAC = Path(__file__).parent / "rbac.golden.yaml"


@each_ci_values
def test_helm_lint_reports_no_error(values: Path) -> None:
    assert "0 chart(s) failed" in helm("lint", CHART, "--strict", "--values", values)


def test_default_values_render_an_operator_without_fleets() -> None:
    manifests = render({})
    assert parse_fleets(yaml.safe_load(find(manifests, "ConfigMap")["data"]["fleets.yaml"])) == {}
    assert list(pod_templates(manifests)) == ["Deployment/fleetscore-operator"]


@each_ci_values
def test_every_pod_meets_restricted_pod_security(values: Path) -> None:
    manifests = render(values, hooks=True)
    fleets = yaml.safe_load(values.read_text())["fleets"]
    jobs = {f"Job/{fleet['name']}": scoring_job(manifests, fleet["name"])["spec"]["template"] for fleet in fleets}
    for name, template in (pod_templates(manifests) | jobs).items():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert all(volume.keys() & {"emptyDir", "configMap", "secret"} for volume in spec["volumes"]), name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name


@pytest.mark.fault("T3")
@each_ci_values
def test_roles_grant_no_secrets_no_exec_and_no_wildcard(values: Path) -> None:
    rules = [rule for m in render(values, hooks=True) if m["kind"] in ("Role", "ClusterRole") for rule in m["rules"]]
    assert rules
    for rule in rules:
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
        assert not {"secrets", "pods/exec", "pods/attach", "serviceaccounts/token"} & set(rule["resources"])


@pytest.mark.fault("T3")
def test_rights_equal_the_reviewed_golden_file() -> None:
    kinds = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    rendered = [
        {key: value for key, value in m.items() if key not in ("apiVersion", "metadata")}
        | {"name": m["metadata"]["name"], "namespace": m["metadata"].get("namespace")}
        for values in (MINIMAL, ALL_NAMESPACES)
        for m in render(values, hooks=True)
        if m["kind"] in kinds
    ]
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN_RBAC.write_text(yaml.safe_dump_all(rendered, sort_keys=False))
    assert rendered == list(yaml.safe_load_all(GOLDEN_RBAC.read_text())), "UPDATE_GOLDEN=1 rewrites it; review the diff"


@pytest.mark.fault("T4")
@each_ci_values
def test_service_account_tokens_are_mounted_only_on_request(values: Path) -> None:
    accounts = [m for m in render(values, hooks=True) if m["kind"] == "ServiceAccount"]
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


@pytest.mark.value("watch.namespaces")
def test_each_watched_namespace_gets_a_role_instead_of_a_cluster_role() -> None:
    manifests = render(EVERYTHING)
    roles = {
        m["metadata"]["namespace"]
        for m in manifests
        if m["metadata"]["name"] == "fleetscore-operator" and m["kind"] == "Role"
    }
    assert roles == {"plant-a", "plant-b", "scoring"}
    assert not [
        m for m in manifests if m["kind"].startswith("ClusterRole") and m["metadata"]["name"].endswith("operator")
    ]


def test_role_for_the_lease_exists_only_in_the_releases_namespace() -> None:
    role = find(render(EVERYTHING, namespace="operators"), "Role", "fleetscore-operator-lease")
    assert role["metadata"]["namespace"] == "operators"


@pytest.mark.parametrize(("values", "namespaces"), [(MINIMAL, ("scoring",)), (ALL_NAMESPACES, ())], ids=str)
@pytest.mark.value("watch.allNamespaces")
def test_operator_accepts_the_rendered_settings(values: Path, namespaces: tuple[str, ...]) -> None:
    template = next(t for name, t in pod_templates(render(values)).items() if name.endswith("-operator"))
    read = settings.from_environment(environment(template) | {"POD_NAME": "p", "POD_NAMESPACE": "scoring"})
    assert read.watch_namespaces == namespaces
    assert read.scorer_image == f"fleetscore/scorer:{version.read()}"
    assert read.metrics_port == template["spec"]["containers"][0]["ports"][0]["containerPort"]


@each_ci_values
@pytest.mark.value("fleets[].name")
def test_operator_accepts_the_rendered_fleets_file(values: Path) -> None:
    manifests = render(values)
    document = next(m for m in manifests if m["kind"] == "ConfigMap" and "fleets.yaml" in m["data"])
    fleets = parse_fleets(yaml.safe_load(document["data"]["fleets.yaml"]))
    assert set(fleets) == {fleet["name"] for fleet in yaml.safe_load(values.read_text())["fleets"]}


def test_settings_of_a_fleet_reach_the_operator_unchanged() -> None:
    text = next(m for m in render(EVERYTHING) if m["kind"] == "ConfigMap" and "fleets.yaml" in m["data"])["data"][
        "fleets.yaml"
    ]
    values = yaml.safe_load(EVERYTHING.read_text())
    rendered = yaml.safe_load(text)["fleets"]
    ids = {"podSecurityContext": {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}}
    labels = {key: {"team": "telemetry"} | values["fleets"][0]["scorer"][key] for key in ("labels", "podLabels")}
    schedules = [{"name": "hourly", "namespace": "plant-a", "window": "PT2H"}]
    scorer = values["fleets"][0]["scorer"] | labels | ids
    assert rendered[0] == values["fleets"][0] | {"scorer": scorer, "schedules": schedules}
    common = {key: value for key, value in values["scorer"].items() if key not in ("image", "serviceAccount")}
    common |= {"serviceAccountName": "fleetscore-scorer", "priorityClassName": "yielding"}
    common |= {key: {"team": "telemetry"} | values["scorer"][key] for key in ("labels", "podLabels")}
    others = [
        {"name": "quarterly", "namespace": "scoring", "window": "PT15M"},
        {"name": "daily", "namespace": "plant-a", "window": "P1D"},
    ]
    assert rendered[1] == values["fleets"][1] | {"scorer": common | ids, "schedules": others}


def test_texts_and_numbers_of_a_fleet_reach_the_programs_unchanged(tmp_path: Path) -> None:
    texts, numbers = [*TEXTS_OF_HELM, *NUMBERS_OF_HELM], list(NUMBERS_OF_HELM.values())
    quality = {"badWhen": {"column": "Status", "values": [*texts, *numbers]}, "flatLine": {"tolerance": 0.00001}}
    text = find(render({"fleets": [a_fleet(quality=quality)]}), "ConfigMap")["data"]["fleets.yaml"]
    file = tmp_path / "fleets.yaml"
    file.write_text(text)
    assert read_yaml(file)["fleets"][0]["quality"] == quality
    assert parse_yaml(text, "the fleets file")["fleets"][0]["quality"] == quality  # type: ignore[index]


def test_fleet_without_namespaces_gets_the_releases_namespace() -> None:
    fleets = parse_fleets(yaml.safe_load(find(render({"fleets": [a_fleet()]}), "ConfigMap")["data"]["fleets.yaml"]))
    assert fleets["default"].namespaces == ("scoring",)
    assert fleets["default"].scorer.service_account_name == "fleetscore-scorer"


def test_each_namespace_of_a_fleet_has_the_scorers_service_account() -> None:
    accounts = [m["metadata"] for m in render(EVERYTHING) if m["kind"] == "ServiceAccount"]
    scorers = {a["namespace"] for a in accounts if a["name"] == "fleetscore-scorer"}
    assert scorers == {"plant-a", "plant-b", "scoring"}


@pytest.mark.value(
    "fleets[].storage.auth",
    "fleets[].storage.existingSecret.name",
    "fleets[].storage.existingSecret.key",
    "fleets[].storage.existingSecret.kind",
)
def test_secret_of_a_fleet_is_mounted_by_fleet_and_key() -> None:
    spec = find(render(MINIMAL), "Deployment")["spec"]["template"]["spec"]
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if "secret" in m["name"]]
    (volume,) = [v for v in spec["volumes"] if v["name"] == mount["name"]]
    assert mount["mountPath"] == "/etc/fleetscore/secrets/default"
    assert volume["secret"] == {
        "secretName": "fleet-storage",
        "optional": True,  # a missing Secret of one fleet does not keep the operator from starting
        "items": [{"key": "connectionString", "path": "connectionString"}],
    }


@pytest.mark.value("nameOverride", "fullnameOverride")
def test_chosen_names_are_used() -> None:
    renamed = find(render({"nameOverride": "scores"}), "Deployment")["metadata"]
    assert (renamed["name"], renamed["labels"]["app.kubernetes.io/name"]) == ("fleetscore-scores-operator", "scores")
    assert find(render({"fullnameOverride": "mine"}), "Deployment")["metadata"]["name"] == "mine-operator"


def test_changed_fleets_restart_the_operator() -> None:
    def checksum(**more: Any) -> str:
        deployment = find(render({"fleets": [a_fleet(**more)]}), "Deployment")
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/fleets"])

    assert checksum() == checksum()
    assert checksum() != checksum(models={"trust": "any"})


def test_workload_identity_labels_the_operators_pod_and_annotates_accounts() -> None:
    identity = {"azure": {"workloadIdentity": {"clientId": "c", "tenantId": "t"}}, "fleets": [a_fleet()]}
    manifests = render(identity)
    template = pod_templates(manifests)["Deployment/fleetscore-operator"]
    assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    for name in ("fleetscore-operator", "fleetscore-scorer"):
        annotations = find(manifests, "ServiceAccount", name)["metadata"]["annotations"]
        assert annotations == {
            "azure.workload.identity/client-id": "c",
            "azure.workload.identity/tenant-id": "t",
            "azure.workload.identity/service-account-token-expiration": "3600",
        }


@each_ci_values
def test_pods_of_helm_test_have_environment_variables_of_scorers(values: Path) -> None:
    manifests = render(values, hooks=True)
    name = yaml.safe_load(values.read_text())["fleets"][0]["name"]
    scorer = scoring_job(manifests, name)["spec"]["template"]
    (pod,) = [pod for key, pod in pod_templates(manifests).items() if key.endswith("-test-prepare")]
    wanted = scorer["spec"]["containers"][0]["env"]
    found = pod["spec"]["containers"][0]["env"]
    assert found
    assert all(variable in wanted for variable in found)
    # The omitted variables have the scorer's default, or do not affect the check.
    left = {variable["name"] for variable in wanted} - {variable["name"] for variable in found}
    assert not any("SECRET" in key or "AZURE" in key or "URL" in key for key in left)
    identity = "azure.workload.identity/use"
    assert pod["metadata"]["labels"].get(identity) == scorer["metadata"]["labels"].get(identity)
    assert pod["spec"]["serviceAccountName"] == scorer["spec"]["serviceAccountName"]


def test_without_workload_identity_no_label_or_annotation_is_set() -> None:
    template = pod_templates(render(MINIMAL))["Deployment/fleetscore-operator"]
    assert "azure.workload.identity/use" not in template["metadata"]["labels"]


def test_annotations_of_an_account_override_the_defaults() -> None:
    account = find(render(EVERYTHING), "ServiceAccount", "fleetscore-operator")
    assert account["metadata"]["annotations"]["azure.workload.identity/client-id"].startswith("99999999")


@pytest.mark.value("operator.image.repository", "operator.image.tag", "operator.image.digest")
@pytest.mark.value("scorer.image.repository", "scorer.image.tag", "scorer.image.digest")
def test_image_digest_overrides_tag_and_tag_overrides_the_charts_version() -> None:
    digest = f"sha256:{'0123456789' * 6}0123"

    def images(**image: str) -> tuple[str, str]:
        container = find(
            render({"operator": {"image": image}, "scorer": {"image": image | {"repository": "x/s"}}}), "Deployment"
        )["spec"]["template"]["spec"]["containers"][0]
        variables = {entry["name"]: entry.get("value") for entry in container["env"]}
        return container["image"], str(variables["FLEETSCORE_SCORER_IMAGE"])

    assert images(repository="x/o") == (f"x/o:{version.read()}", f"x/s:{version.read()}")
    assert images(repository="x/o", tag="v2") == ("x/o:v2", "x/s:v2")
    assert images(repository="x/o", tag="v2", digest=digest) == (f"x/o@{digest}", f"x/s@{digest}")


def test_common_labels_are_on_every_object_pod_and_scoring_job() -> None:
    manifests = render(EVERYTHING, hooks=True)
    manifests.append(scoring_job(manifests, "presses"))
    assert all(m["metadata"]["labels"]["team"] == "telemetry" for m in manifests)
    assert all(t["metadata"]["labels"]["team"] == "telemetry" for t in pod_templates(manifests).values())


def test_placement_and_pull_secrets_reach_every_pod() -> None:
    for template in pod_templates(render(EVERYTHING)).values():
        spec = template["spec"]
        assert spec["imagePullSecrets"] == [{"name": "registry-one"}, {"name": "registry-two"}]
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
        assert spec["tolerations"] == [{"key": "CriticalAddonsOnly", "operator": "Exists"}]
        assert "nodeAffinity" in spec["affinity"]
        assert spec["priorityClassName"] == "system-cluster-critical"


@pytest.mark.value(
    "operator.serviceAccount.create",
    "operator.serviceAccount.name",
    "console.serviceAccount.create",
    "console.serviceAccount.name",
    "scheduler.serviceAccount.create",
    "scheduler.serviceAccount.name",
    "scorer.serviceAccount.create",
    "scorer.serviceAccount.name",
)
def test_existing_accounts_are_used_and_none_is_created() -> None:
    manifests = render(ALL_NAMESPACES)
    assert not [m for m in manifests if m["kind"] == "ServiceAccount"]
    accounts = {name: t["spec"]["serviceAccountName"] for name, t in pod_templates(manifests).items()}
    assert accounts == {
        "Deployment/fleet-scoring-console-default": "existing-console",
        "Deployment/fleet-scoring-operator": "existing-operator",
        "CronJob/fleet-scoring-hourly": "existing-scheduler",
    }
    fleets = parse_fleets(yaml.safe_load(find(manifests, "ConfigMap", "fleet-scoring-fleets")["data"]["fleets.yaml"]))
    assert fleets["default"].scorer.service_account_name == "existing-scorer"


def test_crd_is_the_repositorys_and_is_kept_on_uninstall() -> None:
    crd = find(render({}), "CustomResourceDefinition")
    wanted = yaml.safe_load(CRD.read_text())
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert crd["spec"] == wanted["spec"]
    assert crd["metadata"]["name"] == wanted["metadata"]["name"]


@pytest.mark.value("crds.enabled", "crds.keep")
def test_crd_can_be_deleted_with_the_release_or_be_left_out() -> None:
    crd = find(render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "helm.sh/resource-policy" not in crd["metadata"].get("annotations", {})
    assert not [m for m in render({"crds": {"enabled": False}}) if m["kind"] == "CustomResourceDefinition"]


def test_first_probe_of_the_operator_comes_after_its_start() -> None:
    (container,) = find(render(MINIMAL), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["startupProbe"]["initialDelaySeconds"] >= 5, "a failed probe is a Warning event"
