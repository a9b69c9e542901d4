"""The shared options, at every command."""

import pytest

from fleetscore.cli import main
from fleetscore.errors import UsageInvalid
from fleetscore.fleet import Fleet


@pytest.mark.parametrize(
    "command",
    ["status", "run", "retry", "anomalies", "incidents", "schedules", "wait", "doctor", "logs", "backfill", "open"],
)
def test_every_command_has_the_shared_options_in_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    for option in ("--context", "--namespace", "-n", "--fleet", "--store", "--use-fleet-secret", "--output", "-o"):
        assert option in out


def test_unknown_output_format_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "-o", "xml"]) == 2
    assert "xml" in capsys.readouterr().err


def test_folder_has_no_runs(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--store", str(tmp_path_factory.mktemp("fleet"))]) == 1
    assert capsys.readouterr().err == "error: a folder has no runs; omit --store, and name a cluster with --context\n"


def test_environment_variable_selects_the_secret_of_the_fleet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def connect(*_: object, use_fleet_secret: bool, **__: object) -> None:
        raise UsageInvalid(f"secret: {use_fleet_secret}")

    monkeypatch.setenv("FLEETSCORE_USE_FLEET_SECRET", "1")
    monkeypatch.setattr(Fleet, "connect", connect)
    assert main(["mutes"]) == 1
    assert capsys.readouterr().err == "error: secret: True\n"


def test_missing_kubeconfig_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(["status"]) == 1
    expected = "error: no cluster is configured; set KUBECONFIG or create ~/.kube/config\n"
    assert capsys.readouterr().err == expected
