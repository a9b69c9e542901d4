"""Queries of the k-d trees and ball trees of scikit-learn over one feature, with the same neighbours in the same order.

Equal distances are frequent, because readings are rounded. The neighbours that are found among them, and their order,
follow from the traversal of the tree, the heap and the sort of scikit-learn (`sklearn/neighbors/_binary_tree.pxi.tp`,
`sklearn/utils/_heap.pyx` and `sklearn/utils/_sorting.pyx`). The functions here perform the same steps.
"""

from dataclasses import dataclass, field
from math import inf, sqrt
from typing import Any

import numpy as np

from device_scorer.errors import ModelInvalid
from device_scorer.models.allowlist import KD_TREE
from device_scorer.models.inert import ClosedFormMissing, InertObject, read_array, read_matrix

EUCLIDEAN, MANHATTAN, CHEBYSHEV = "euclidean", "manhattan", "chebyshev"
METRICS = {
    **dict.fromkeys(("euclidean", "l2"), EUCLIDEAN),
    **dict.fromkeys(("manhattan", "l1", "cityblock"), MANHATTAN),
    **dict.fromkeys(("chebyshev", "infinity"), CHEBYSHEV),
}
"""The metrics that are the same over one feature except for rounding, by their names in scikit-learn."""

MAX_SAMPLES = 10_000
"""Training values of a tree from which scikit-learn, whose process has a time limit, evaluates the model."""

MAX_LEAF_VALUES = 1_000
"""Training values of a leaf from which scikit-learn evaluates the model. A query compares a value with each of them."""

