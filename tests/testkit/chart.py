"""Rendering of the chart by helm, as a user does."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.charts import CHART

from localcluster.toolchain.tools import ensure_program

Manifest = dict[str, Any]
EVERYTHING = CHART / "ci" / "everything-values.yaml"
ALL_NAMESPACES = CHART / "ci" / "all-namespaces-values.yaml"
MINIMAL = CHART / "ci" / "minimal-values.yaml"

each_ci_values = pytest.mark.parametrize(
    "values", sorted((CHART / "ci").glob("*-values.yaml")), ids=lambda path: path.stem
)


class HelmFailedError(Exception):
    """helm ended with an error; its output is the message."""


def a_fleet(**more: Any) -> dict[str, Any]:
    return {"name": "default", "storage": {"accountUrl": "https://fleet.blob.core.windows.net"}} | more


def a_schedule(**more: Any) -> dict[str, Any]:
    return {"name": "hourly", "cron": "5 * * * *", "fleet": "default"} | more


def helm(*arguments: str | Path, stdin: str | None = None) -> str:
    """Run helm and return its output."""
    done = subprocess.run(
        [ensure_program("helm"), *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HelmFailedError(done.stderr)
    return done.stdout


def render(
    values: Mapping[str, Any] | Path, *, release: str = "fleetscore", namespace: str = "scoring", hooks: bool = False
) -> list[Manifest]:
    """Render the chart into its objects; with `hooks` those of `helm test` are among them."""
    file, stdin = (values, None) if isinstance(values, Path) else ("-", json.dumps(values, ensure_ascii=False))
    options = ["--namespace", namespace, "--values", file, *([] if hooks else ["--no-hooks"])]
    text = helm("template", release, CHART, *options, stdin=stdin)
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def find(manifests: list[Manifest], kind: str, name: str = "", namespace: str = "") -> Manifest:
    """Return the one object of a kind, by name and namespace if they are given."""
    found = [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind
        and name in ("", manifest["metadata"]["name"])
        and namespace in ("", manifest["metadata"].get("namespace"))
    ]
    assert len(found) == 1, f"{len(found)} objects are {kind} {namespace}/{name}"
    return found[0]


def pod_templates(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return each workload's pod template, and the pods of `helm test`, by "Kind/name"."""
    templates = {}
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        template = manifest if manifest["kind"] == "Pod" else spec.get("template")
        if template:
            templates[f"{manifest['kind']}/{manifest['metadata']['name']}"] = template
    return templates


def environment(template: Manifest) -> dict[str, str]:
    """Return the literal environment of a pod template's container."""
    return {entry["name"]: entry["value"] for entry in template["spec"]["containers"][0]["env"] if "value" in entry}
