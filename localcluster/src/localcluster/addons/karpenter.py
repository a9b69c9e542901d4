"""Karpenter with its kwok provider: an autoscaler of simulated nodes, like node auto-provisioning on AKS.

Karpenter needs a cluster with simulated nodes: the cluster's kwok also simulates the kubelets of Karpenter's nodes.
Karpenter ends with the cluster, or by `stop`.
"""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcluster import processes
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError
from localcluster.progress import StepProgress
from localcluster.toolchain import golang, tools

_ROLE = "karpenter"
_MODULE = "sigs.k8s.io/karpenter"
_CRDS = ("pkg/apis/crds", "kwok/apis/crds")
_KWOK_NODE_CLASS = {
    "apiVersion": "karpenter.kwok.sh/v1alpha1",
    "kind": "KWOKNodeClass",
    "metadata": {"name": "default"},
}
_API_PATH = "/apis/karpenter.sh/v1"


def start(cluster: Cluster, *, progress: StepProgress | None = None) -> None:
    """Start Karpenter on a cluster with simulated nodes; it creates nodes after `create_node_pool`.

    Args:
        cluster: The cluster.
        progress: The printer of the build.

    Raises:
        ClusterError: The cluster has no simulated nodes, or Karpenter did not start.
    """
    if not cluster.nodes.simulated:
        raise ClusterError(
            f"cluster {cluster.name!r} has no simulated nodes, only: {cluster.nodes}; start one with nodes 'kwok:N'"
        )
    program = tools.ensure_program("karpenter", progress=progress)
    source = golang.module_folder("karpenter", _MODULE)
    crds = [str(file) for part in _CRDS for file in sorted((source / part).glob("*.yaml"))]
    cluster.kubectl("apply", "--server-side", *(f"--filename={crd}" for crd in crds))
    cluster.wait_for_crds()
    cluster.api.create("/apis/karpenter.kwok.sh/v1alpha1/kwoknodeclasses", _KWOK_NODE_CLASS)
    # Port 0 selects a free port; the endpoints are not used.
    options = ["--disable-leader-election=true", "--metrics-port=0", "--health-probe-port=0"]
    environment = {"KUBECONFIG": str(cluster.kubeconfig)}
    processes.start_process(cluster.folder, _ROLE, [str(program), *options], environment=environment)
    processes.wait_until(
        cluster.folder,
        _ROLE,
        lambda: _has_started(cluster.log(_ROLE)),
        timeout_seconds=60,
        description="Karpenter to start its work",
    )


def _has_started(log: Path) -> bool:
    return "Starting workers" in log.read_text()


def stop(cluster: Cluster) -> None:
    """End Karpenter, if it runs; keep its nodes."""
    processes.stop_processes(cluster.folder, [_ROLE], signal_number=signal.SIGKILL)


def create_node_pool(
    cluster: Cluster, name: str, *, labels: Mapping[str, str], taint: Mapping[str, str], instance_type: str
) -> None:
    """Create a pool without nodes, which grows with pending pods and shrinks when nodes are empty.

    Args:
        cluster: The cluster on which Karpenter runs.
        name: The pool's name.
        labels: The labels of its nodes.
        taint: The taint of its nodes, with key, value and effect.
        instance_type: An instance type of the kwok provider, e.g. ``c-4x-amd64-linux``: four CPUs with two GiB each.
    """
    node = {
        "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
        "taints": [dict(taint)],
        "requirements": [{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [instance_type]}],
        "expireAfter": "Never",
    }
    # The default budget of 10% removes a tenth of the nodes at a time.
    disruption = {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "5s", "budgets": [{"nodes": "100%"}]}
    spec = {"template": {"metadata": {"labels": dict(labels)}, "spec": node}, "disruption": disruption}
    pool = {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name}, "spec": spec}
    cluster.api.create(f"{_API_PATH}/nodepools", pool)


def node_claims(cluster: Cluster) -> dict[str, str]:
    """Return the NodeClaims of Karpenter's nodes by node name."""
    items: list[dict[str, Any]] = cluster.api.request("GET", f"{_API_PATH}/nodeclaims")["items"]
    return {item["status"]["nodeName"]: item["metadata"]["name"] for item in items if item["status"].get("nodeName")}


def evict_node(cluster: Cluster, claim_name: str) -> None:
    """Delete a NodeClaim: the node's pods are evicted, then the node is deleted, as a spot machine is."""
    cluster.api.request("DELETE", f"{_API_PATH}/nodeclaims/{claim_name}")
