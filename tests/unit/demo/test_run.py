"""The end of a demo names the commands with which its user continues."""

from pathlib import Path

import pytest
from demo import run
from demo.workspace import Workspace


@pytest.mark.parametrize("has_console", [True, False], ids=["with-console", "without-console"])
def test_demo_ends_with_the_commands_of_the_client(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, has_console: bool
) -> None:
    monkeypatch.setattr(run, "find_spec", lambda name: object() if has_console and name.startswith("fleet") else None)
    run._print_locations(Workspace(Path("local")), "demo-1", "slug")
    lines = [line.strip().partition("    ")[0] for line in capsys.readouterr().out.splitlines()]
    assert "local/bin/kubectl fleetscore incidents" in lines
    assert "local/bin/kubectl fleetscore doctor" in lines
    assert ("local/bin/fleetscore ui" in lines) is has_console


def test_wrappers_start_programs_with_the_kubeconfig_and_the_plugins_of_the_demo(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "a b")
    workspace.write_wrappers({"kubectl-fleetscore": Path("/opt/client")})
    text = (workspace.bin_folder / "kubectl-fleetscore").read_text()
    assert f"KUBECONFIG='{workspace.kubeconfig}'" in text
    assert "FLEETSCORE_USE_FLEET_SECRET=1" in text
    assert f'PATH=\'{workspace.bin_folder}\':"$PATH" exec /opt/client "$@"' in text
