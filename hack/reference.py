"""Render docs/reference: fields of a ScoringRun, chart values, metrics and commands. Test names are not part of it."""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from hack.charts import CHART, crd_schema, definition_rows, schema_text, values_rows
from scoring_operator.observability.metrics import Metrics

PROGRAMS = {"scoring-operator": "scoring_operator.cli", "device-scorer": "device_scorer.cli"}


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """Render a Markdown table; the first column is code."""
    columns = head.split(" | ")
    lines = [f"| {head} |", "|" + "---|" * len(columns)]
    for key, *cells in rows:
        escaped = " | ".join(cell.replace("|", chr(92) + "|") for cell in cells)
        lines.append(f"| `{key}` | {escaped} |")
    return "\n".join(lines) + "\n"


def run_fields() -> str:
    """Return the tables of spec and status of a ScoringRun, from the CRD."""
    properties = crd_schema()["properties"]
    parts = (f"## {part}\n\n{table('field | type | meaning', _fields(properties[part], ''))}" for part in _PARTS)
    return "\n".join(parts)


_PARTS = ("spec", "status")


def _fields(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, value in node.get("properties", {}).items():
        kind = "number or text" if value.get("x-kubernetes-int-or-string") else value["type"]
        yield prefix + key, kind, value.get("description", "")
        yield from _fields(value, f"{prefix}{key}.")
        yield from _fields(value.get("items", {}), f"{prefix}{key}[].")


def chart_values() -> str:
    """Return the tables of the chart's values, of a fleet and of a schedule."""
    schema = json.loads(schema_text())
    values = table("value | default | meaning", values_rows((CHART / "values.yaml").read_text()))
    fleet, schedule = (
        table("key | required | meaning", definition_rows(schema, name)) for name in ("fleet", "schedule")
    )
    return (
        f"## Values\n\n{values}\n"
        f"## A fleet\n\nAn item of `fleets`.\n\n{fleet}\n"
        f"## A schedule\n\nAn item of `schedules`.\n\n{schedule}"
    )


def metrics() -> str:
    """Return the table of the operator's metrics, from its registry."""
    return table("metric | type | labels | meaning", sorted(_metrics()))


def _metrics() -> Iterator[tuple[str, str, str, str]]:
    collectors = Metrics()._registry._collector_to_names  # noqa: SLF001  # names of labels have no public way out
    for collector in collectors:
        known = vars(collector)
        if name := known.get("_name", ""):
            kind = str(known["_type"]) if "_type" in known else type(collector).__name__.lower()
            shown = f"{name}_total" if kind == "counter" else name
            yield shown, kind, ", ".join(known["_labelnames"]), known["_documentation"]


def commands() -> str:
    """Return the commands of both programs with their arguments."""
    return "\n".join(_program(name, import_module(module).COMMANDS) for name, module in PROGRAMS.items())


def _program(program: str, known: Mapping[str, Any]) -> str:
    return f"## {program}\n\n" + "\n".join(_command(program, name, tuple(one)) for name, one in known.items())


def _command(program: str, name: str, command: tuple[str, str]) -> str:
    module, summary = command
    parser = argparse.ArgumentParser(prog=f"{program} {name}", description=f"{summary[0].upper()}{summary[1:]}.")
    import_module(module).add_arguments(parser)
    rows = [_argument(action) for action in parser._actions if action.dest != "help"]  # noqa: SLF001
    text = f"### {parser.prog}\n\n{_text(parser.description)}\n"
    text += f"\n{table('argument | default | meaning', rows)}" if rows else ""
    return text + (f"\n{_text(parser.epilog)}\n" if parser.epilog else "")


def _argument(action: argparse.Action) -> tuple[str, str, str]:
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    shown = value if isinstance(value, str) else " ".join(value)
    if action.option_strings:
        takes = "" if action.nargs == 0 else f" {shown}"
        shown = ", ".join(f"{option}{takes}" for option in action.option_strings)
    default = "required" if action.required else _default(action.default)
    return shown, default, (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")


def _default(value: object) -> str:
    if value in (None, False, argparse.SUPPRESS, "", [], ()):
        return ""
    return f"`{value}`"


def _text(text: str | None) -> str:
    """Return a help text as Markdown: indented lines become a block of code."""
    out: list[str] = []
    inside = False
    for line in (text or "").strip("\n").splitlines():
        code = line.startswith("  ") and bool(line.strip())
        if code != inside and (line.strip() or inside):
            out.append("```text" if code else "```")
            inside = code
        out.append(line.strip() if not code else line.removeprefix("  "))
    return "\n".join([*out, "```"] if inside else out).strip()
