"""Tests of scikit-learn's estimators: which are usable, and their labels and scores."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, SGDOneClassSVM
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import OneClassSVM

from device_scorer.errors import ModelIncompatible, ModelInvalid
from device_scorer.models.sklearn_detector import (
    EXTREMES,
    MAX_KIND_CHARS,
    MAX_STAGES,
    PROBES,
    SklearnDetector,
    to_detector,
)

VALUES = np.round(np.random.default_rng(5).normal(10, 2, 300), 2)
COLUMN = VALUES.reshape(-1, 1)
SKEWED = 10 - np.exp(np.random.default_rng(6).normal(0, 0.4, (300, 1)))  # PowerTransformer takes values to the power 4


class Labels:
    """An estimator without a decision function that fails for some values.

    Args:
        broken_from: The smallest value for which it fails.
        normal: The label of a normal value.
        anomaly: The label of an anomaly.
    """

    def __init__(self, broken_from: float = np.inf, normal: int = 1, anomaly: int = -1) -> None:
        self.broken_from, self.normal, self.anomaly = broken_from, normal, anomaly

    def predict(self, column: Any) -> Any:
        if (column >= self.broken_from).any():
            raise RuntimeError("broken")
        return np.where(column.ravel() < 5, self.normal, self.anomaly)


class Scores(Labels):
    """An estimator with fixed scores.

    Args:
        scores: The result of the decision function.
    """

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = scores

    def decision_function(self, _: object) -> list[float]:
        return self.scores


def expected_labels(estimator: Any, values: list[float]) -> list[int]:
    return [0 if label == 1 else 1 for label in estimator.predict(np.array(values).reshape(-1, 1))]


def test_labels_at_a_score_of_zero_are_those_of_predict() -> None:
    svm = OneClassSVM(kernel="linear", nu=0.5).fit([[1.0], [1.0]])
    labels, scores = SklearnDetector(svm, "1").predict([1.0])
    assert (scores, labels) == ([0.0], [1])
    assert svm.predict([[1.0]]) == [-1]


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_labels_of_a_nested_pipeline_are_those_of_predict(depth: int) -> None:
    nested: Any = OneClassSVM(kernel="linear", nu=0.5)
    for _ in range(depth):
        nested = make_pipeline(StandardScaler(with_mean=False), nested)
    nested.fit([[1.0], [1.0]])
    detector = to_detector(nested, "1")
    assert detector.predict([1.0, 2.0, 0.5])[0] == expected_labels(nested, [1.0, 2.0, 0.5])
    assert detector.predict([1.0])[1] == [0.0]


def test_detector_without_a_decision_function_returns_no_scores() -> None:
    assert SklearnDetector(Labels(), "1").predict([1.0, 9.0]) == ([0, 1], None)


def test_no_values_have_no_labels() -> None:
    assert SklearnDetector(Labels(), "1").predict([]) == ([], None)


@pytest.mark.parametrize("scores", [[], [1.0], [1.0, 2.0, 3.0]])
def test_detector_with_another_number_of_scores_is_invalid(scores: list[float]) -> None:
    with pytest.raises(ModelInvalid, match="one score for each reading"):
        SklearnDetector(Scores(scores), "1").predict([1.0, 2.0])


def test_detector_with_another_number_of_labels_is_invalid() -> None:
    clusters = KMeans(n_clusters=2, n_init=1).fit(COLUMN)
    clusters.predict = lambda _: np.array([1])
    with pytest.raises(ModelInvalid, match="one label for each reading"):
        SklearnDetector(clusters, "1").predict([1.0, 2.0])


def test_failing_detector_is_invalid() -> None:
    with pytest.raises(ModelInvalid, match=r"cannot evaluate it \(RuntimeError: broken\)"):
        SklearnDetector(Labels(broken_from=-1e9), "unknown").predict([1.0, 2.0])


def test_value_that_the_estimator_cannot_label_costs_no_other_value_its_label() -> None:
    values = [*np.arange(100.0), 7.5, 2.5]
    labels, scores = SklearnDetector(Labels(broken_from=90.0), "1").predict(values)
    assert labels == [0 if value < 5 else 1 for value in values]
    assert scores is None


@pytest.mark.parametrize(
    ("steps", "extreme"),
    [
        ([PowerTransformer(), OneClassSVM(nu=0.1)], [1e149, -1e300]),
        ([PowerTransformer(method="box-cox"), OneClassSVM(nu=0.1)], [-1.0, 0.0]),
        ([QuantileTransformer(n_quantiles=10), IsolationForest(n_estimators=3)], [1e300]),
        ([StandardScaler(), OneClassSVM(nu=0.1)], [1.7e308, -1.7e308]),
        ([IsolationForest(n_estimators=3)], [1e39, -1e300]),
        ([MinMaxScaler(), LocalOutlierFactor(novelty=True)], [1.7e308]),
        ([StandardScaler(), SGDOneClassSVM()], [1.7e308]),
        ([FunctionTransformer(np.exp), OneClassSVM(nu=0.1)], [1e4]),
        ([FunctionTransformer(np.log), OneClassSVM(nu=0.1)], [0.0, -5.0]),
    ],
    ids=lambda value: "-".join(type(step).__name__ for step in value) if hasattr(value[0], "fit") else "",
)
def test_extreme_value_is_an_anomaly_and_the_others_keep_their_labels(steps: list[Any], extreme: list[float]) -> None:
    estimator = make_pipeline(*steps).fit(COLUMN)
    ordinary = VALUES[:50].tolist()
    labels, scores = to_detector(estimator, "1").predict([*ordinary[:20], *extreme, *ordinary[20:]])
    assert scores is not None
    position = slice(20, 20 + len(extreme))
    assert labels[position] == expected_of(estimator, extreme)
    del labels[position], scores[position]
    assert labels == expected_labels(estimator, ordinary)
    assert scores == estimator.decision_function(COLUMN[:50]).tolist()


def expected_of(estimator: Any, extreme: list[float]) -> list[int]:
    """Return the label of predict for each value, or an anomaly if predict raises an error for it."""
    labels = []
    for value in extreme:
        try:
            with np.errstate(all="ignore"):
                labels += expected_labels(estimator, [value])
        except ValueError:
            labels.append(1)
    return labels


def test_window_with_only_an_extreme_value_has_its_label() -> None:
    pipeline = make_pipeline(PowerTransformer(), OneClassSVM(nu=0.1)).fit(SKEWED)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="infinity"):
        pipeline.predict([[1e149]])
    labels, scores = to_detector(pipeline, "1").predict([1e149])
    assert labels == [1]
    assert scores is not None
    assert np.isnan(scores)


class OtherLibrary(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A detector with the convention of PyOD: 1 is an anomaly."""

    def fit(self) -> None:
        pass

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, column: Any) -> Any:
        return (column.ravel() > 50).astype(int)


