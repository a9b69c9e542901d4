"""Tests of forests in closed form. test_labels compares random ones with scikit-learn."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from device_scorer.errors import ModelInvalid
from device_scorer.models.inert import Array, ClosedFormMissing, InertObject
from device_scorer.models.isolation_forest import read_forest
from device_scorer.models.unpickler import load_inert

COLUMN = np.round(np.random.default_rng(5).normal(10, 2, (300, 1)), 2)
FITTED = IsolationForest(n_estimators=7, contamination=0.05, random_state=1).fit(COLUMN)


def inert() -> InertObject:
    record = load_inert(pickle.dumps(FITTED))
    assert isinstance(record, InertObject)
    return record


def test_scores_at_each_threshold_equal_those_of_scikit_learn_in_every_bit() -> None:
    thresholds = np.concatenate([one.tree_.threshold[one.tree_.feature == 0] for one in FITTED.estimators_])
    near = np.nextafter(thresholds.astype(np.float32), np.float32(np.inf)).astype(np.float64)
    values = np.concatenate([COLUMN[:, 0], thresholds, near, [np.inf, -np.inf, 1e300]])
    with np.errstate(over="ignore"):
        labels, scores = read_forest(inert()).decide(values)
    finite = np.where(np.abs(values) < 1e38, values, np.sign(values) * 3e38).reshape(-1, 1)
    assert scores.tolist() == FITTED.decision_function(finite).tolist()
    assert (labels == (FITTED.predict(finite) == -1)).all()
    assert 0 < labels.sum() < len(labels)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_forest_of_few_samples_has_the_scores_of_scikit_learn(samples: int) -> None:
    forest = IsolationForest(n_estimators=3, max_samples=samples, random_state=1).fit(COLUMN)
    record = load_inert(pickle.dumps(forest))
    assert read_forest(record).decide(COLUMN[:, 0])[1].tolist() == forest.decision_function(COLUMN).tolist()


def change_nodes(record: InertObject, change: Callable[[np.ndarray], None]) -> None:
    tree = record.attributes["estimators_"][0].attributes["tree_"]
    array = tree.attributes["nodes"]
    nodes = array.to_numpy().copy()
    change(nodes)
    tree.attributes["nodes"] = Array(array.dtype, nodes.shape, nodes.tobytes())


CHANGES: dict[str, Callable[[np.ndarray], Any]] = {
    "loop": lambda nodes: nodes["left_child"].__setitem__(0, 0),
    "child behind the end": lambda nodes: nodes["right_child"].__setitem__(0, len(nodes)),
    "negative child": lambda nodes: nodes["right_child"].__setitem__(0, -7),
    "one child": lambda nodes: nodes["right_child"].__setitem__(0, -1),
    "shared child": lambda nodes: nodes["right_child"].__setitem__(0, nodes["left_child"][0]),
    "other feature": lambda nodes: nodes["feature"].__setitem__(0, 1),
    "no number": lambda nodes: nodes["threshold"].__setitem__(0, np.nan),
}


@pytest.mark.fault("D7")
@pytest.mark.parametrize("name", CHANGES)
def test_inconsistent_tree_is_invalid(name: str) -> None:
    record = inert()
    change_nodes(record, CHANGES[name])
    with pytest.raises(ModelInvalid, match="the nodes of a tree are inconsistent"):
        read_forest(record)


def test_tree_with_contradicting_thresholds_has_the_leaves_that_values_reach() -> None:
    """A hostile file may have such a tree. Each value follows the comparisons from the root."""
    record = inert()
    change_nodes(record, lambda nodes: nodes["threshold"].__setitem__(slice(1, None, 2), 1e6))
    labels, scores = read_forest(record).decide(COLUMN[:, 0])
    assert len(labels) == len(scores) == len(COLUMN)
    assert np.isfinite(scores).all()


@pytest.mark.fault("D7")
@pytest.mark.parametrize("name", ["_decision_path_lengths", "_average_path_length_per_tree"])
def test_path_lengths_of_another_number_are_invalid(name: str) -> None:
    record = inert()
    record.attributes[name] = record.attributes[name][:-1]
    with pytest.raises(ModelInvalid, match="differ in number"):
        read_forest(record)


@pytest.mark.parametrize(
    ("name", "value"), [("estimators_", None), ("estimators_", []), ("estimators_", [1]), ("_decision_path_lengths", 1)]
)
def test_forest_of_another_layout_is_left_to_scikit_learn(name: str, value: object) -> None:
    record = inert()
    record.attributes[name] = value
    if value == [1]:
        record.attributes |= {"_decision_path_lengths": [1], "_average_path_length_per_tree": [1]}
    with pytest.raises(ClosedFormMissing):
        read_forest(record)


def test_trees_from_before_scikit_learn_1_3_are_left_to_scikit_learn() -> None:
    record = inert()
    del record.attributes["estimators_"][0].attributes["tree_"].attributes["nodes"].dtype.fields["missing_go_to_left"]
    with pytest.raises(ClosedFormMissing, match="another version"):
        read_forest(record)


def repeated(forest: IsolationForest, count: int) -> InertObject:
    """Return a fitted forest of one tree with its tree several times, outside of the budget of a file."""
    record = load_inert(pickle.dumps(forest))
    assert isinstance(record, InertObject)
    record.attributes["estimators_"][0].attributes["tree_"].attributes["nodes"].budget = None
    for name in ("_decision_path_lengths", "_average_path_length_per_tree"):
        record.attributes[name][0].budget = None
        record.attributes[name] = list(record.attributes[name]) * count
    record.attributes["estimators_"] *= count
    return record


def test_forest_of_more_than_5000_trees_is_left_to_scikit_learn() -> None:
    forest = IsolationForest(n_estimators=1, max_samples=4, random_state=1).fit(COLUMN)
    assert len(read_forest(repeated(forest, 5000)).starts) == 5001
    with pytest.raises(ClosedFormMissing, match="more than 5,000 trees"):
        read_forest(repeated(forest, 5001))


@pytest.mark.slow
def test_forest_of_more_than_2_million_nodes_is_left_to_scikit_learn() -> None:
    forest = IsolationForest(n_estimators=1, max_samples=4096, random_state=1)
    forest.fit(np.random.default_rng(5).normal(10, 2, (4096, 1)))
    count = 2_000_000 // forest.estimators_[0].tree_.node_count
    assert len(read_forest(repeated(forest, count)).starts) == count + 1
    with pytest.raises(ClosedFormMissing, match="more than 2,000,000 nodes"):
        read_forest(repeated(forest, count + 1))


def a_tree_of_depth(depth: int) -> InertObject:
    """Return a forest of one tree, whose node of each depth has a leaf on its right."""
    record = repeated(IsolationForest(n_estimators=1, random_state=1).fit(COLUMN), 1)
    tree = record.attributes["estimators_"][0].attributes["tree_"]
    array = tree.attributes["nodes"]
    nodes = np.zeros(2 * depth + 1, dtype=array.to_numpy().dtype)
    nodes["left_child"] = nodes["right_child"] = -1
    inner = np.arange(0, 2 * depth, 2)
    nodes["left_child"][inner], nodes["right_child"][inner] = inner + 2, inner + 1
    nodes["threshold"] = -np.arange(len(nodes))
    tree.attributes["nodes"] = Array(array.dtype, nodes.shape, nodes.tobytes())
    for name in ("_decision_path_lengths", "_average_path_length_per_tree"):
        lengths = record.attributes[name][0]
        numbers = np.ones(len(nodes), dtype=lengths.to_numpy().dtype)
        record.attributes[name] = [Array(lengths.dtype, numbers.shape, numbers.tobytes())]
    return record


def test_tree_deeper_than_64_is_left_to_scikit_learn() -> None:
    assert len(read_forest(a_tree_of_depth(64)).ends) == 65
    with pytest.raises(ClosedFormMissing, match="a tree deeper than 64"):
        read_forest(a_tree_of_depth(65))
