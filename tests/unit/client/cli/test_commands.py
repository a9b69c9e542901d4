"""The help of each command: what its options mean, their defaults, and an example."""

import shlex
from typing import Any

import pytest
import typer.main

from fleetscore.cli import main
from fleetscore.cli.commands import app

COMMANDS: Any = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # click's group


def own(options: Any) -> list[Any]:
    return [one for one in options if "--help" not in one.opts]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_a_command_has_every_default_form_and_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert command.help.endswith(".")
    assert command.rich_help_panel
    for option in own(command.params):
        shown = f"{name} {option.opts[0]}: {option.help!r}"
        assert option.help.endswith("."), shown
        is_switch = getattr(option, "is_flag", False)
        has_default = option.required or is_switch or option.default not in (None, ())
        assert has_default or "default" in option.help, shown
        assert is_switch or option.metavar, shown
    label, *examples = command.epilog.splitlines()
    assert label in ("Example:", "Examples:")
    assert examples
    for example in examples:
        assert len(example) <= 78
        if "<(" not in example:
            program, called, *words = shlex.split(example)
            assert (program, called) == ("fleetscore", name)
            command.make_context(name, words)


def test_help_of_the_program_has_groups_and_exit_codes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    groups = [line.split()[1] for line in out.splitlines() if line.startswith("╭─")]
    assert groups == ["Options", "Runs", "Results", "Maintenance", "Installation"]
    assert "Exit codes: 0 success; 1 an error" in out
    assert max(map(len, out.splitlines())) <= 80
