"""The end of a demo names the commands with which its user continues."""

from pathlib import Path

import pytest
from demo import run
from demo.workspace import Workspace


def test_demo_ends_with_the_commands_of_the_client(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace(tmp_path / "a b")
    run._print_locations(workspace, "demo-1", "slug", "press 4")
    lines = [line.strip().partition("    ")[0] for line in capsys.readouterr().out.splitlines()]
    assert f"export PATH='{workspace.bin_folder}':\"$PATH\"" in lines
    assert "kubectl fleetscore device 'press 4'" in lines
    for command in ("incidents", "doctor", "ui", "status demo-1"):
        assert any(line.rstrip() == f"kubectl fleetscore {command}" for line in lines), command


def test_wrappers_start_programs_with_the_kubeconfig_and_the_plugins_of_the_demo(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "a b")
    workspace.write_wrappers({"kubectl-fleetscore": Path("/opt/client")})
    text = (workspace.bin_folder / "kubectl-fleetscore").read_text()
    assert f"KUBECONFIG='{workspace.kubeconfig}'" in text
    assert "FLEETSCORE_USE_FLEET_SECRET=1" in text
    assert f"KUBECACHEDIR='{workspace.demo_folder}/kubectl-cache'" in text
    assert f'PATH=\'{workspace.bin_folder}\':"$PATH" exec /opt/client "$@"' in text
