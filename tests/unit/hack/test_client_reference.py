from typing import Any

import typer.main
from hack import client_reference
from hack.client_reference import CASES, GOLDEN, SHOWN

from fleetscore.cli.commands import app

PROGRAM: Any = typer.main.get_command(app)
COMMANDS: list[str] = sorted(PROGRAM.commands)


def test_every_command_has_a_section_with_its_options() -> None:
    text = client_reference.client_commands()
    assert COMMANDS
    assert [name for name in COMMANDS if f"### fleetscore {name}\n" not in text] == []
    assert text.count("## Options of every command") == 1


def test_every_golden_output_is_shown_after_its_command() -> None:
    text = client_reference.client_commands()
    cases = {case for name in COMMANDS for case in CASES.get(name, (name,))}
    shown = [case for case in sorted(cases) if (GOLDEN / f"{case}.table").exists()]
    assert len(shown) > 15
    assert [case for case in shown if f"$ fleetscore {SHOWN[case]}\n" not in text] == []


def test_added_columns_of_wide_output_are_named() -> None:
    (line,) = [text for text in client_reference._output("incidents") if "`-o wide` adds" in text]
    narrow = (GOLDEN / "incidents.table").read_text().split("\n", 1)[0].split()
    wide = (GOLDEN / "incidents.wide").read_text().split("\n", 1)[0].split()
    assert [f"`{title}`" in line for title in wide] == [title not in narrow for title in wide]


def test_command_without_a_golden_output_has_no_block() -> None:
    assert list(client_reference._output("no-such-case")) == []
