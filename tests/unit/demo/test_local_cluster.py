"""The images and the removal of the demo's cluster; tests/e2e/test_demo.py starts it."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from demo import local_cluster
from demo.target import Image
from demo.workspace import Workspace

from localcluster import cluster_state
from localcluster.addons import azurite
from localcluster.progress import StepProgress
from localcluster.toolchain import images, nodejs

if TYPE_CHECKING:
    from localcluster.cluster import Cluster


class FakeCluster:
    """A cluster that records the images that it loads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded: list[str] = []

    def load_image(self, archive: Path) -> None:
        self.loaded.append(archive.name)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the fingerprints of the images; a build returns the archive of the current one."""
    fingerprints = {"operator": "1", "scorer": "1", "console": "1"}

    def build(name: str, **_options: object) -> Path:
        return Path(f"/cache/{name}-{fingerprints[name]}.tar")

    monkeypatch.setattr(images, "build_image", build)
    return fingerprints


def load(cluster: FakeCluster) -> dict[str, Image]:
    return local_cluster.load_images(cast("Cluster", cluster), StepProgress(io.StringIO()))


def test_only_a_changed_image_is_loaded_again(builds: dict[str, str], tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path)
    load(cluster)
    builds["scorer"] = "2"
    loaded = load(cluster)
    assert cluster.loaded == ["operator-1.tar", "scorer-1.tar", "scorer-2.tar"]
    assert loaded["scorer"] == Image("fleetscore/scorer", "dev", "scorer-2")


def test_image_that_could_not_be_loaded_is_loaded_by_the_next_demo(builds: dict[str, str], tmp_path: Path) -> None:
    class FailingCluster(FakeCluster):
        def load_image(self, archive: Path) -> None:
            raise OSError(archive)

    with pytest.raises(OSError, match="operator-1"):
        load(FailingCluster(tmp_path))
    load(cluster := FakeCluster(tmp_path))
    assert cluster.loaded == [f"{name}-{builds[name]}.tar" for name in ("operator", "scorer")]


def test_images_without_a_cluster_are_built_and_not_loaded(
    builds: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed: list[str] = []
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(nodejs, "install_azurite", lambda _progress: installed.append("azurite"))
    progress = StepProgress(io.StringIO())
    local_cluster.build_images(progress, tuple(builds))
    local_cluster.load_images_if_up(Workspace(tmp_path), progress)
    assert installed == ["azurite"]
    assert capsys.readouterr().out == ""


def test_end_of_the_demo_removes_the_cluster_and_the_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    removed: list[object] = []
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(cluster_state, "remove_cluster", removed.append)
    monkeypatch.setattr(azurite, "stop", removed.append)
    workspace = Workspace(tmp_path / "local", "mine")
    workspace.azurite_folder.mkdir(parents=True)
    local_cluster.down(workspace)
    assert removed == ["mine", workspace.azurite_folder]
    assert not workspace.azurite_folder.parent.exists()
