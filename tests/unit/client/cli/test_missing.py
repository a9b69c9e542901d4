"""Every command without a cluster, without storage and without rights: the error has the next step."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from fleetscore.cli import main
from fleetscore.cli.commands import app
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.kubeconfigs import write_kubeconfig
from tests.unit.client.cli.command_lines import COMMANDS, OF_CLUSTER, READING

EMPTY_IS_FINE = {"compact", "mute", "mutes", "ui"}
"""An empty folder has no predictions to compact and no mutes, and the console shows what is missing."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    return tmp_path


def error_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def test_tests_name_every_command() -> None:
    names = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert names == {*COMMANDS, "completion"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_command_without_a_cluster_names_the_next_step(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(capsys, command, *COMMANDS[command])
    assert "no cluster is configured; set KUBECONFIG or create ~/.kube/config" in error
    assert ("name a folder with --store" in error) == (command not in OF_CLUSTER)


@pytest.mark.parametrize("command", sorted(OF_CLUSTER))
def test_command_for_runs_rejects_a_folder(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(capsys, command, *COMMANDS[command], "--store", str(tmp_path))
    assert "a folder has no runs; omit --store" in error


@pytest.mark.parametrize("command", sorted(READING))
def test_missing_folder_is_named(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(capsys, command, *COMMANDS[command], "--store", str(tmp_path / "none"))
    assert str(tmp_path / "none") in error


@pytest.mark.parametrize("command", sorted(set(READING) - EMPTY_IS_FINE))
def test_empty_folder_is_named(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(capsys, command, *COMMANDS[command], "--store", str(tmp_path))
    assert str(tmp_path) in error or "`fleetscore mutes` lists them" in error


class _Forbidding(RequestHandler):
    """An API server that knows the user, who has no right."""

    code: int

    def handle_request(self) -> None:
        self.read_body()
        reason = {401: "Unauthorized", 403: "Forbidden"}[self.code]
        self.respond_json(self.code, {"kind": "Status", "status": "Failure", "reason": reason, "message": reason})


@pytest.fixture(scope="module", params=[401, 403])
def forbidding(request: pytest.FixtureRequest) -> Iterator[tuple[int, str]]:
    with serve(_Forbidding, code=request.param) as url:
        yield request.param, url


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_command_without_rights_names_the_right_or_the_login(
    command: str, forbidding: tuple[int, str], home: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    code, url = forbidding
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(home, url)))
    error = error_of(capsys, command, *COMMANDS[command])
    assert ("log in again" if code == 401 else "ask for a Role with this right") in error
