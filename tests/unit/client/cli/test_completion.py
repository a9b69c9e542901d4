"""Completion in a shell."""

import pytest

from fleetscore.cli import main


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
