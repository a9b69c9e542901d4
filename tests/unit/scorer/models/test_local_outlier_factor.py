"""Tests of LocalOutlierFactor in closed form. test_labels compares random ones with scikit-learn."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor

from device_scorer.errors import ModelInvalid
from device_scorer.models.inert import ClosedFormMissing, InertObject
from device_scorer.models.local_outlier_factor import MAX_HEAP_STEPS, MAX_NEIGHBOURS, read_factor
from device_scorer.models.unpickler import load_inert

COLUMN = np.round(np.random.default_rng(5).normal(10, 1, (200, 1)), 1)


def inert(**options: Any) -> InertObject:
    record = load_inert(pickle.dumps(LocalOutlierFactor(**{"novelty": True, **options}).fit(COLUMN)))
    assert isinstance(record, InertObject)
    return record


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_scores_equal_those_of_scikit_learn_in_every_bit(algorithm: str, kind: type) -> None:
    factor = LocalOutlierFactor(novelty=True, algorithm=algorithm, contamination=0.1).fit(COLUMN.astype(kind))
    labels, scores = read_factor(load_inert(pickle.dumps(factor))).decide(COLUMN[:, 0])
    assert scores.tolist() == factor.decision_function(COLUMN).tolist()
    assert (labels == (factor.predict(COLUMN) == -1)).all()


@pytest.mark.parametrize(
    "options",
    [{"novelty": False}, {"algorithm": "brute"}, {"metric": "minkowski", "p": 3}, {"n_neighbors": 150}],
    ids=str,
)
def test_other_factor_is_left_to_scikit_learn(options: dict[str, Any]) -> None:
    with pytest.raises(ClosedFormMissing):
        read_factor(inert(**options))


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    ("name", "value"),
    [("n_neighbors_", 0), ("n_neighbors_", 21), ("n_neighbors_", 1.5), ("_lrd", None), ("offset_", "x")],
)
def test_inconsistent_factor_is_invalid(name: str, value: object) -> None:
    record = inert()
    record.attributes[name] = value
    with pytest.raises(ModelInvalid):
        read_factor(record)


def test_many_neighbours_are_left_to_scikit_learn() -> None:
    record = inert()
    record.attributes["n_neighbors_"] = MAX_NEIGHBOURS + 1
    with pytest.raises(ClosedFormMissing, match="more than 256 neighbours"):
        read_factor(record)


def test_many_neighbours_in_large_leaves_are_left_to_scikit_learn() -> None:
    assert MAX_HEAP_STEPS == 20_000
    column = np.arange(400.0).reshape(-1, 1)
    factors = [
        LocalOutlierFactor(novelty=True, algorithm="kd_tree", leaf_size=400, n_neighbors=count).fit(column)
        for count in (50, 51)
    ]
    assert read_factor(load_inert(pickle.dumps(factors[0]))).neighbours == 50
    with pytest.raises(ClosedFormMissing, match="neighbours and values of a leaf above 20,000"):
        read_factor(load_inert(pickle.dumps(factors[1])))
