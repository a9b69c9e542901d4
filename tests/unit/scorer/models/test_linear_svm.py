"""Tests of SGDOneClassSVM in closed form. test_labels compares random ones with scikit-learn."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.pipeline import make_pipeline

from device_scorer.errors import ModelInvalid
from device_scorer.models.inert import ClosedFormMissing
from device_scorer.models.linear_svm import MAX_COMPONENTS, LinearSvm, read_linear_svm
from device_scorer.models.unpickler import load_inert

COLUMN = np.round(np.random.default_rng(5).normal(1, 1, (80, 1)), 2)


def read(svm: Any, nystroem: Any = None) -> LinearSvm:
    return read_linear_svm(load_inert(pickle.dumps(svm)), nystroem and load_inert(pickle.dumps(nystroem)))


def test_score_of_zero_is_normal() -> None:
    assert LinearSvm(np.array([2.0]), 4.0, None).decide(np.array([1.0, 2.0, 3.0]))[0].tolist() == [True, False, False]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.bool_])
@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly", "polynomial", "sigmoid"])
def test_scores_behind_a_nystroem_map_equal_those_of_scikit_learn(kernel: str, kind: type) -> None:
    pipeline = make_pipeline(Nystroem(kernel=kernel, n_components=20, random_state=1), SGDOneClassSVM(random_state=1))
    pipeline.fit(COLUMN.astype(kind))
    model = read(pipeline[1], pipeline[0])
    assert model.decide(COLUMN[:, 0])[1].tolist() == pipeline.decision_function(COLUMN).tolist()


@pytest.mark.parametrize("extreme", [1e120, -1e149])
def test_value_that_the_map_turns_into_infinity_is_an_anomaly_without_a_score(extreme: float) -> None:
    pipeline = make_pipeline(Nystroem(kernel="poly", n_components=1, random_state=1), SGDOneClassSVM(random_state=1))
    pipeline.fit(COLUMN)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="infinity"):
        pipeline.predict([[extreme]])
    with np.errstate(over="ignore"):
        labels, scores = read(pipeline[1], pipeline[0]).decide(np.array([COLUMN[0, 0], extreme]))
    assert labels.tolist() == [pipeline.predict(COLUMN[:1])[0] == -1, True]
    assert np.isfinite(scores).tolist() == [True, False]
    assert np.isnan(scores[1])


@pytest.mark.fault("D7")
def test_coefficients_of_another_number_are_invalid() -> None:
    pipeline = make_pipeline(Nystroem(n_components=9, random_state=1), SGDOneClassSVM()).fit(COLUMN)
    with pytest.raises(ModelInvalid, match="the number of coefficients"):
        read(SGDOneClassSVM().fit(COLUMN), pipeline[0])
    pipeline[0].normalization_ = np.ones((9, 8))
    with pytest.raises(ModelInvalid, match="normalization_ has the shape"):
        read(pipeline[1], pipeline[0])


@pytest.mark.parametrize(
    "nystroem",
    [
        Nystroem(kernel="laplacian", n_components=5),
        Nystroem(kernel="rbf", n_components=5, kernel_params={"gamma": 2.0}),
        Nystroem(n_components=MAX_COMPONENTS + 1),
    ],
    ids=["kernel", "parameters", "size"],
)
def test_other_nystroem_map_is_left_to_scikit_learn(nystroem: Nystroem) -> None:
    column = np.linspace(0, 1, 300).reshape(-1, 1)
    nystroem.fit(column)
    with pytest.raises(ClosedFormMissing):
        read(SGDOneClassSVM().fit(nystroem.transform(column)), nystroem)
    assert MAX_COMPONENTS == 256
