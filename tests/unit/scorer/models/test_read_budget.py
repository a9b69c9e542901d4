"""Tests of the memory that the closed forms of one file may take."""

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

from device_scorer.models import closed_form
from device_scorer.models.inert import InertObject
from device_scorer.models.read_budget import MAX_BYTES, MIN_BYTES, ReadBudget
from device_scorer.models.unpickler import load_inert
from tests.testkit.scorer_fleet import fitted

COPIES = 400
VALUES = np.random.default_rng(1).normal(10, 2, 4000)


def a_model(kind: str) -> Any:
    column = VALUES.reshape(-1, 1)
    if kind == "svm":
        return fitted(VALUES, nu=0.9)
    if kind == "forest":
        return IsolationForest(n_estimators=50, max_samples=1000, random_state=1).fit(column)
    return LocalOutlierFactor(n_neighbors=5, novelty=True).fit(column)


def copy_of(model: InertObject) -> InertObject:
    """Return a new object with the same attributes: a file needs tens of bytes for it."""
    attributes = dict(model.attributes)
    if isinstance(steps := attributes.get("steps"), list):
        attributes["steps"] = [(name, copy_of(step)) for name, step in steps]
    return InertObject(model.class_name, attributes, model.state)


@pytest.mark.fault("T15")
@pytest.mark.parametrize("kind", ["svm", "forest", "factor"])
def test_models_that_share_arrays_are_left_to_scikit_learn(kind: str) -> None:
    model = load_inert(pickle.dumps(a_model(kind)))
    tracemalloc.start()
    forms = [closed_form.from_inert_object(copy_of(model)) for _ in range(COPIES)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert forms[0] is not None
    assert forms[-1] is None
    assert peak < 3 * MIN_BYTES


def test_budget_grows_with_the_file_from_16_to_256_mib() -> None:
    assert (MIN_BYTES, MAX_BYTES) == (16_777_216, 268_435_456)
    assert ReadBudget(2**40).take(MAX_BYTES)
    assert ReadBudget().take(MIN_BYTES)
    assert not ReadBudget().take(MIN_BYTES + 1)
    assert ReadBudget(1000).take(MIN_BYTES + 4000)
    assert not ReadBudget(2**40).take(MAX_BYTES + 1)


def test_budget_is_shared_by_all_reads() -> None:
    budget = ReadBudget()
    assert budget.take(MIN_BYTES)
    assert not budget.take(1)
    assert budget.take(0)
