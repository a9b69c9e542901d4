"""The manifests of examples/gitops: their shape, the values in them, and the run that they apply.

The custom kinds of Flux and Argo CD have schemas here: their CRDs are not part of this repository. The schemas are
closed, so that a misspelt field is an error, and have only the fields that the examples use.
"""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hack.charts import CHART

from tests.testkit.chart import Manifest, find, render
from tests.testkit.paths import EXAMPLES, ROOT

GITOPS = EXAMPLES / "gitops"
FILES = sorted(GITOPS.rglob("*.yaml"))
TEXT = {"type": "string", "minLength": 1}
DURATION = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"}  # metav1.Duration in the CRDs of Flux


def closed(*required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object without other fields."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


RETRIES = closed("remediation", remediation=closed("retries", retries={"type": "integer"}))
SOURCE_REF = closed("kind", "name", kind={"enum": ["GitRepository"]}, name=TEXT)
SPECS = {
    ("v1", "ConfigMap"): None,
    ("v1", "Namespace"): None,
    ("fleetscore.dev/v1alpha1", "ScoringRun"): None,
    ("source.toolkit.fluxcd.io/v1", "GitRepository"): closed(
        "interval", "url", interval=DURATION, url=TEXT, ref=closed("tag", tag=TEXT)
    ),
    ("helm.toolkit.fluxcd.io/v2", "HelmRelease"): closed(
        "interval",
        "chart",
        interval=DURATION,
        releaseName=TEXT,
        chart=closed(
            "spec",
            spec=closed(
                "chart",
                "sourceRef",
                chart=TEXT,
                reconcileStrategy={"enum": ["ChartVersion", "Revision"]},
                sourceRef=SOURCE_REF,
            ),
        ),
        install=RETRIES,
        upgrade=RETRIES,
        values={"type": "object"},
    ),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"): closed(
        "interval",
        "prune",
        "sourceRef",
        interval=DURATION,
        retryInterval=DURATION,
        timeout=DURATION,
        path=TEXT,
        prune={"type": "boolean"},
        wait={"type": "boolean"},
        sourceRef=SOURCE_REF,
    ),
    ("argoproj.io/v1alpha1", "Application"): closed(
        "project",
        "source",
        "destination",
        project=TEXT,
        source=closed(
            "repoURL",
            "targetRevision",
            "path",
            repoURL=TEXT,
            targetRevision=TEXT,
            path=TEXT,
            helm=closed(releaseName=TEXT, valuesObject={"type": "object"}),
        ),
        destination=closed("server", "namespace", server=TEXT, namespace=TEXT),
        syncPolicy=closed(
            automated=closed(prune={"type": "boolean"}, selfHeal={"type": "boolean"}),
            syncOptions={"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z]+=(true|false)$"}},
            managedNamespaceMetadata=closed(labels={"type": "object", "additionalProperties": TEXT}),
            retry=closed(limit={"type": "integer"}),
        ),
    ),
}


def manifests(path: Path) -> list[Manifest]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


FLUX, ARGOCD = manifests(GITOPS / "flux.yaml"), manifests(GITOPS / "argocd.yaml")
RELEASE = find(FLUX, "HelmRelease")
APPLICATION = find(ARGOCD, "Application", "fleetscore")
VALUES = {"flux": RELEASE["spec"]["values"], "argocd": APPLICATION["spec"]["source"]["helm"]["valuesObject"]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_manifest_has_a_known_kind_and_the_fields_of_its_kind(path: Path) -> None:
    found = manifests(path)
    assert found
    for manifest in found:
        schema = SPECS[manifest["apiVersion"], manifest["kind"]]
        assert manifest["metadata"]["name"]
        if schema:
            jsonschema.validate(manifest["spec"], schema)


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize("tool", VALUES)
def test_chart_accepts_the_values_of_the_release(tool: str) -> None:
    objects = render(VALUES[tool])
    for name, program in (("operator", "Deployment"), ("hourly", "CronJob")):
        assert any(one["kind"] == program and name in one["metadata"]["name"] for one in objects)


def test_both_tools_install_the_same_release_from_the_same_commit() -> None:
    assert VALUES["flux"] == VALUES["argocd"]
    repository = find(FLUX, "GitRepository")["spec"]
    for application in ARGOCD:
        source = application["spec"]["source"]
        assert (source["repoURL"], source["targetRevision"]) == (repository["url"], repository["ref"]["tag"])
    helm = APPLICATION["spec"]["source"]["helm"]
    assert helm["releaseName"] == RELEASE["spec"]["releaseName"]
    assert repository["ref"]["tag"] == f"v{(ROOT / 'VERSION').read_text().strip()}"


def test_paths_are_the_chart_and_the_folder_of_runs() -> None:
    runs = find(ARGOCD, "Application", "fleetscore-runs")["spec"]["source"]["path"]
    chart = RELEASE["spec"]["chart"]["spec"]["chart"]
    assert ROOT / chart == ROOT / APPLICATION["spec"]["source"]["path"] == CHART
    assert ROOT / find(FLUX, "Kustomization")["spec"]["path"] == ROOT / runs == GITOPS / "runs"
    names = {one["metadata"]["name"] for one in FLUX if one["kind"] == "GitRepository"}
    refs = [RELEASE["spec"]["chart"]["spec"]["sourceRef"], find(FLUX, "Kustomization")["spec"]["sourceRef"]]
    assert {ref["name"] for ref in refs} == names


def test_run_in_git_satisfies_the_crd_and_is_in_the_namespace_of_the_release() -> None:
    # As JSON: the API server reads a time as a string. test_crd tests the rules of CEL with a real API server.
    (run,) = manifests(GITOPS / "runs" / "scoringrun.yaml")
    run["spec"]["window"] = {key: f"{value:%Y-%m-%dT%H:%M:%SZ}" for key, value in run["spec"]["window"].items()}
    crd = yaml.safe_load((CHART / "files" / "fleetscore.dev_scoringruns.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    jsonschema.validate(run, schema)
    assert set(run["spec"]) <= set(schema["properties"]["spec"]["properties"])
    namespaces = {one["spec"]["destination"]["namespace"] for one in ARGOCD} | {RELEASE["metadata"]["namespace"]}
    assert namespaces == {run["metadata"]["namespace"]}


def test_run_in_git_is_kept_for_as_long_as_the_crd_allows() -> None:
    crd = yaml.safe_load((CHART / "files" / "fleetscore.dev_scoringruns.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    (run,) = manifests(GITOPS / "runs" / "scoringrun.yaml")
    assert run["spec"]["ttlSecondsAfterFinished"] == spec["ttlSecondsAfterFinished"]["maximum"]