class Claiming(OutlierMixin, OtherLibrary):  # type: ignore[misc]  # as above
    """A detector with the tags of scikit-learn and the labels of PyOD."""


class LikePyod(OtherLibrary):
    """A detector with the tag of an outlier detector and the labels of PyOD, to which every probe is an anomaly."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "outlier_detector"
        return tags

    def predict(self, column: Any) -> Any:
        return (abs(column.ravel() - 50) > 1).astype(int)


class Threshold(LikePyod):
    """A detector of another library with the convention of scikit-learn."""

    def predict(self, column: Any) -> Any:
        if (column < 0).any():
            raise ValueError("negative")
        return np.where(column.ravel() > 50_000, -1, 1)


class Untagged:
    """A detector that does not inherit from scikit-learn."""

    def fit(self) -> None:
        pass

    def predict(self, column: Any) -> Any:
        return np.ones(len(column))


class BrokenTags(Untagged):
    """A detector whose tags fail."""

    def __sklearn_tags__(self) -> Any:
        raise ZeroDivisionError


class Opposite(LikePyod):
    """A detector whose labels are -1 for a normal value and 1 for an anomaly."""

    def predict(self, column: Any) -> Any:
        return np.where(abs(column.ravel()) > 0.5, 1, -1)


class OppositeForest(IsolationForest):  # type: ignore[misc]  # scikit-learn has no types
    """A subclass with the opposite labels."""

    def predict(self, column: Any) -> Any:
        return -super().predict(column)


class OppositePipeline(Pipeline):  # type: ignore[misc]  # as above
    """A pipeline of another library that changes the labels of scikit-learn's detector."""

    def predict(self, column: Any) -> Any:
        return -super().predict(column)


