"""The response of a real API server to the rendered objects."""

import json
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.charts import CHART, CRD, ROOT

from localcluster.cluster import Cluster
from localcluster.errors import ClusterError
from localcluster.toolchain.tools import ensure_program
from tests.integration.chart.openapi import write_schemas
from tests.testkit.chart import MINIMAL, Manifest, each_ci_values, find, helm, render
from tests.testkit.documents import fenced_blocks
from tests.testkit.monitoring_crds import monitoring_crds
from tests.testkit.release import BEFORE
from tests.testkit.waiting import until

pytestmark = pytest.mark.usefixtures("helm")
A_RUN_WITHOUT_SPEC = """
apiVersion: fleetscore.dev/v1alpha1
kind: ScoringRun
metadata: {name: first}
"""
NAMESPACES = ("scoring", "plant-a", "plant-b", "anywhere")


@pytest.fixture(scope="session")
def schemas(chart_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    files = [CRD, *monitoring_crds()]
    for file in files:
        chart_cluster.kubectl("create", "-f", str(file))
    chart_cluster.wait_for_crds()
    kinds = [yaml.safe_load(file.read_text())["spec"]["names"]["kind"] for file in files]

    def document_with_all_kinds() -> dict[str, Any]:
        document = chart_cluster.api.request("GET", "/openapi/v2")
        whole = all(any(name.endswith(f".{kind}") for name in document["definitions"]) for kind in kinds)
        return document if whole else {}

    # The document contains a CRD a moment after the CRD is established.
    document = until(document_with_all_kinds, f"{kinds} are in the API server's document", interval=0.2)
    return write_schemas(document, tmp_path_factory.mktemp("schemas"))


def kubeconform(schemas: str, manifests: list[Manifest]) -> subprocess.CompletedProcess[str]:
    command = [str(ensure_program("kubeconform")), "-strict", "-summary", "-verbose", "-schema-location", schemas]
    return subprocess.run(command, input=yaml.safe_dump_all(manifests), capture_output=True, text=True, check=False)


@each_ci_values
def test_kubeconform_accepts_every_object(schemas: str, values: Path) -> None:
    manifests = render(values, hooks=True)
    done = kubeconform(schemas, manifests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(manifests)} resources found" in done.stdout
    assert "Skipped: 0" in done.stdout


def test_kubeconform_accepts_pods_without_ids(schemas: str) -> None:
    values = yaml.safe_load(MINIMAL.read_text()) | {"podSecurityContext": {"runAsUser": None, "fsGroup": None}}
    done = kubeconform(schemas, render(values, hooks=True))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param({"replicaz": 1}, id="unknown field"),
        pytest.param({"replicas": "one"}, id="wrong type"),
    ],
)
def test_kubeconform_rejects_an_invalid_object(schemas: str, spoil: dict[str, Any]) -> None:
    (deployment,) = [m for m in render(MINIMAL) if m["kind"] == "Deployment"]
    deployment["spec"].update(spoil)
    assert kubeconform(schemas, [deployment]).returncode == 1


@pytest.fixture(scope="module")
def namespaces(chart_cluster: Cluster) -> None:
    for name in NAMESPACES:
        chart_cluster.kubectl("create", "namespace", name)
        chart_cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/warn=restricted")


