from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from localcluster.allocation import Slot
from localcluster.kubernetes.control_plane import ControlPlane
from localcluster.nodes import kwok

if TYPE_CHECKING:
    from localcluster.kubernetes.api import ApiClient


class NodeList:
    """A client of an API server that has nodes with these conditions."""

    def __init__(self, *conditions: list[dict[str, str]] | None) -> None:
        self.conditions = conditions
        self.paths: list[str] = []

    def request(self, method: str, path: str) -> dict[str, Any]:
        self.paths.append(f"{method} {path}")
        statuses = [{} if one is None else {"conditions": one} for one in self.conditions]
        return {"items": [{"status": status} for status in statuses]}


@pytest.mark.parametrize("tainted", [True, False])
def test_nodes_next_to_a_container_node_have_a_taint(tainted: bool) -> None:  # noqa: FBT001  a table's column
    node = kwok.build_node(3, tainted=tainted)
    assert node["metadata"]["name"] == node["metadata"]["labels"]["kubernetes.io/hostname"] == "kwok-3"
    assert [taint["effect"] for taint in node["spec"]["taints"]] == (["NoSchedule"] if tainted else [])


def test_kwok_manages_only_its_nodes_with_the_addresses_of_the_slot() -> None:
    plane = ControlPlane(Path("/clusters/mine"), Slot(2), "127.0.0.1", Path("/bin"), Path("/etcd"))
    program, *arguments = kwok.build_command(plane, Path("/cache/kwok"))
    node = kwok.build_node(0, tainted=False)
    (annotation,) = node["metadata"]["annotations"].items()
    assert program == "/cache/kwok"
    assert f"--manage-nodes-with-annotation-selector={'='.join(annotation)}" in arguments
    assert f"--cidr={Slot(2).simulated_pods}" in arguments
    assert "--kubeconfig=/clusters/mine/kwok.kubeconfig" in arguments


def test_only_nodes_whose_condition_ready_is_true_count() -> None:
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    api = NodeList([ready], [ready | {"status": "False"}], [{"type": "DiskPressure", "status": "True"}], [], None)
    assert kwok.count_ready_nodes(cast("ApiClient", api), "type=kwok") == 1
    assert api.paths == ["GET /api/v1/nodes?labelSelector=type=kwok"]
