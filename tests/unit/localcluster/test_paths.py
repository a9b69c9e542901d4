import pytest

from localcluster.errors import ClusterError
from localcluster.nodes.cgroups import cgroup_name
from localcluster.nodes.container_node import link_name
from localcluster.paths import cluster_dir


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 31])
def test_invalid_cluster_name_is_rejected(name: str) -> None:
    with pytest.raises(ClusterError, match="cluster name"):
        cluster_dir(name)


def test_clusters_of_one_name_and_two_users_share_no_device_and_no_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for folder in ("/home/ann/.local/state", "/home/bob/.local/state"):
        monkeypatch.setenv("XDG_STATE_HOME", folder)
        found |= {link_name("demo"), cgroup_name("demo")}
    assert len(found) == 4
    assert all(len(name) <= 15 for name in found if name.startswith("fs-"))
