"""The parts of a container node that need no namespaces; tests/integration/localcluster runs pods on one."""

from pathlib import Path

import pytest

from localcluster.allocation import Slot
from localcluster.errors import ClusterError
from localcluster.kubernetes.control_plane import ControlPlane
from localcluster.nodes.cgroups import cgroup_name
from localcluster.nodes.container_node import NODE_ROLES, ContainerNode, link_name


@pytest.fixture
def node(tmp_path: Path) -> ContainerNode:
    return ContainerNode("mine", ControlPlane(tmp_path, Slot(2), Slot(2).host, Path("/bin"), Path("/etcd")))


def test_clusters_of_one_name_and_two_users_share_no_device_and_no_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for folder in ("/home/ann/.local/state", "/home/bob/.local/state"):
        monkeypatch.setenv("XDG_STATE_HOME", folder)
        found |= {link_name("demo"), cgroup_name("demo")}
    assert len(found) == 4
    assert all(len(name) <= 15 for name in found if name.startswith("fs-"))


def test_command_in_a_node_that_does_not_run_names_the_next_step(node: ContainerNode) -> None:
    with pytest.raises(ClusterError, match="the node of cluster mine is not running; run `localcluster up`"):
        node.run_inside(["true"])


def test_programs_of_the_node_have_its_name_and_the_files_of_the_cluster(node: ContainerNode) -> None:
    commands = {role: node._process_command(role) for role in NODE_ROLES if role != "node"}
    assert "--hostname-override=mine" in commands["kubelet"]
    assert f"--node-ip={Slot(2).node}" in commands["kubelet"]
    assert "--hostname-override=mine" in commands["kube-proxy"]
    assert commands["containerd"] == ["containerd", "--config=/mnt/node/containerd.toml"]


def test_registry_of_images_is_written_for_containerd(node: ContainerNode, tmp_path: Path) -> None:
    node.use_registry("registry.example", "10.0.0.1:5000")
    assert 'server = "http://10.0.0.1:5000"' in (tmp_path / "node/registries/registry.example/hosts.toml").read_text()
