"""Tests of trees of neighbours against scikit-learn: the same neighbours in the same order."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import BallTree, KDTree

from device_scorer.errors import ModelInvalid
from device_scorer.models import neighbour_tree
from device_scorer.models.inert import Array, ClosedFormMissing, InertObject
from device_scorer.models.neighbour_tree import METRICS, NeighbourTree, read_tree
from device_scorer.models.unpickler import load_inert

RANDOM = np.random.default_rng(5)
ROUNDED = np.round(RANDOM.normal(10, 1, (200, 1)), 1)


@pytest.mark.parametrize("kind", [KDTree, BallTree])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize("leaf_size", [1, 2, 7, 40])
@pytest.mark.parametrize(
    "data", [ROUNDED, np.zeros((60, 1)), np.arange(64.0).reshape(-1, 1), RANDOM.normal(0, 1, (99, 1))]
)
def test_neighbours_among_equal_distances_are_those_of_scikit_learn(
    kind: Any, metric: str, leaf_size: int, data: np.ndarray
) -> None:
    tree = kind(data, metric=metric, leaf_size=leaf_size)
    mine = read_tree(load_inert(pickle.dumps(tree)), METRICS[metric])
    values = np.concatenate([data[:50, 0], data[:20, 0] + 0.05, [1e200, -1e308, 0.0]])
    for count in (1, 5, 16, 40):
        distances, indexes = tree.query(values.reshape(-1, 1), count)
        found_distances, found_indexes = mine.query(values.tolist(), count)
        assert found_distances.tolist() == distances.tolist()
        assert found_indexes.tolist() == indexes.tolist()


def test_sort_of_an_adverse_order_is_a_heap_sort() -> None:
    values = [float((7 * number) % 64) for number in range(64)]
    indexes = list(range(64))
    neighbour_tree._sort(values, indexes, 0, 64, 0)
    assert values == [float(number) for number in range(64)]
    assert [(7 * index) % 64 for index in indexes] == values


def changed(name: str, change: Callable[[Any], object]) -> InertObject:
    """Return a tree whose state has another content."""
    record = load_inert(pickle.dumps(KDTree(ROUNDED, leaf_size=10)))
    state = dict(zip(("data", "idx_array", "node_data", "node_bounds"), record.state, strict=False))
    content = state[name].to_numpy().copy()
    change(content)
    state[name] = Array(state[name].dtype, content.shape, content.tobytes())
    record.state = tuple(state.values())
    assert isinstance(record, InertObject)
    return record


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("idx_array", lambda content: content.__setitem__(0, -1)),
        ("idx_array", lambda content: content.__setitem__(0, content[1])),
        ("idx_array", lambda content: content.__setitem__(0, 10**9)),
        ("node_data", lambda content: content["idx_end"].__setitem__(-1, 10**9)),
        ("node_data", lambda content: content["idx_start"].__setitem__(-1, -1)),
        ("node_data", lambda content: content["is_leaf"].fill(0)),
        ("node_data", lambda content: content["is_leaf"].__setitem__(-1, 0)),
        ("node_data", lambda content: content["radius"].__setitem__(0, np.nan)),
        ("node_bounds", lambda content: content.fill(np.inf)),
        ("data", lambda content: content.__setitem__(0, np.nan)),
    ],
)
def test_inconsistent_tree_is_invalid(name: str, change: Callable[[Any], object]) -> None:
    with pytest.raises(ModelInvalid):
        read_tree(changed(name, change), "euclidean")


def a_tree(values: int, leaf_size: int) -> NeighbourTree:
    column = np.arange(float(values)).reshape(-1, 1)
    return read_tree(load_inert(pickle.dumps(KDTree(column, leaf_size=leaf_size))), "euclidean")


@pytest.mark.parametrize("tree", [None, InertObject("x"), InertObject("x", state=(1, 2))])
def test_tree_of_another_layout_is_left_to_scikit_learn(tree: object) -> None:
    with pytest.raises(ClosedFormMissing):
        read_tree(tree, "euclidean")


def test_tree_of_more_than_10000_values_is_left_to_scikit_learn() -> None:
    assert sum(map(len, filter(None, a_tree(10_000, leaf_size=40).leaves))) == 10_000
    with pytest.raises(ClosedFormMissing, match="a tree of more than 10,000 values"):
        a_tree(10_001, leaf_size=40)


def test_tree_with_a_leaf_of_more_than_1000_values_is_left_to_scikit_learn() -> None:
    assert len(a_tree(1000, leaf_size=10_000).leaves[0] or ()) == 1000
    with pytest.raises(ClosedFormMissing, match="a leaf of more than 1,000 values"):
        a_tree(1001, leaf_size=10_000)
