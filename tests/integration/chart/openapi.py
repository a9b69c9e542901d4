"""JSON schemas for kubeconform from the OpenAPI of an API server, its CRDs included: no download, no drift."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

REFERENCE = "#/definitions/"
# OpenAPI 2 has no type for "a string or a number".
EITHER = {"io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"}


def write_schemas(document: Mapping[str, Any], folder: Path) -> str:
    """Write a schema per kind, closed as kubeconform's own strict ones are.

    Args:
        document: The answer of /openapi/v2.
        folder: Where to.

    Returns:
        The value of kubeconform's -schema-location.
    """
    definitions = {name: _closed(name, node) for name, node in document["definitions"].items()}
    for name, node in definitions.items():
        for kind in node.get("x-kubernetes-group-version-kind", []):
            needed = {needed: definitions[needed] for needed in _reach(definitions, name)}
            schema = {"$ref": REFERENCE + name, "definitions": needed}
            group = f"-{kind['group'].partition('.')[0]}" if kind["group"] else ""
            (folder / f"{kind['kind'].lower()}{group}-{kind['version']}.json").write_text(json.dumps(schema))
    return str(folder / "{{ .ResourceKind }}{{ .KindSuffix }}.json")


def _closed(name: str, node: Mapping[str, Any]) -> dict[str, Any]:
    if name in EITHER:
        return {"type": ["string", "number"]}
    if "properties" not in node or node.get("x-kubernetes-preserve-unknown-fields"):
        return dict(node)
    return {"additionalProperties": False} | dict(node)


def _reach(definitions: Mapping[str, Any], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_references(definitions[name]))
    return found


def _references(node: Any) -> Iterable[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix(REFERENCE)
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)
