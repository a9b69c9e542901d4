"""The objects of Karpenter; tests/deploy/test_autoscaling.py runs it."""

from pathlib import Path

import pytest

from localcluster.addons import karpenter
from localcluster.errors import ClusterError
from tests.unit.localcluster.addons.fake_cluster import FakeCluster


def test_cluster_without_simulated_nodes_is_rejected_before_a_build(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="'mine' has no simulated nodes, only: container; start one with nodes"):
        karpenter.start(FakeCluster(tmp_path, "container").cluster)


def test_pool_has_the_labels_the_taint_and_the_instance_type_of_its_nodes(tmp_path: Path) -> None:
    fake, taint = FakeCluster(tmp_path, "kwok:1"), {"key": "a", "value": "b", "effect": "NoSchedule"}
    karpenter.create_node_pool(fake.cluster, "spot", labels={"x": "y"}, taint=taint, instance_type="c-4x")
    pool = fake.created["/apis/karpenter.sh/v1/nodepools"]
    template = pool["spec"]["template"]
    assert pool["metadata"] == {"name": "spot"}
    assert template["metadata"]["labels"] == {"x": "y"}
    assert template["spec"]["taints"] == [taint]
    assert template["spec"]["requirements"][0]["values"] == ["c-4x"]


def test_only_claims_that_have_a_node_are_returned(tmp_path: Path) -> None:
    claims = [
        {"metadata": {"name": "one"}, "status": {"nodeName": "node-1"}},
        {"metadata": {"name": "two"}, "status": {}},
    ]
    fake = FakeCluster(tmp_path, "kwok:1", nodeclaims={"items": claims})
    assert karpenter.node_claims(fake.cluster) == {"node-1": "one"}


def test_evicted_node_loses_its_claim(tmp_path: Path) -> None:
    fake = FakeCluster(tmp_path, "kwok:1")
    karpenter.evict_node(fake.cluster, "one")
    assert fake.requests == [("DELETE", "/apis/karpenter.sh/v1/nodeclaims/one")]


def test_karpenter_has_started_when_its_workers_have(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Starting EventSource\n")
    assert not karpenter._has_started(log)
    log.write_text("Starting EventSource\nStarting workers\n")
    assert karpenter._has_started(log)
