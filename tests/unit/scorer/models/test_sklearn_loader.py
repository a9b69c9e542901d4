"""Tests of models that scikit-learn evaluates."""

from typing import Any

import numpy as np
import pytest
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import SGDOneClassSVM
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import OneClassSVM

from device_scorer.errors import ModelIncompatible, ModelInvalid, PermanentError
from device_scorer.models import bundle as bundles
from device_scorer.models.bundle import Bundle
from device_scorer.models.sklearn_loader import Detector, to_detector
from tests.testkit.scorer_fleet import a_model, bundle

VALUES = np.round(np.random.default_rng(5).normal(10, 2, 300), 2)


def load(content: bytes) -> Bundle:
    return bundles.load(content, max_unpacked_bytes=64 * 2**20)


DETECTORS = [
    IsolationForest(n_estimators=10, random_state=1),
    IsolationForest(n_estimators=5, random_state=np.random.RandomState(3), n_jobs=2),
    EllipticEnvelope(random_state=1),
    LocalOutlierFactor(novelty=True),
    LocalOutlierFactor(novelty=True, algorithm="ball_tree"),
    LocalOutlierFactor(novelty=True, algorithm="brute"),
    SGDOneClassSVM(random_state=1),
    OneClassSVM(kernel="linear"),
    OneClassSVM(gamma=0.1, nu=0.1),
]


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: type(detector).__name__)
def test_detector_labels_as_its_predict_does(detector: Any) -> None:
    pipeline = make_pipeline(RobustScaler(), detector).fit(VALUES.reshape(-1, 1))
    asked = [*VALUES.tolist(), -50.0, 0.0, 500.0]
    loaded = load(bundle({"1": pipeline})).models["1"]
    assert not isinstance(loaded, PermanentError)
    labels, scores = loaded.predict(asked)
    column = np.array(asked).reshape(-1, 1)
    assert labels == [0 if label == 1 else 1 for label in pipeline.predict(column)]
    assert scores == pipeline.decision_function(column).tolist()


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        MinMaxScaler(),
        MaxAbsScaler(),
        RobustScaler(),
        PowerTransformer(),
        QuantileTransformer(n_quantiles=10, random_state=1),
    ],
    ids=lambda scaler: type(scaler).__name__,
)
def test_pipeline_of_each_scaler_is_loaded(scaler: Any) -> None:
    pipeline = make_pipeline(scaler, IsolationForest(n_estimators=3, random_state=1)).fit(VALUES.reshape(-1, 1))
    assert not isinstance(load(bundle({"1": pipeline})).models["1"], PermanentError)


def test_bundle_with_another_detector_is_evaluated_by_scikit_learn() -> None:
    forest = IsolationForest(n_estimators=3, random_state=1).fit(VALUES.reshape(-1, 1))
    loaded = load(bundle({"1": a_model(), "2": forest, "3": "nothing"}))
    assert a_model().predict([[10.0]]) == [1]
    assert loaded.models["1"].predict([10.0])[0] == [0]  # type: ignore[union-attr]  # it is a model
    assert isinstance(loaded.models["3"], ModelInvalid)


class Stub:
    """An estimator with fixed scores.

    Args:
        scores: The result of the decision function.
    """

    n_features_in_ = 1

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores

    def fit(self) -> None:
        pass

    def decision_function(self, _: object) -> list[float]:
        return self.scores


class Labels:
    """An estimator without a decision function."""

    def predict(self, column: Any) -> Any:
        return np.where(column.ravel() < 5, 1, -1)


class Broken:
    """An estimator that fails."""

    def predict(self, _: object) -> None:
        raise RuntimeError("broken")


def test_score_of_zero_is_normal_except_for_a_one_class_svm() -> None:
    assert Detector(Stub([-1.0, 0.0, 1.0]), "1").predict([1.0, 2.0, 3.0]) == ([1, 0, 0], [-1.0, 0.0, 1.0])
    svm = OneClassSVM(kernel="linear", nu=0.5).fit([[1.0], [1.0]])
    labels, scores = Detector(svm, "1").predict([1.0])
    assert (scores, labels) == ([0.0], [1])
    assert svm.predict([[1.0]]) == [-1]


def test_detector_without_a_decision_function_returns_no_scores() -> None:
    assert Detector(Labels(), "1").predict([1.0, 9.0]) == ([0, 1], None)


def test_failing_detector_is_invalid() -> None:
    with pytest.raises(ModelInvalid, match=r"the model cannot predict \(RuntimeError: broken\)"):
        Detector(Broken(), "1").predict([1.0])


@pytest.mark.parametrize("scores", [[], [1.0], [1.0, 2.0, 3.0]])
def test_detector_with_another_number_of_scores_is_invalid(scores: list[float]) -> None:
    with pytest.raises(ModelInvalid, match="one score for each reading"):
        Detector(Stub(scores), "1").predict([1.0, 2.0])


def test_unfitted_estimator_is_invalid() -> None:
    with pytest.raises(ModelInvalid, match="not fitted"):
        to_detector((IsolationForest(), "1"))


def test_object_without_predict_is_invalid() -> None:
    with pytest.raises(ModelInvalid, match="expected a fitted pipeline, found a dict"):
        to_detector(({}, "1"))


def test_estimator_of_two_features_is_incompatible() -> None:
    with pytest.raises(ModelIncompatible, match="expects 2 features"):
        to_detector((IsolationForest(n_estimators=2).fit(np.arange(20.0).reshape(-1, 2)), "1"))


def test_detector_uses_one_cpu() -> None:
    forest = IsolationForest(n_estimators=3, random_state=1, n_jobs=4)
    detector = to_detector((make_pipeline(StandardScaler(), forest).fit(VALUES.reshape(-1, 1)), "1"))
    assert detector.estimator.steps[-1][1].n_jobs == 1
