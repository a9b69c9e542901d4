"""Simulated nodes: kwok simulates their kubelets, and stages.py defines what happens to their pods."""

from pathlib import Path
from typing import Any

from localcluster import processes
from localcluster.kubernetes.api import ApiClient
from localcluster.kubernetes.control_plane import CRDS_PATH, ControlPlane
from localcluster.nodes import stages

_KWOK_ANNOTATION = "kwok.x-k8s.io/node"
STAGES_PATH = "/apis/kwok.x-k8s.io/v1alpha1/stages"


def build_node(number: int, *, tainted: bool) -> dict[str, Any]:
    """Return the manifest of a simulated node.

    Args:
        number: The number in the node's name.
        tainted: True if the cluster also has a container node. Only pods that tolerate the taint are scheduled here.
    """
    name = f"kwok-{number}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {_KWOK_ANNOTATION: "fake"},
            "labels": {
                "type": "kwok",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "spec": {"taints": [{"key": _KWOK_ANNOTATION, "value": "fake", "effect": "NoSchedule"}] if tainted else []},
    }


def build_command(plane: ControlPlane, program: Path) -> list[str]:
    """Return the command line of kwok."""
    return [
        str(program),
        f"--kubeconfig={plane.folder}/kwok.kubeconfig",
        f"--manage-nodes-with-annotation-selector={_KWOK_ANNOTATION}=fake",
        f"--cidr={plane.slot.simulated_pods}",
        f"--node-ip={plane.slot.host}",
        "--node-lease-duration-seconds=40",  # without Leases its nodes become NotReady after a minute
        "--enable-crds=Stage",
    ]


def start(plane: ControlPlane, program: Path, count: int, *, tainted: bool) -> None:
    """Start kwok with `count` nodes and wait until all nodes are ready."""
    api = plane.create_api_client()
    api.create(CRDS_PATH, stages.STAGE_CRD)
    processes.wait_until(
        plane.folder,
        "kube-apiserver",
        lambda: api.responds(STAGES_PATH),
        timeout_seconds=30,
        description="the API of kwok's stages",
    )
    for stage in stages.default_stages():
        api.create(STAGES_PATH, stage)
    for number in range(count):
        api.create("/api/v1/nodes", build_node(number, tainted=tainted))
    plane.create_kubeconfig("kwok", "kwok", ["system:masters"])
    processes.start_process(plane.folder, "kwok", build_command(plane, program))
    processes.wait_until(
        plane.folder,
        "kwok",
        lambda: count_ready_nodes(api, "type=kwok") >= count,
        timeout_seconds=60,
        description=f"{count} kwok nodes",
    )


def count_ready_nodes(api: ApiClient, selector: str) -> int:
    """Return the number of ready nodes that a label selector matches."""
    nodes = api.request("GET", f"/api/v1/nodes?labelSelector={selector}")["items"]
    ready = {"type": "Ready", "status": "True"}
    return sum(
        any(ready.items() <= condition.items() for condition in item["status"].get("conditions", [])) for item in nodes
    )
