"""IsolationForest over one feature, with the operations of scikit-learn.

Over one feature, a tree divides the numbers into intervals, and each leaf is one interval. The intervals of a leaf are
read once. A call sorts its values, and finds the values of each leaf by the ends of its interval. The path lengths are
added in the order of the trees, in double precision, as scikit-learn does (Liu, Ting and Zhou, "Isolation Forest",
2008). The trees compare values in single precision with thresholds in double precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from device_scorer.errors import ModelInvalid
from device_scorer.models.allowlist import EXTRA_TREE, TREE
from device_scorer.models.inert import Array, ClosedFormMissing, InertObject, read_count, read_number

MAX_TREES = 5_000
MAX_NODES = 2_000_000
"""Trees and nodes of a forest from which scikit-learn, whose process has limits, evaluates the model."""

MAX_DEPTH = 64
"""Depth of a tree. The default of scikit-learn for 256 samples is 8."""

_NODE_FIELDS = ("left_child", "right_child", "feature", "threshold")


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """The intervals of a fitted IsolationForest.

    Attributes:
        ends: The upper ends of the intervals of all trees, tree by tree, each inclusive and ascending.
        lengths: The path length of each interval.
        starts: The index of the first interval of each tree, and the number of all intervals.
        denominator: The normalisation of the sum of path lengths.
        offset: The offset of the decision function.
    """

    ends: np.ndarray = field(repr=False)
    lengths: np.ndarray = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    denominator: np.ndarray
    offset: float

    def decide(self, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels (True for an anomaly) and the decision function.

        Args:
            scaled: Scaled values without NaN, as a vector.
        """
        single = scaled.astype(np.float32)
        order = np.argsort(single, kind="stable")
        positions = np.searchsorted(single[order].astype(np.float64), self.ends, side="right")
        sorted_depths = np.zeros(len(scaled))
        for start, end in zip(self.starts, self.starts[1:], strict=False):
            counts = np.diff(positions[start:end], prepend=0)
            sorted_depths += np.repeat(self.lengths[start:end], counts)
        depths = np.empty_like(sorted_depths)
        depths[order] = sorted_depths
        ratios = np.divide(depths, self.denominator, out=np.ones_like(depths), where=self.denominator != 0)
        scores = -(2**-ratios) - self.offset
        return scores < 0, scores


def read_forest(forest: InertObject) -> Forest:
    """Return the closed form of a fitted IsolationForest.

    Args:
        forest: The estimator.

    Raises:
        ModelInvalid: The estimator is not fitted, or a tree is inconsistent.
        ClosedFormMissing: Only scikit-learn can evaluate the estimator, or another version wrote it.
    """
    trees = forest.attributes.get("estimators_")
    depths = forest.attributes.get("_decision_path_lengths")
    averages = forest.attributes.get("_average_path_length_per_tree")
    if not isinstance(trees, list) or not isinstance(depths, (tuple, list)) or not isinstance(averages, (tuple, list)):
        raise ClosedFormMissing("a forest of another version")
    if not 0 < len(trees) <= MAX_TREES:
        raise ClosedFormMissing(f"a forest without trees, or of more than {MAX_TREES:,} trees")
    if not len(trees) == len(depths) == len(averages):
        raise ModelInvalid("the model is invalid: its trees and path lengths differ in number")
    nodes, sizes = _read_nodes([_nodes_of(tree) for tree in trees])
    lengths = _read_lengths(depths, sizes) + _read_lengths(averages, sizes) - 1.0
    ends, lengths_of_leaves, starts = _intervals(nodes, sizes, lengths)
    return Forest(
        ends=ends,
        lengths=lengths_of_leaves,
        starts=starts,
        denominator=len(trees) * _average_path_length(read_count(forest, "_max_samples")),
        offset=read_number(forest, "offset_"),
    )


def _nodes_of(estimator: Any) -> Array:
    """Return the nodes of a tree."""
    tree = estimator.attributes.get("tree_") if isinstance(estimator, InertObject) else None
    if not isinstance(tree, InertObject) or estimator.class_name != EXTRA_TREE or tree.class_name != TREE:
        raise ClosedFormMissing("a forest of other estimators")
    nodes = tree.attributes.get("nodes")
    if not isinstance(nodes, Array) or nodes.dtype is None or "missing_go_to_left" not in nodes.dtype.fields:
        raise ClosedFormMissing("a tree of another version")
    return nodes


