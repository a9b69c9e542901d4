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
from device_scorer.models.neighbour_tree import METRICS, read_tree
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


@pytest.mark.parametrize("tree", [None, InertObject("x"), InertObject("x", state=(1, 2))])
def test_tree_of_another_layout_is_left_to_scikit_learn(tree: object) -> None:
    with pytest.raises(ClosedFormMissing):
        read_tree(tree, "euclidean")


def test_large_tree_is_left_to_scikit_learn() -> None:
    assert neighbour_tree.MAX_SAMPLES == 10_000
    tree = load_inert(pickle.dumps(KDTree(np.zeros((10_001, 1)))))
    with pytest.raises(ClosedFormMissing, match="more than 10,000 values"):
        read_tree(tree, "euclidean")
