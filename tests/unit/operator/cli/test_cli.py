"""The command line of all commands: exit codes, help and usage."""

from importlib.metadata import version
from pathlib import Path

import pytest

from scoring_operator.cli import main


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