def _join(arrays: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the content of vectors of one type in one vector, and their sizes."""
    first = arrays[0].dtype if isinstance(arrays[0], Array) else None
    for array in arrays:
        is_vector = isinstance(array, Array) and array.data is not None and first is not None
        if not is_vector or first is None or (array.dtype is not first and array.dtype != first):
            raise ClosedFormMissing("arrays of different types")
        if len(array.shape) != 1 or not array.shape[0] or len(array.data) != array.shape[0] * first.size:
            raise ModelInvalid("the model is invalid: an array of a tree has another shape or size")
    sizes = np.array([array.shape[0] for array in arrays])
    if sizes.sum() > MAX_NODES:
        raise ClosedFormMissing(f"a forest of more than {MAX_NODES:,} nodes")
    arrays[0].reserve(sum(len(array.data) for array in arrays))
    return Array(first, (int(sizes.sum()),), b"".join([array.data for array in arrays])).to_numpy(), sizes


def _read_nodes(arrays: list[Array]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the checked fields of the nodes of all trees, and the number of nodes of each tree.

    The indexes of children count from the first node of the first tree.
    """
    nodes, sizes = _join(arrays)
    if not set(_NODE_FIELDS) <= set(nodes.dtype.names or ()):
        raise ModelInvalid("the model is invalid: a tree has no nodes")
    if any(nodes[name].dtype.kind != kind for name, kind in zip(_NODE_FIELDS, "iiif", strict=True)):
        raise ClosedFormMissing("a tree of another version")
    roots = np.cumsum(sizes) - sizes
    inner = np.flatnonzero(nodes["left_child"] != -1)
    shifts = np.repeat(roots, sizes)[inner]
    left, right = nodes["left_child"][inner] + shifts, nodes["right_child"][inner] + shifts
    children = np.concatenate([left, right])
    # A child follows its parent in the same tree, and each node except the roots has one parent. So they are trees.
    if (
        not np.array_equal(inner, np.flatnonzero(nodes["right_child"] != -1))
        or (children <= np.tile(inner, 2)).any()
        or (children >= np.tile(np.repeat(roots + sizes, sizes)[inner], 2)).any()
        or (np.bincount(np.concatenate([roots, children]), minlength=len(nodes)) != 1).any()
        or (nodes["feature"][inner] != 0).any()
        or not np.isfinite(nodes["threshold"][inner]).all()
    ):
        raise ModelInvalid("the model is invalid: the nodes of a tree are inconsistent")
    return {"inner": inner, "left": left, "right": right, "threshold": nodes["threshold"][inner]}, sizes


def _read_lengths(arrays: Sequence[Any], sizes: np.ndarray) -> np.ndarray:
    """Return the path lengths of the nodes of all trees."""
    lengths, found = _join(arrays)
    if not np.array_equal(found, sizes) or lengths.dtype.kind not in "iuf" or not np.isfinite(lengths).all():
        raise ModelInvalid("the model is invalid: the path lengths of a tree are inconsistent")
    return lengths


def _intervals(
    nodes: dict[str, np.ndarray], sizes: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Return the ends of the intervals of all leaves, the lengths of the leaves, and the first leaf of each tree."""
    count = len(lengths)
    left, right, thresholds = np.full(count, -1), np.full(count, -1), np.zeros(count)
    left[nodes["inner"]], right[nodes["inner"]] = nodes["left"], nodes["right"]
    thresholds[nodes["inner"]] = nodes["threshold"]
    is_leaf = left == -1
    low, high = np.full(count, -np.inf), np.full(count, np.inf)
    roots = np.cumsum(sizes) - sizes
    level = roots[~is_leaf[roots]]
    for _ in range(MAX_DEPTH):
        if not len(level):
            break
        high[left[level]] = np.minimum(high[level], thresholds[level])
        low[left[level]] = low[level]
        low[right[level]] = np.maximum(low[level], thresholds[level])
        high[right[level]] = high[level]
        level = np.concatenate([left[level], right[level]])
        level = level[~is_leaf[level]]
    if len(level):
        raise ClosedFormMissing(f"a tree deeper than {MAX_DEPTH}")
    trees = np.repeat(np.arange(len(sizes)), sizes)
    leaves = np.flatnonzero(is_leaf & (low < high))  # no value reaches the others
    ends = high[leaves]
    if (
        (ends[1:] <= ends[:-1]) & (trees[leaves][1:] == trees[leaves][:-1])
    ).any():  # trees of scikit-learn are in order
        leaves = leaves[np.lexsort((ends, trees[leaves]))]
    starts = np.searchsorted(trees[leaves], np.arange(len(sizes) + 1))
    return high[leaves], lengths[leaves], tuple(starts.tolist())


def _average_path_length(count: int) -> np.ndarray:
    """Return the average path length of a tree of `count` samples (`sklearn.ensemble._iforest`), as a vector."""
    if count <= 2:
        return np.array([0.0 if count <= 1 else 1.0])
    samples = np.array([count])
    length: np.ndarray = 2.0 * (np.log(samples - 1.0) + np.euler_gamma) - 2.0 * (samples - 1.0) / samples
    return length