class Returning(Threshold):
    """A detector that returns the labels of Threshold in another form.

    Args:
        form: The function that changes the labels.
    """

    def __init__(self, form: Any = None) -> None:
        self.form = form

    def predict(self, column: Any) -> Any:
        return self.form(super().predict(abs(column)))


AROUND_ZERO = IsolationForest(n_estimators=20, contamination=0.05, random_state=1)
NOT_DETECTORS = [
    LogisticRegression().fit(COLUMN, VALUES > 10),
    RandomForestRegressor(n_estimators=2).fit(COLUMN, VALUES),
    KMeans(n_clusters=2, n_init=1).fit(COLUMN),
    StandardScaler().fit(COLUMN),
    make_pipeline(StandardScaler(), MinMaxScaler()).fit(COLUMN),
    make_pipeline(StandardScaler(), LogisticRegression()).fit(COLUMN, VALUES > 10),
    GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2).fit(COLUMN, VALUES > 10),
    OtherLibrary(),
    Claiming(),
    LikePyod(),
    make_pipeline(LikePyod()),
    FrozenEstimator(LikePyod()),
    Untagged(),
    BrokenTags(),
    make_pipeline(StandardScaler(), OtherLibrary()),
    Opposite(),
    OppositeForest(n_estimators=20, contamination=0.05, random_state=1).fit(COLUMN - 10),
    OppositePipeline([("forest", AROUND_ZERO)]).fit(COLUMN - 10),
    make_pipeline(StandardScaler(), OppositePipeline([("forest", AROUND_ZERO)])).fit(COLUMN - 10),
    *(
        Returning(form)
        for form in (
            lambda labels: np.where(labels == 1, "normal", "anomaly"),
            lambda labels: labels.astype(str),
            lambda labels: labels == 1,
            lambda labels: np.where(labels == 1, 1.0, np.nan),
            lambda labels: labels.astype(np.int8).astype(np.uint8),
            lambda labels: [1 if label == 1 else None for label in labels],
            lambda labels: [1 if label == 1 else "x" for label in labels],
            lambda labels: 2 * labels,
        )
    ),
    Pipeline([("only", "passthrough")]).fit(COLUMN),
]


@pytest.mark.parametrize("estimator", NOT_DETECTORS, ids=lambda estimator: type(estimator).__name__)
def test_estimator_with_another_convention_is_incompatible(estimator: Any) -> None:
    with pytest.raises(ModelIncompatible, match=r"is not an outlier detector of scikit-learn.*PyOD's 1 for an anomaly"):
        to_detector(estimator, "1")


def test_detector_of_another_library_with_the_same_convention_is_usable() -> None:
    for estimator in (Threshold(), make_pipeline(Threshold()), FrozenEstimator(Threshold())):
        assert to_detector(estimator, "unknown").predict([1.0, 60_000.0, -1.0]) == ([0, 1, 1], None)


@pytest.mark.parametrize(
    "form",
    [
        lambda labels: labels.astype(np.int8),
        lambda labels: labels.astype(np.float32),
        lambda labels: labels.reshape(-1, 1),
        lambda labels: labels.tolist(),
        lambda labels: labels.astype(object),
    ],
    ids=["int8", "float", "column", "list", "objects"],
)
def test_labels_of_the_same_convention_in_another_form_are_usable(form: Any) -> None:
    assert to_detector(Returning(form), "1").predict([1.0, 60_000.0])[0] == [0, 1]


@pytest.mark.parametrize("form", [lambda labels: labels[:-1], lambda labels: np.c_[labels, labels], lambda _: None])
def test_another_number_of_labels_is_invalid(form: Any) -> None:
    with pytest.raises(ModelInvalid, match="one label for each reading"):
        to_detector(Returning(form), "1")


