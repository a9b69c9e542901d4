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
