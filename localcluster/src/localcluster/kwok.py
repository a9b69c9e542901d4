"""Simulated nodes: kwok plays their kubelets, and stages.py says what happens to their pods."""

from pathlib import Path
from typing import Any

from localcluster import processes, stages
from localcluster.api import Api
from localcluster.controlplane import CRDS, ControlPlane

_ANNOTATION = "kwok.x-k8s.io/node"
STAGES = "/apis/kwok.x-k8s.io/v1alpha1/stages"


def node(number: int, *, tainted: bool) -> dict[str, Any]:
    """A simulated node; tainted where real nodes stand beside it, so that only pods that mean it land there."""
    name = f"kwok-{number}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {_ANNOTATION: "fake"},
            "labels": {
                "type": "kwok",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "spec": {"taints": [{"key": _ANNOTATION, "value": "fake", "effect": "NoSchedule"}] if tainted else []},
    }


def command(plane: ControlPlane, program: Path) -> list[str]:
    """The command line of kwok."""
    return [
        str(program),
        f"--kubeconfig={plane.folder}/kwok.kubeconfig",
        f"--manage-nodes-with-annotation-selector={_ANNOTATION}=fake",
        f"--cidr={plane.slot.simulated_pods}",
        f"--node-ip={plane.slot.host}",
        "--node-lease-duration-seconds=40",  # without leases its nodes turn NotReady after a minute
        "--enable-crds=Stage",
    ]


def start(plane: ControlPlane, program: Path, count: int, *, tainted: bool) -> None:
    """Start kwok with `count` nodes and wait until all are ready."""
    api = plane.api()
    api.create(CRDS, stages.CRD)
    processes.wait_until(
        plane.folder, "kube-apiserver", lambda: api.answers(STAGES), seconds=30, what="the API of kwok's stages"
    )
    for stage in stages.defaults():
        api.create(STAGES, stage)
    for number in range(count):
        api.create("/api/v1/nodes", node(number, tainted=tainted))
    plane.kubeconfig("kwok", "kwok", ["system:masters"])
    processes.start(plane.folder, "kwok", command(plane, program))
    processes.wait_until(
        plane.folder, "kwok", lambda: ready_nodes(api, "type=kwok") >= count, seconds=60, what=f"{count} kwok nodes"
    )


def ready_nodes(api: Api, selector: str) -> int:
    """How many of the nodes with these labels are ready."""
    nodes = api.request("GET", f"/api/v1/nodes?labelSelector={selector}")["items"]
    ready = {"type": "Ready", "status": "True"}
    return sum(
        any(ready.items() <= condition.items() for condition in item["status"].get("conditions", [])) for item in nodes
    )
