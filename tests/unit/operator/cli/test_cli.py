"""The command line of all commands: exit codes, help and usage."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from scoring_operator.cli import main
from tests.testkit.command_lines import interrupt_import, on_a_full_disk, without_reader


@pytest.mark.parametrize(
    ("fleets", "problem"),
    [
        (None, "No such file"),
        ("{", "fleets.yaml"),
        ("fleets: [{name: a, namespaces: [x], color: red}]", "color"),
        ("fleets: [{name: a, namespaces: [x]}]", "no Kubernetes credentials"),
    ],
)
def test_invalid_fleets_file_or_environment_is_one_line_and_exit_code_64(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fleets: str | None,
    problem: str,
) -> None:
    file = tmp_path / "fleets.yaml"
    if fleets is not None:
        file.write_text(fleets)
    monkeypatch.setenv("FLEETSCORE_SCORER_IMAGE", "scorer:1")
    monkeypatch.setenv("FLEETSCORE_FLEETS_FILE", str(file))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["run"]) == 64
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("scoring-operator: ")
    assert problem in error


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--help"], "usage: scoring-operator"),
        (["run", "--help"], "--log-level LEVEL"),
        (["create-run", "--help"], "--schedules-file FILE"),
        (["--version"], version("scoring-operator")),
    ],
)
def test_help_and_version_work_without_settings(
    capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert text in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run", "--fast"], ["create-run", "--schedule"]])
def test_invalid_arguments_exit_with_64_and_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 64
    assert "usage: scoring-operator" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("opened", "code", "text"),
    [
        (
            on_a_full_disk,
            75,
            "scoring-operator: the output cannot be written: No space left on device; free some space\n",
        ),
        (without_reader, 141, ""),
    ],
)
def test_output_that_cannot_be_written_ends_without_a_traceback(
    opened: Callable[[], int], code: int, text: str
) -> None:
    output = opened()
    line = [sys.executable, "-m", "scoring_operator", "--help"]
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}  # as in a shell
    done = subprocess.run(line, env=environment, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    os.close(output)
    assert (done.returncode, done.stderr) == (code, text)


def test_closed_output_is_discarded() -> None:
    line = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "scoring_operator", "--version"]
    done = subprocess.run(line, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("module", ["scoring_operator.cli", "scoring_operator.kube.client", "yaml"])
def test_interrupt_during_an_import_ends_the_process_without_a_text(module: str) -> None:
    done = interrupt_import("scoring_operator", module, ["create-run", "--help"])
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_interrupt_of_a_command_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("scoring_operator.cli.create_run.run", interrupted)
    assert main(["create-run", "--schedule", "hourly"]) == 130
