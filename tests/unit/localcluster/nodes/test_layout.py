import pytest

from localcluster.errors import ClusterError
from localcluster.nodes.layout import NodeLayout


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("container", NodeLayout(container=True, simulated=0)),
        ("kwok:4", NodeLayout(container=False, simulated=4)),
        ("container,kwok:5", NodeLayout(container=True, simulated=5)),
        ("none", NodeLayout(container=False, simulated=0)),
    ],
)
def test_text_of_nodes_parses_to_the_same_nodes(text: str, nodes: NodeLayout) -> None:
    assert NodeLayout.parse(text) == nodes
    assert str(nodes) == text


@pytest.mark.parametrize("text", ["", "kwok", "kwok:0", "kwok:x", "containers", "container;kwok:1"])
def test_invalid_nodes_are_rejected_with_the_allowed_forms(text: str) -> None:
    with pytest.raises(ClusterError, match="use container, kwok:N"):
        NodeLayout.parse(text)
