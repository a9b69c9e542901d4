"""Karpenter with its kwok provider: an autoscaler of simulated nodes, as node auto-provisioning on AKS is of real ones.

It runs beside a cluster that has simulated nodes, whose kwok plays the kubelets of the nodes it makes too; it ends with
the cluster, or by `stop`.
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
    """Start it on a cluster with simulated nodes; it makes nodes once there is a pool.

    Raises:
        ClusterError: the cluster has no simulated nodes, or Karpenter did not start.
    """
    if not cluster.nodes.simulated:
        raise ClusterError(f"cluster {cluster.name!r} has no simulated nodes; its nodes: {cluster.nodes}")
    program = tools.ensure_program("karpenter", progress=progress)
    source = golang.module_folder("karpenter", _MODULE)
    crds = [str(file) for part in _CRDS for file in sorted((source / part).glob("*.yaml"))]
    cluster.kubectl("apply", "--server-side", *(f"--filename={crd}" for crd in crds))
    cluster.wait_for_crds()
    cluster.api.create("/apis/karpenter.kwok.sh/v1alpha1/kwoknodeclasses", _KWOK_NODE_CLASS)
    # Port 0 is any free one: nobody asks there.
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
    """End it; its nodes stay. Fine where it has ended already."""
    processes.stop_processes(cluster.folder, [_ROLE], signal_number=signal.SIGKILL)


def create_node_pool(
    cluster: Cluster, name: str, *, labels: Mapping[str, str], taint: Mapping[str, str], instance_type: str
) -> None:
    """Make a pool that grows from no node as pods ask for it, and shrinks as soon as nodes are empty.

    Args:
        cluster: where Karpenter runs.
        name: the pool's name.
        labels: of its nodes.
        taint: of its nodes, with key, value and effect.
        machine: an instance type of the kwok provider, e.g. ``c-4x-amd64-linux``: four CPUs with two GiB each.
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
    """The claims behind the nodes that it made, by node; a node goes, its pods evicted, when its claim is deleted."""
    items: list[dict[str, Any]] = cluster.api.request("GET", f"{_API_PATH}/nodeclaims")["items"]
    return {item["status"]["nodeName"]: item["metadata"]["name"] for item in items if item["status"].get("nodeName")}


def evict_node(cluster: Cluster, claim_name: str) -> None:
    """Take a node away as a cloud takes a spot machine: its pods are evicted, then it is gone."""
    cluster.api.request("DELETE", f"{_API_PATH}/nodeclaims/{claim_name}")
