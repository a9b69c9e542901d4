"""The chart's values that a user may set, by values.schema.json, and what each is for."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.testkit.paths import CHART

SCHEMA = CHART / "values.schema.json"
# One value each, however much can be said in it: Kubernetes' own objects, and the fields of a ScoringRun.
WHOLE = {"resources", "probe", "run"}


def chart_values() -> list[str]:
    """Every value that has no further values in it, such as operator.replicas or fleets[].storage.accountUrl."""
    schema = json.loads(SCHEMA.read_text())
    del schema["properties"]["global"]  # Helm's own
    return list(_leaves(schema, schema["definitions"], ""))


def _leaves(node: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> Iterator[str]:
    for part in node.get("allOf", (node,)):
        reference = part.get("$ref", "").rpartition("/")[2]
        inner = definitions[reference] if reference else part
        items = inner.get("items", {}).get("$ref", "").rpartition("/")[2]
        if inner.get("properties") and reference not in WHOLE:
            for key, value in inner["properties"].items():
                yield from _leaves(value, definitions, f"{path}.{key}" if path else key)
        elif items in ("fleet", "schedule"):
            yield from _leaves(definitions[items], definitions, f"{path}[]")
        else:
            yield path
