"""The parts of a cluster that need no running process; tests/integration/localcluster starts clusters."""

from pathlib import Path

import pytest

from localcluster import cluster_state
from localcluster.cluster import Cluster
from localcluster.cluster_state import ClusterRecord
from localcluster.errors import ClusterError


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use a machine without clusters."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def a_record(nodes: str, *, ready: bool = True) -> ClusterRecord:
    return ClusterRecord(2, nodes, "/bin/kubernetes", "/bin/etcd", ready=ready)


@pytest.mark.parametrize(
    ("nodes", "added"),
    [
        ("none", []),
        ("kwok:3", ["kwok"]),
        ("container", ["node", "containerd", "kubelet", "kube-proxy"]),
        ("container,kwok:3", ["kwok", "node", "containerd", "kubelet", "kube-proxy"]),
    ],
)
def test_nodes_of_a_cluster_add_their_processes(nodes: str, added: list[str]) -> None:
    plane = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    assert Cluster("mine", a_record(nodes)).roles() == [*plane, *added]


@pytest.mark.parametrize(("nodes", "address"), [("kwok:1", "127.0.0.1"), ("container", "10.162.255.1")])
def test_api_server_listens_where_all_its_clients_reach_it(nodes: str, address: str) -> None:
    cluster = Cluster("mine", a_record(nodes))
    assert cluster.host_address == address
    assert cluster.server.startswith(f"https://{address}:")


def test_environment_of_kubectl_excludes_the_cluster_from_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost")
    cluster = Cluster("mine", a_record("none"))
    assert cluster.environment["NO_PROXY"] == cluster.environment["no_proxy"] == "localhost,127.0.0.1"
    assert cluster.environment["KUBECONFIG"] == str(cluster.kubeconfig)


def test_cluster_without_a_container_node_rejects_an_image(tmp_path: Path) -> None:
    cluster = Cluster("mine", a_record("kwok:2"))
    with pytest.raises(ClusterError, match="'mine' has no node for real containers, only: kwok:2; start one"):
        cluster.load_image(tmp_path / "image.tar")
    with pytest.raises(ClusterError, match="no node for real containers"):
        cluster.use_registry("127.0.0.1:5000")


@pytest.mark.parametrize("record", [None, a_record("none", ready=False)], ids=["missing", "unfinished"])
def test_cluster_that_is_not_up_cannot_be_opened(record: ClusterRecord | None) -> None:
    if record:
        cluster_state.write_record("mine", record)
    with pytest.raises(ClusterError, match="no cluster 'mine' is up; start it with `localcluster up --name mine`"):
        Cluster.open("mine")


def test_up_with_other_nodes_or_arguments_names_the_running_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_state.write_record("mine", a_record("kwok:2"))
    monkeypatch.setattr(Cluster, "is_healthy", lambda _self: True)
    assert Cluster.up("mine", "kwok:2").server == Cluster.open("mine").server
    with pytest.raises(ClusterError, match=r"is up with nodes kwok:2 .*; take it down first"):
        Cluster.up("mine", "kwok:3")
    with pytest.raises(ClusterError, match="take it down first"):
        Cluster.up("mine", "kwok:2", arguments={"etcd": ["--v=9"]})


def test_cluster_whose_processes_have_ended_is_unhealthy() -> None:
    assert not Cluster("mine", a_record("none")).is_healthy()
