"""The values of the chart and its generated files are current and complete. No test needs helm."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import yaml
from hack import generate
from hack.charts import CHART, CRD, SCHEMA, definition_rows, documented_values
from hack.traceability import chart_values, marked_tests

VALUES = (CHART / "values.yaml").read_text()
# Kubernetes' own objects, which the API server checks, and Helm's own key.
FREE = {
    "#/definitions/freeObject",
    *(f"#/definitions/{name}/items" for name in ("freeList", "volumes", "mounts")),
    "#/properties/global",
}


def nodes(schema: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield path, schema
        for key, value in schema.items():
            yield from nodes(value, f"{path}/{key}")


def test_generated_files_are_current() -> None:
    assert generate.stale(generate.generated()) == [], "run `make generate` and review the difference"


def test_crd_of_the_chart_equals_the_repositorys_byte_for_byte() -> None:
    assert (CHART / "files" / CRD.name).read_bytes() == CRD.read_bytes()


def test_artifact_hub_annotations_match_the_crd_and_the_images() -> None:
    chart, crd = yaml.safe_load((CHART / "Chart.yaml").read_text()), yaml.safe_load(CRD.read_text())
    annotations = {key.partition("/")[2]: yaml.safe_load(text) for key, text in chart["annotations"].items()}
    version = crd["spec"]["versions"][0]
    assert (annotations["crds"][0]["name"], annotations["crds"][0]["version"]) == (
        crd["metadata"]["name"],
        version["name"],
    )
    jsonschema.validate(
        annotations["crdsExamples"][0]["spec"], version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    )
    values = yaml.safe_load(VALUES)
    images = {
        f"{values[name]['image']['repository']}:{chart['appVersion']}" for name in ("operator", "scorer", "console")
    }
    assert {image["image"] for image in annotations["images"]} == images


def test_each_value_has_a_comment() -> None:
    values = yaml.safe_load(VALUES)
    parents = {path.rpartition(".")[0] for path, _ in documented_values(VALUES)}
    inside = ("requests", "limits")  # a container's resources explain themselves
    bare = [
        path
        for path, comment in documented_values(VALUES)
        if not comment and path not in parents and not path.endswith(inside)
    ]
    assert values
    assert bare == []


def test_each_value_has_a_test_that_is_marked_with_it() -> None:
    assert set(chart_values()) - marked_tests("value").keys() == set()


def test_each_mark_names_an_existing_value() -> None:
    assert marked_tests("value").keys() - set(chart_values()) == set()


def test_schema_forbids_unknown_keys_at_every_level() -> None:
    schema = json.loads(SCHEMA.read_text())
    open_nodes = [
        path
        for path, node in nodes(schema)
        if node.get("type") == "object" and "additionalProperties" not in node and path not in FREE
    ]
    assert open_nodes == []


def test_schema_has_exactly_the_documented_values() -> None:
    schema = json.loads(SCHEMA.read_text())

    def compare(node: dict[str, Any], values: dict[str, Any], path: str) -> None:
        if "$ref" in node:
            node = schema["definitions"][node["$ref"].rpartition("/")[2]]
        if "properties" not in node:
            return
        assert set(values) == set(node["properties"]) - ({"global", "enabled"} if path == "values" else set()), path
        for key, value in values.items():
            if isinstance(value, dict):
                compare(node["properties"][key], value, f"{path}.{key}")

    compare(schema, yaml.safe_load(VALUES), "values")


def test_each_key_of_a_fleet_and_a_schedule_has_a_description() -> None:
    schema = json.loads(SCHEMA.read_text())
    rows = [
        (definition, key, text)
        for definition in ("fleet", "schedule")
        for key, _, text in definition_rows(schema, definition)
    ]
    assert len(rows) > 30
    assert [row for row in rows if not row[2] and not row[1].endswith(("requests", "limits"))] == []
