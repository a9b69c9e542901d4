from pathlib import Path

import pytest

from localcluster.errors import ClusterError
from localcluster.paths import cache_dir, cluster_dir, clusters_dir


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 31])
def test_invalid_cluster_name_is_rejected(name: str) -> None:
    with pytest.raises(ClusterError, match="cluster name"):
        cluster_dir(name)


@pytest.mark.parametrize("cache", ["", "cache"], ids=["default", "relative"])
def test_folders_of_files_and_clusters_are_those_of_the_user(monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert cache_dir() == Path("/home/ann/.cache/fleetscore")
    assert clusters_dir() == Path("/home/ann/.local/state/fleetscore/clusters")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert cluster_dir("mine") == Path("/state/fleetscore/clusters/mine")
