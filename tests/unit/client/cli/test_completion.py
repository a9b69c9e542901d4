"""Completion in a shell."""

import os
import tomllib

import pytest

from fleetscore.cli import main
from fleetscore.cli.completion import COMPLETE_VARIABLE, complete_for_kubectl
from tests.testkit.paths import ROOT


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_of_a_shell_calls_the_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_FLEETSCORE_COMPLETE" in capsys.readouterr().out


def test_command_and_option_are_completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("_FLEETSCORE_COMPLETE", "complete_bash")
    for words, expected in (("fleetscore doc", "doctor"), ("fleetscore wait --time", "--timeout")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        main([])
        assert expected in capsys.readouterr().out.split()


def test_unknown_shell_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "tcsh" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("doc",), ["doctor", ":4"]),
        (("wait", "--time"), ["--timeout", ":4"]),
        (("status", "-o", "ya"), ["yaml", ":4"]),
        (("mutes", "--store", ""), [":0"]),
        (("device", "it's"), [":0"]),
    ],
    ids=["command", "option", "value", "file", "quote"],
)
def test_kubectl_gets_completions_and_a_directive(
    words: tuple[str, ...], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert complete_for_kubectl(words) == 0
    assert capsys.readouterr().out.splitlines() == expected
    assert COMPLETE_VARIABLE not in os.environ


@pytest.mark.parametrize("words", [(), ("",)], ids=["none", "empty"])
def test_kubectl_gets_all_commands_for_an_empty_word(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert complete_for_kubectl(words) == 0
    assert {"status", "incidents", "doctor", ":4"} <= set(capsys.readouterr().out.split())


def test_package_installs_the_program_that_kubectl_runs() -> None:
    scripts = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["kubectl_complete-fleetscore"] == "fleetscore.cli.completion:complete_for_kubectl"