MAX_SORTED_BY_INSERTION = 15


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourTree:
    """A tree of training values.

    Attributes:
        is_euclidean: True if the tree compares squared distances.
        is_ball_tree: True for a ball tree, False for a k-d tree.
        leaves: The training values and their indexes in each leaf, in the order of the tree; None for an inner node.
        lows: The lower bound of each node of a k-d tree, or the centre of each node of a ball tree.
        highs: The upper bound of each node of a k-d tree, or the radius of each node of a ball tree.
    """

    is_euclidean: bool
    is_ball_tree: bool
    leaves: list[list[tuple[float, int]] | None] = field(repr=False)
    lows: list[float] = field(repr=False)
    highs: list[float] = field(repr=False)

    def query(self, values: list[float], count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the distances and the indexes of the nearest training values, a row for each value.

        Args:
            values: Finite values.
            count: The number of neighbours.
        """
        found = [self._query_one(value, count) for value in values]
        distances = np.array([row[0] for row in found], dtype=np.float64).reshape(len(values), count)
        indexes = np.array([row[1] for row in found], dtype=np.intp).reshape(len(values), count)
        return np.sqrt(distances) if self.is_euclidean else distances, indexes

    def _query_one(self, value: float, count: int) -> tuple[list[float], list[int]]:
        """Return the reduced distances and the indexes of the neighbours of one value."""
        heap, indexes = [inf] * count, [0] * count
        waiting = [(0, self._lower_bound(0, value))]
        is_euclidean = self.is_euclidean
        while waiting:
            node, bound = waiting.pop()
            if bound > heap[0]:
                continue
            leaf = self.leaves[node]
            if leaf is not None:
                for other, index in leaf:
                    distance = value - other
                    distance = distance * distance if is_euclidean else abs(distance)
                    if distance < heap[0]:
                        _push(heap, indexes, distance, index)
                continue
            first, second = 2 * node + 1, 2 * node + 2
            first_bound, second_bound = self._lower_bound(first, value), self._lower_bound(second, value)
            if first_bound <= second_bound:
                waiting += (second, second_bound), (first, first_bound)
            else:
                waiting += (first, first_bound), (second, second_bound)
        _sort(heap, indexes, 0, count, 2 * (count.bit_length() - 1))
        return heap, indexes

    def _lower_bound(self, node: int, value: float) -> float:
        """Return the smallest reduced distance of a value in a node."""
        if self.is_ball_tree:
            distance = value - self.lows[node]
            distance = sqrt(distance * distance) if self.is_euclidean else abs(distance)
            distance = max(0.0, distance - self.highs[node])
        else:
            below, above = self.lows[node] - value, value - self.highs[node]
            distance = 0.5 * ((below + abs(below)) + (above + abs(above)))
        return distance * distance if self.is_euclidean else distance


def read_tree(tree: Any, metric: str) -> NeighbourTree:
    """Return a checked tree.

    Args:
        tree: The tree of the file.
        metric: A value of METRICS.

    Raises:
        ModelInvalid: The tree is inconsistent.
        ClosedFormMissing: Another version wrote the tree, or it is large.
    """
    state = tree.state if isinstance(tree, InertObject) else None
    if not isinstance(state, tuple) or len(state) < 4:
        raise ClosedFormMissing("a tree of another version")
    record = InertObject("", dict(zip(("data", "idx_array", "node_data", "node_bounds"), state, strict=False)))
    if read_array(record, "data").count > MAX_SAMPLES or read_array(record, "node_data").count > 2 * MAX_SAMPLES:
        raise ClosedFormMissing(f"a tree of more than {MAX_SAMPLES:,} values")
    data = read_matrix(record, "data", (None, 1)).astype(np.float64)[:, 0].tolist()
    nodes = read_array(record, "node_data").to_numpy()
    if nodes.ndim != 1 or set(nodes.dtype.names or ()) != {"idx_start", "idx_end", "is_leaf", "radius"}:
        raise ClosedFormMissing("a tree of another version")
    if not data or not len(nodes):
        raise ClosedFormMissing("a tree without values")
    is_ball_tree = tree.class_name != KD_TREE
    bounds = read_matrix(record, "node_bounds", (1 if is_ball_tree else 2, len(nodes), 1))[:, :, 0]
    indexes = read_matrix(record, "idx_array", (len(data),)).tolist()
    if sorted(indexes) != list(range(len(data))):
        raise ModelInvalid("the model is invalid: its tree does not have each training value once")
    radii = nodes["radius"].astype(np.float64)
    if not np.isfinite(radii).all():
        raise ModelInvalid("the model is invalid: its tree has a radius that is not finite")
    return NeighbourTree(
        is_euclidean=metric == EUCLIDEAN,
        is_ball_tree=is_ball_tree,
        leaves=_read_leaves(nodes, data, indexes),
        lows=bounds[0].tolist(),
        highs=radii.tolist() if is_ball_tree else bounds[1].tolist(),
    )


def _read_leaves(nodes: np.ndarray, data: list[float], indexes: list[int]) -> list[list[tuple[float, int]] | None]:
    """Return the content of the leaves that a query reaches, which must be all training values.

    Raises:
        ModelInvalid: The tree is inconsistent.
        ClosedFormMissing: A leaf is large.
    """
    starts, ends, is_leaf = (nodes[name].tolist() for name in ("idx_start", "idx_end", "is_leaf"))
    leaves: list[list[tuple[float, int]] | None] = [None] * len(nodes)
    waiting, reached = [0], 0
    while waiting:
        node = waiting.pop()
        if node >= len(nodes) or not 0 <= starts[node] <= ends[node] <= len(data):
            raise ModelInvalid("the model is invalid: a node of its tree is outside of the tree")
        if not is_leaf[node]:
            waiting += 2 * node + 1, 2 * node + 2
            continue
        if ends[node] - starts[node] > MAX_LEAF_VALUES:
            raise ClosedFormMissing(f"a tree with a leaf of more than {MAX_LEAF_VALUES:,} values")
        leaves[node] = [(data[index], index) for index in indexes[starts[node] : ends[node]]]
        reached += ends[node] - starts[node]
        if reached > len(data):
            break
    if reached != len(data):
        raise ModelInvalid("the model is invalid: the leaves of its tree do not divide the training values")
    return leaves


def _push(heap: list[float], indexes: list[int], distance: float, index: int) -> None:
    """Replace the largest distance of a max-heap by a smaller one (`heap_push`)."""
    size, current = len(heap), 0
    while True:
        child = 2 * current + 1
        if child >= size:
            break
        if child + 1 < size and heap[child] < heap[child + 1]:
            child += 1
        if distance >= heap[child]:
            break
        heap[current], indexes[current] = heap[child], indexes[child]
        current = child
    heap[current], indexes[current] = distance, index


def _sort(values: list[float], indexes: list[int], start: int, count: int, depth: int) -> None:
    """Sort a part of both lists by the values (`introsort_2way`)."""
    while count > MAX_SORTED_BY_INSERTION:
        if depth <= 0:
            _sort_by_heap(values, indexes, start, count)
            return
        depth -= 1
        pivot_index = _partition(values, indexes, start, count)
        _sort(values, indexes, start, pivot_index - start, depth)
        count -= pivot_index + 1 - start
        start = pivot_index + 1
    for i in range(start + 1, start + count):
        value, index, j = values[i], indexes[i], i
        while j > start and values[j - 1] > value:
            values[j], indexes[j] = values[j - 1], indexes[j - 1]
            j -= 1
        values[j], indexes[j] = value, index


def _partition(values: list[float], indexes: list[int], start: int, count: int) -> int:
    """Divide a part by the median of three values, and return the index of the pivot."""
    last, middle = start + count - 1, start + count // 2
    if values[start] > values[last]:
        _swap(values, indexes, start, last)
    if values[last] > values[middle]:
        _swap(values, indexes, last, middle)
        if values[start] > values[last]:
            _swap(values, indexes, start, last)
    pivot, i, j = values[last], start + 1, last - 1
    while True:
        while i <= j and values[i] < pivot:
            i += 1
        while i <= j and values[j] > pivot:
            j -= 1
        if i >= j:
            break
        _swap(values, indexes, i, j)
        i += 1
        j -= 1
    _swap(values, indexes, i, last)
    return i


def _sort_by_heap(values: list[float], indexes: list[int], start: int, count: int) -> None:
    """Sort a part of both lists (`heapsort`)."""
    for root in range((count - 2) // 2, -1, -1):
        _sift_down(values, indexes, start, root, count)
    for end in range(count - 1, 0, -1):
        _swap(values, indexes, start, start + end)
        _sift_down(values, indexes, start, 0, end)


def _sift_down(values: list[float], indexes: list[int], start: int, root: int, end: int) -> None:
    """Restore the heap order of a part."""
    while True:
        child, largest = 2 * root + 1, root
        if child < end and values[start + largest] < values[start + child]:
            largest = child
        if child + 1 < end and values[start + largest] < values[start + child + 1]:
            largest = child + 1
        if largest == root:
            return
        _swap(values, indexes, start + root, start + largest)
        root = largest


def _swap(values: list[float], indexes: list[int], i: int, j: int) -> None:
    values[i], values[j] = values[j], values[i]
    indexes[i], indexes[j] = indexes[j], indexes[i]
