"""The fields of a ScoringRun's spec, each of which the mark `field` gives a test (marks.py)."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.testkit.paths import CRD


def spec_fields() -> list[str]:
    """The fields of spec that hold a value, by the CRD's schema, such as spec.window.start."""
    crd = yaml.safe_load(CRD.read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return list(_values(schema["properties"]["spec"], "spec"))


def _values(node: Mapping[str, Any], path: str) -> Iterator[str]:
    if "properties" not in node:
        yield path
    for key, value in node.get("properties", {}).items():
        yield from _values(value, f"{path}.{key}")
