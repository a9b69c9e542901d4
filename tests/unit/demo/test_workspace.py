from pathlib import Path

import pytest
from demo.workspace import CHECKOUT, Workspace, recreate_folder, relative_to_checkout


def test_wrappers_start_programs_with_the_kubeconfig_and_the_plugins_of_the_demo(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "a b")
    workspace.write_wrappers({"kubectl-fleetscore": Path("/opt/client")})
    text = (workspace.bin_folder / "kubectl-fleetscore").read_text()
    assert f"KUBECONFIG='{workspace.kubeconfig}'" in text
    assert "FLEETSCORE_USE_FLEET_SECRET=1" in text
    assert f"KUBECACHEDIR='{workspace.demo_folder}/kubectl-cache'" in text
    assert f'PATH=\'{workspace.bin_folder}\':"$PATH" exec /opt/client "$@"' in text


def test_written_state_is_read_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.read_state() == {}
    workspace.write_state({"where": "machine"})
    assert workspace.read_state() == {"where": "machine"}
    (workspace.demo_folder / "state.json").write_text("{")
    assert workspace.read_state() == {}


def test_storage_of_the_demo_is_next_to_the_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert Workspace(cluster="mine").azurite_folder == Path("/state/fleetscore/azurite-mine")


def test_recreated_folder_is_empty(tmp_path: Path) -> None:
    (tmp_path / "store" / "old").mkdir(parents=True)
    assert list(recreate_folder(tmp_path / "store").iterdir()) == []


def test_path_in_the_checkout_is_shown_relative_to_it(tmp_path: Path) -> None:
    assert relative_to_checkout(CHECKOUT / ".local" / "demo") == Path(".local/demo")
    assert relative_to_checkout(tmp_path) == tmp_path
