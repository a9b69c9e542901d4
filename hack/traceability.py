"""The marks of the tests, and the pages that are made of them: docs/development/traceability.md, the table of rights.

A test names the fields of a ScoringRun, the hazards and the values of the chart that it shows: see
tests/testkit/traceability.py.
"""

import ast
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from hack.chart_rights import NEEDED
from hack.charts import ROOT, SCHEMA, crd_schema
from hack.hazards import FAULTS, INPUTS, THREATS
from hack.reference import table

TESTS = ROOT / "tests"
FIGURES = TESTS / "faults" / "figures.json"
# The values that count as one each: Kubernetes' own objects, and the fields of a ScoringRun.
WHOLE = {"resources", "probe", "run", "quality", "incidents", "quarantine", "owners", "notify"}
GROUPS = {
    "scoringruns": "fleetscore.dev",
    "scoringruns/status": "fleetscore.dev",
    "jobs": "batch",
    "cronjobs": "batch",
    "leases": "coordination.k8s.io",
}


def spec_fields() -> list[str]:
    """Return the fields of spec that hold a value, by the CRD's schema, such as spec.window.start."""
    return list(_fields(crd_schema()["properties"]["spec"], "spec"))


def _fields(node: Mapping[str, Any], path: str) -> Iterator[str]:
    if "properties" not in node:
        yield path
    for key, value in node.get("properties", {}).items():
        yield from _fields(value, f"{path}.{key}")


def chart_values() -> list[str]:
    """Return every value that contains no further values, such as operator.replicas or fleets[].storage.accountUrl."""
    schema = json.loads(SCHEMA.read_text())
    del schema["properties"]["global"]  # Helm's own
    return list(dict.fromkeys(_leaves(schema, schema["definitions"], "")))  # each part of an allOf yields its value


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


def marked_tests(mark: str, folder: Path = TESTS) -> dict[str, list[tuple[Path, str]]]:
    """Return the file and name of the tests that are marked with each id, in the order of the sources.

    Args:
        mark: The name of the mark.
        folder: The folder of the tests. The files are relative to its parent.
    """
    found: dict[str, list[tuple[Path, str]]] = {}
    for file in sorted(folder.rglob("test_*.py")):
        if f"mark.{mark}(" not in (source := file.read_text()):
            continue
        module = ast.parse(source)
        lists = {
            target.id: node.value
            for node in module.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in module.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for one in dict.fromkeys(_marks(node, mark, lists)):
                    found.setdefault(one, []).append((file.relative_to(folder.parent), node.name))
    return found


def _marks(function: ast.FunctionDef | ast.AsyncFunctionDef, mark: str, lists: Mapping[str, ast.expr]) -> Iterator[str]:
    """Yield the arguments of a test's marks, including the marks of its parameters."""
    for decorator in function.decorator_list:
        named = [lists[node.id] for node in ast.walk(decorator) if isinstance(node, ast.Name) and node.id in lists]
        for tree in (decorator, *named):
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{mark}":
                    yield from (ast.literal_eval(argument) for argument in node.args)


def links(tests: Collection[tuple[Path, str]]) -> str:
    """Return the tests as one cell of a table in docs/."""
    return "<br>".join(f"[{name}](../../{file})" for file, name in tests)


def fields_table() -> str:
    """Return the table field -> tests."""
    marked = marked_tests("field")
    rows = (f"| `{field.removeprefix('spec.')}` | {links(marked.get(field, ()))} |\n" for field in spec_fields())
    return "| field | tests |\n|---|---|\n" + "".join(rows)


def reliability_tables() -> str:
    """Return the tables hazard -> tests, measurements."""
    tests = marked_tests("fault")
    named = {f"{file}::{name}" for found in tests.values() for file, name in found}
    figures = {key: one for key, one in json.loads(FIGURES.read_text()).items() if key.partition("[")[0] in named}
    runs = sorted({(one["date"], one["cores"]) for one in figures.values()})
    when = ", ".join(f"{date} on {cores} cores" for date, cores in runs)
    text = f"The measurements are from `make faults`, those in italics from the shorter form in `make test`: {when}.\n"
    for title, hazards in (("Faults", FAULTS), ("Threats", THREATS), ("Inputs", INPUTS)):
        text += f"\n## {title}\n\n| id | hazard | tests | measured |\n|---|---|---|---|\n"
        for key, meaning in hazards.items():
            measured = [_measured(name, one) for name, one in figures.items() if key in one["ids"]]
            cells = (key, meaning, links(tests.get(key, ())), "<br>".join(measured))
            text += f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"
    return text


def _measured(name: str, one: Mapping[str, Any]) -> str:
    """Return a test's measurement, after the parameters of the test if it has some."""
    _, bracket, parameters = name.partition("[")
    text = f"{parameters.removesuffix(']')}: {one['figure']}" if bracket else str(one["figure"])
    return text if one["long"] else f"*{text}*"


def traceability() -> str:
    """Return the tables field -> tests, value -> tests and hazard -> tests."""
    marked = marked_tests("value")
    values = table("value | tests", ((value, links(marked.get(value, ()))) for value in chart_values()))
    return f"## Fields of a ScoringRun\n\n{fields_table()}\n## Values of the chart\n\n{values}\n{reliability_tables()}"


def rights() -> str:
    """Return the table account, resource, verbs, purposes."""
    lines = ["| account | resource | verbs | purposes |", "|---|---|---|---|"]
    for account, needed in NEEDED.items():
        for resource in dict.fromkeys(resource for _, resource in needed):
            purposes = {verb: purpose for (verb, one), purpose in needed.items() if one == resource}
            name = f"{resource}.{GROUPS[resource]}" if resource in GROUPS else resource
            cell = "; ".join(f"*{verb}*: {purpose}" for verb, purpose in purposes.items())
            lines.append(f"| {account} | `{name}` | {', '.join(purposes)} | {cell} |")
    return "\n".join(lines) + "\n"