@each_ci_values
@pytest.mark.usefixtures("namespaces", "schemas")
def test_api_server_accepts_every_object_without_a_warning(chart_cluster: Cluster, values: Path) -> None:
    command = [str(ensure_program("kubectl")), f"--kubeconfig={chart_cluster.kubeconfig}", "apply", "--server-side"]
    done = subprocess.run(
        [*command, "--dry-run=server", "--force-conflicts", "-f", "-"],
        input=yaml.safe_dump_all(render(values)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.usefixtures("namespaces", "schemas")
@pytest.mark.parametrize("example", range(5))
def test_api_server_accepts_the_examples_of_the_documents(chart_cluster: Cluster, example: int) -> None:
    shown = fenced_blocks(ROOT / "docs" / "user" / "scoringrun.md", "yaml")
    head = "" if "kind:" in shown[example] else A_RUN_WITHOUT_SPEC
    # As text, as a reader would paste it: a YAML library would make something else of the times.
    chart_cluster.kubectl("-n", "scoring", "create", "--dry-run=server", "-f", "-", input=head + shown[example])
    assert len(shown) == 5


def crd_names(cluster: Cluster) -> str:
    return cluster.kubectl("get", "crd", "-o", "name")


@pytest.fixture
def fresh(chart_cluster: Cluster) -> Iterator[str]:
    """Return a namespace on a cluster without the CRD."""
    chart_cluster.kubectl("delete", "crd", "--all", "--wait")
    name = f"install-{secrets.token_hex(3)}"
    chart_cluster.kubectl("create", "namespace", name)
    yield name
    chart_cluster.kubectl("delete", "namespace", name, "--wait=false")


def release(cluster: Cluster, namespace: str, verb: str, *more: str) -> str:
    arguments = ["fleetscore"] if verb == "uninstall" else ["fleetscore", str(CHART), "--values", str(MINIMAL)]
    return helm(verb, *arguments, "--namespace", namespace, "--kubeconfig", cluster.kubeconfig, *more)


A_RUN = f"""{A_RUN_WITHOUT_SPEC}
spec: {{window: {{start: "2018-08-28T23:00:00Z", end: "2018-08-29T00:00:00Z"}}}}
"""


def test_upgrade_keeps_a_run_and_uninstall_keeps_crd_and_run(chart_cluster: Cluster, fresh: str) -> None:
    release(chart_cluster, fresh, "install")
    chart_cluster.wait_for_crds()
    chart_cluster.kubectl("-n", fresh, "create", "-f", "-", input=A_RUN)
    before = chart_cluster.kubectl("-n", fresh, "get", "sr", "first", "-o", "yaml")

    release(chart_cluster, fresh, "upgrade", "--set", "operator.maxActiveJobs=7")
    deployment = chart_cluster.kubectl("-n", fresh, "get", "deployment", "fleetscore-operator", "-o", "yaml")
    assert 'value: "7"' in deployment
    assert chart_cluster.kubectl("-n", fresh, "get", "sr", "first", "-o", "yaml") == before

    release(chart_cluster, fresh, "uninstall")
    assert "scoringruns.fleetscore.dev" in crd_names(chart_cluster)
    assert chart_cluster.kubectl("-n", fresh, "get", "sr", "first", "-o", "yaml") == before
    with pytest.raises(ClusterError, match="NotFound"):
        chart_cluster.kubectl("-n", fresh, "get", "deployment", "fleetscore-operator")


def test_upgrade_from_the_published_chart_keeps_set_values_and_adds_defaults(
    chart_cluster: Cluster, fresh: str
) -> None:
    where = ("--namespace", fresh, "--kubeconfig", chart_cluster.kubeconfig)
    helm("install", "fleetscore", BEFORE, "--values", MINIMAL, "--set", "operator.maxActiveJobs=7", *where)
    helm("upgrade", "fleetscore", CHART, "--reset-then-reuse-values", "--set", "networkPolicy.enabled=true", *where)
    deployment = chart_cluster.kubectl("-n", fresh, "get", "deployment", "fleetscore-operator", "-o", "yaml")
    assert 'value: "7"' in deployment
    ports = "jsonpath={.spec.egress[*].ports[*].port}"
    policy = chart_cluster.kubectl("-n", fresh, "get", "networkpolicy", "fleetscore-scorer", "-o", ports)
    assert policy.split() == ["53", "53", "5353", "5353", "443"]
    release(chart_cluster, fresh, "uninstall")


def wait_command_of_the_notes(namespace: str, *, seconds: int) -> list[str]:
    """Return the arguments of `kubectl wait` that the chart's notes show, with another timeout."""
    arguments = ("install", "fleetscore", CHART, "--namespace", namespace, "--dry-run=client", "--values", MINIMAL)
    notes = helm(*arguments).partition("NOTES:")[2]
    (line,) = [line for line in notes.splitlines() if " wait --for" in line]
    _, *words = shlex.split(line)
    return [word.replace("--timeout=1h", f"--timeout={seconds}s") for word in words]


@pytest.mark.parametrize("phase", ["Complete", "Failed"])
def test_wait_command_of_the_notes_returns_at_either_end_of_a_run(
    chart_cluster: Cluster, fresh: str, phase: str
) -> None:
    release(chart_cluster, fresh, "install")
    chart_cluster.wait_for_crds()
    chart_cluster.kubectl("-n", fresh, "create", "-f", "-", input=A_RUN)
    with pytest.raises(ClusterError, match="timed out"):
        chart_cluster.kubectl(*wait_command_of_the_notes(fresh, seconds=5))
    status = {"status": {"phase": phase, "completionTime": "2018-08-29T00:05:00Z"}}
    patch = ("patch", "sr", "first", "--subresource=status", "--type=merge", "--patch", json.dumps(status))
    chart_cluster.kubectl("-n", fresh, *patch)
    assert "condition met" in chart_cluster.kubectl(*wait_command_of_the_notes(fresh, seconds=180))


def test_schedule_suspended_by_kubectl_stays_so_after_upgrade_and_rollback(chart_cluster: Cluster, fresh: str) -> None:
    where = ("--namespace", fresh, "--kubeconfig", chart_cluster.kubeconfig)

    def suspended() -> str:
        return chart_cluster.kubectl("-n", fresh, "get", "cj", "fleetscore-hourly", "-o", "jsonpath={.spec.suspend}")

    release(chart_cluster, fresh, "install")
    assert suspended() == "false"
    chart_cluster.kubectl("-n", fresh, "patch", "cronjob", "fleetscore-hourly", "--patch", '{"spec":{"suspend":true}}')
    release(chart_cluster, fresh, "upgrade", "--set", "operator.maxActiveJobs=7")
    helm("rollback", "fleetscore", "1", *where)
    assert suspended() == "true"


def test_schedule_suspended_by_its_value_is_resumed_without_it(chart_cluster: Cluster, fresh: str) -> None:
    path = ("-n", fresh, "get", "cronjob", "fleetscore-hourly", "-o", "jsonpath={.spec.suspend}")
    release(chart_cluster, fresh, "install", "--set", "schedules[0].suspend=true")
    assert chart_cluster.kubectl(*path) == "true"
    release(chart_cluster, fresh, "upgrade")
    assert chart_cluster.kubectl(*path) == "false"


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("cron", ["*/15 0-6,12 1 JAN-mar Mon-Fri", "0 1 ? 12 0", "59 23 31 dec SUN", "@hourly"])
def test_api_server_accepts_the_times_that_the_schema_accepts(chart_cluster: Cluster, cron: str) -> None:
    values = yaml.safe_load(MINIMAL.read_text())
    values["schedules"][0] |= {"cron": cron, "timeZone": "Australia/Eucla"}
    cron_job = find(render(values), "CronJob")
    chart_cluster.kubectl("create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(cron_job))


def test_second_install_adopts_the_crd_that_the_first_left(chart_cluster: Cluster, fresh: str) -> None:
    release(chart_cluster, fresh, "install")
    release(chart_cluster, fresh, "uninstall")
    release(chart_cluster, fresh, "install")
    assert "scoringruns.fleetscore.dev" in crd_names(chart_cluster)
    release(chart_cluster, fresh, "uninstall")


def test_uninstall_deletes_the_crd_if_keep_is_false(chart_cluster: Cluster, fresh: str) -> None:
    release(chart_cluster, fresh, "install", "--set", "crds.keep=false")
    release(chart_cluster, fresh, "uninstall", "--wait")
    assert "scoringruns.fleetscore.dev" not in crd_names(chart_cluster)