def test_class_in_place_of_an_object_is_invalid() -> None:
    with pytest.raises(ModelInvalid, match="found the class IsolationForest itself"):
        to_detector(IsolationForest, "1")


def test_search_around_a_detector_is_usable() -> None:
    search = GridSearchCV(IsolationForest(n_estimators=3), {"n_estimators": [3]}, cv=2, scoring=lambda *_: 0.0)
    detector = to_detector(search.fit(COLUMN), "1")
    assert detector.kind == "GridSearchCV -> IsolationForest"
    assert detector.predict([10.0, 1e6])[0] == expected_labels(search, [10.0, 1e6])


@pytest.mark.parametrize("wrap", [lambda lof: lof, lambda lof: make_pipeline(StandardScaler(), lof)])
def test_local_outlier_factor_without_novelty_is_named_with_the_cure(wrap: Any) -> None:
    estimator = wrap(LocalOutlierFactor(novelty=False))
    estimator.fit(COLUMN)
    with pytest.raises(ModelIncompatible, match=r"^LocalOutlierFactor.* fitted with novelty=False .*novelty=True$"):
        to_detector(estimator, "1")


def test_pipeline_is_named_by_its_last_step() -> None:
    with pytest.raises(ModelIncompatible, match=r"^MinMaxScaler, the last step of the Pipeline, is not an outlier"):
        to_detector(make_pipeline(StandardScaler(), MinMaxScaler()).fit(COLUMN), "1")


def test_unfitted_estimator_is_invalid() -> None:
    with pytest.raises(ModelInvalid, match="IsolationForest is not fitted; fit it"):
        to_detector(IsolationForest(), "1")
    with pytest.raises(ModelInvalid, match="OneClassSVM, the last step of the Pipeline, is not fitted"):
        to_detector(make_pipeline(StandardScaler(), OneClassSVM()), "1")


def test_object_without_predict_is_invalid() -> None:
    with pytest.raises(ModelInvalid, match="expected a fitted pipeline, found a dict"):
        to_detector({}, "1")


def test_estimator_of_two_features_is_incompatible() -> None:
    with pytest.raises(ModelIncompatible, match=r"expects 2 features.*one model for each tag"):
        to_detector(IsolationForest(n_estimators=2).fit(np.arange(20.0).reshape(-1, 2)), "1")


def test_model_of_another_version_that_fails_is_incompatible() -> None:
    forest = IsolationForest(n_estimators=3).fit(COLUMN)
    del forest.offset_
    with pytest.raises(ModelIncompatible, match=r"written by scikit-learn 1\.5\.0.*train the model again"):
        to_detector(forest, "1.5.0")


def test_detector_uses_one_cpu_and_no_data_frames() -> None:
    forest = IsolationForest(n_estimators=3, random_state=1, n_jobs=4)
    estimator = make_pipeline(StandardScaler(), forest).set_output(transform="pandas").fit(COLUMN)
    detector = to_detector(estimator, "1")
    assert detector.estimator.steps[-1][1].n_jobs == 1
    assert isinstance(detector.estimator[:-1].transform(COLUMN), np.ndarray)


def test_kind_names_the_steps_of_nested_pipelines() -> None:
    nested = make_pipeline(MinMaxScaler(), make_pipeline(StandardScaler(), OneClassSVM())).fit(COLUMN)
    assert to_detector(nested, "1").kind == "MinMaxScaler -> StandardScaler -> OneClassSVM"


def test_pipeline_that_contains_itself_is_an_error() -> None:
    pipeline = make_pipeline(StandardScaler(), OneClassSVM()).fit(COLUMN)
    pipeline.steps.append(("self", pipeline))
    with pytest.raises((ModelInvalid, ModelIncompatible, RecursionError)):
        to_detector(pipeline, "1")


def test_values_that_are_tried_are_far_apart() -> None:
    assert PROBES == (1.0, 0.0, 100.0, -1.0, 10_000.0)
    assert EXTREMES == (1e12, 1e9, 1e6, 10_000.0, 100.0, 1.0)


def test_1000_stages_are_inspected_and_a_kind_has_200_characters() -> None:
    assert (MAX_STAGES, MAX_KIND_CHARS) == (1000, 200)
