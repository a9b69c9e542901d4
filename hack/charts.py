"""Read the chart's values, their comments and their schema. Nothing here writes a file."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CRD = ROOT / "crds" / "fleetscore.dev_scoringruns.yaml"
CHART = ROOT / "charts" / "fleetscore"
SCHEMA = CHART / "values.schema.json"
SET_BY_SCHEDULE = ("fleet", "window")

_INT_OR_PATTERN = re.compile(
    r"type\(self\) == int \? self >= (\d+) && self <= (\d+) : self(?:\.matches\('(.+)'\)| == '([A-Za-z]+)')"
)
_AT_MOST_ONE_PATTERN = re.compile(r"\[has\(self\.\w+\)(?:, has\(self\.\w+\))*\]\.filter\(x, x\)\.size\(\) <= 1")

Row = tuple[str, str, str]


def documented_values(text: str) -> Iterator[tuple[str, str]]:
    """Yield (dotted path, comment above it) of every key of a values file, in order; a mere parent has no comment."""
    parents: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
            continue
        key, colon, _ = stripped.partition(":")
        if colon and not stripped.startswith("-"):
            indent = len(line) - len(line.lstrip())
            parents = [parent for parent in parents if parent[0] < indent]
            yield ".".join([*(name for _, name in parents), key]), " ".join(comment)
            parents.append((indent, key))
        comment = []


def values_rows(text: str) -> Iterator[Row]:
    """Yield (path, default, meaning) of the documented keys of a values file."""
    values = yaml.safe_load(text)
    for path, comment in documented_values(text):
        if comment:
            yield path, f"`{json.dumps(_look_up(values, path))}`", comment


def _look_up(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for key in path.split("."):
        found = found[key] if isinstance(found, dict) and key in found else None
    return found


def definition_rows(schema: Mapping[str, Any], definition: str) -> Iterator[Row]:
    """Yield (key, yes if it is required, meaning) of an item of a list of values."""
    return _properties(schema["definitions"][definition], schema["definitions"], "")


def _properties(node: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[Row]:
    """Yield the rows of an object's properties; those of lists and of shared definitions if they are described.

    The fields of a run have a page of their own.
    """
    for key, value in node.get("properties", {}).items():
        yield prefix + key, "yes" if key in node.get("required", []) else "", value.get("description", "")
        yield from _properties(value, definitions, f"{prefix}{key}.")
        names = {part.get("$ref", "").rpartition("/")[2] for part in value.get("allOf", ())} - {"", "run"}
        inner = [row for name in names for row in _properties(definitions[name], definitions, f"{prefix}{key}.")]
        inner += _properties(value.get("items", {}), definitions, f"{prefix}{key}[].")
        yield from (row for row in inner if row[2])


def crd_schema() -> dict[str, Any]:
    """Return the OpenAPI schema of a ScoringRun."""
    crd = yaml.safe_load(CRD.read_text())
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def schema_text() -> str:
    """Return values.schema.json with the fields of a schedule's run copied from the CRD."""
    schema = json.loads(SCHEMA.read_text())
    spec = crd_schema()["properties"]["spec"]
    fields = {key: _plain(one) for key, one in spec["properties"].items() if key not in SET_BY_SCHEDULE}
    schema["definitions"]["run"] = {"type": "object", "additionalProperties": False, "properties": fields}
    return json.dumps(schema, indent=2) + "\n"


def _plain(node: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a CRD's schema to plain JSON Schema: closed objects, no extensions, no defaults."""
    plain: dict[str, Any] = {
        key: value
        for key, value in node.items()
        if not key.startswith("x-kubernetes") and key not in ("default", "format")
    }
    if node.get("x-kubernetes-int-or-string"):
        plain["type"] = ["integer", "string"]
        plain.pop("anyOf", None)
    for rule in node.get("x-kubernetes-validations", ()):
        if bounds := _INT_OR_PATTERN.fullmatch(rule["rule"]):
            plain |= {"minimum": int(bounds[1]), "maximum": int(bounds[2]), "pattern": bounds[3] or f"^{bounds[4]}$"}
        if _AT_MOST_ONE_PATTERN.fullmatch(rule["rule"]) and rule["rule"].count("has(") == len(node["properties"]):
            plain["maxProperties"] = 1
    if "properties" in node:
        plain["properties"] = {key: _plain(value) for key, value in node["properties"].items()}
        plain["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            plain[key] = _plain(node[key])
    return plain
