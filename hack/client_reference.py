"""Render docs/reference/client.md: the commands of the client, with their options and their output.

The output is that of the golden files of the tests.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import typer.main

from fleetscore.cli.commands import app
from hack.charts import ROOT
from hack.reference import table

GOLDEN = ROOT / "tests/unit/client/cli/golden"
SHARED_PANELS = ("Where", "Output")
CASES = {"status": ("status", "status-run"), "run": ("run", "run-dry"), "backfill": ("backfill", "backfill-dry")}
"""The golden files of the commands with more than one output."""

RUN = "hourly-20180828t230000z"
SHOWN = {
    **{name: name for name in ("status", "retry", "schedules", "incidents", "sensors", "anomalies", "failed")},
    **{name: f"{name} {RUN}" for name in ("wait", "suspend", "resume", "cancel")},
    **{name: name for name in ("mutes", "doctor")},
    "status-run": f"status {RUN}",
    "run": "run --window 2018-08-28T23:00Z --name mine -d 'press-*'",
    "run-dry": "run --window 2018-08-28T23:00Z --name mine --dry-run client",
    "backfill": "backfill --from 2018-08-28T22:00Z --to 2018-08-29T01:00Z",
    "backfill-dry": "backfill --from 2018-08-28T22:00Z --to 2018-08-29T01:00Z --dry-run client",
    "device": "device press-2",
    "replay": "replay press-2",
    "open": "open --print",
    "compact": "compact --start 2018-08-28 --end 2018-08-29 --to out --format csv",
    "mute": "mute 'press-*' --until 2999-01-01 --why oil",
    "unmute": "unmute 'press-*'",
}
"""The command of each golden file; the tests that compare the output run it."""


def client_commands() -> str:
    """Return the exit codes, the options of every command, and the commands in their groups."""
    program: Any = typer.main.get_command(app)
    groups: dict[str, list[str]] = {}
    for name, command in program.commands.items():
        groups.setdefault(command.rich_help_panel, []).append("\n".join(_command(name, command)))
    shared = [one for one in program.commands["status"].params if one.rich_help_panel in SHARED_PANELS]
    parts = [program.epilog.partition("\n")[0], "", "## Options of every command", "", _options(shared)]
    for group, texts in groups.items():
        parts += [f"## {group}", "", *texts]
    return "\n".join(parts)


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"### fleetscore {name}\n"
    yield from (f"{paragraph}\n" for paragraph in command.help.split("\n\n"))
    own = [one for one in command.params if one.rich_help_panel not in SHARED_PANELS and "--help" not in one.opts]
    if own:
        yield _options(own)
    yield from _block("text", "\n".join(line.strip() for line in command.epilog.splitlines()[1:]))
    for case in CASES.get(name, (name,)):
        yield from _output(case)


def _output(case: str) -> Iterator[str]:
    """Yield the golden output of a command as a table, with its additional columns, and as JSON if it is a list."""
    path = GOLDEN / f"{case}.table"
    if not path.exists():
        return
    yield from _block("text", f"$ fleetscore {SHOWN[case]}\n{path.read_text()}")
    wide, names = path.with_suffix(".wide"), path.read_text().split("\n", 1)[0].split()
    if wide.exists() and names[0].isupper():
        added = [title for title in wide.read_text().split("\n", 1)[0].split() if title not in names]
        if added:
            yield f"`-o wide` adds {', '.join(f'`{one}`' for one in added)}.\n"
    found = json.loads(path.with_suffix(".json").read_text())
    if isinstance(found, list) and "spec" not in found[0]:
        yield "`-o json` has an array of such objects:\n"
        yield from _block("json", json.dumps(found[0], indent=2))


def _block(language: str, text: str) -> Iterable[str]:
    return f"```{language}", text.rstrip("\n"), "```\n"


def _options(options: Iterable[Any]) -> str:
    return table("option | default | meaning", map(_option, options))


def _option(option: Any) -> tuple[str, str, str]:
    is_argument = not option.opts[0].startswith("-")
    value = "" if getattr(option, "is_flag", False) else option.metavar
    shown = value if is_argument else f"{', '.join(option.opts)} {value}".rstrip()
    variable = f" The environment variable `{option.envvar}` sets it." if option.envvar else ""
    return shown.replace("|", "\\|"), _default(option), option.help + variable


def _default(option: Any) -> str:
    if option.required:
        return "required"
    value = getattr(option.default, "value", option.default)
    return "" if value is None or value is False else f"`{value}`"
