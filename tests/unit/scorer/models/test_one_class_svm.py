"""Tests of the closed form against scikit-learn: equal bits, labels and predictions."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from device_scorer.errors import ModelIncompatible, ModelInvalid, PermanentError
from device_scorer.models import bundle as bundles
from device_scorer.models import unpickler
from device_scorer.models.closed_form import from_inert_object
from device_scorer.models.one_class_svm import (
    MAX_DEGREE,
    MAX_VECTORS,
    NUMPY_THRESHOLD_TERMS,
    SCORE_DECIMALS,
    ClosedFormSvm,
    Kernel,
)
from device_scorer.models.scaling import Scaling
from device_scorer.scoring.line_endings import format_endings
from device_scorer.scoring.scorer import Scorer
from device_scorer.scoring.tag_selection import select_tags
from device_scorer.settings import Limits
from tests.testkit.scorer_fleet import WINDOW, bundle, csv_of, fitted


def closed(pipeline: Pipeline) -> ClosedFormSvm:
    loaded = bundles.load(bundle({"1": pipeline}), max_unpacked_bytes=2**30).models["1"]
    assert isinstance(loaded, ClosedFormSvm)
    return loaded


def reference(pipeline: Pipeline, values: Sequence[float]) -> tuple[list[int], list[float]]:
    column = np.array(values, dtype=np.float64).reshape(-1, 1)
    return [1 if label == -1 else 0 for label in pipeline.predict(column)], pipeline.decision_function(column).tolist()


def at_support_vectors(pipeline: Pipeline, values: Sequence[float]) -> list[float]:
    """Return the training values that became support vectors. Their score is zero except for the last bits."""
    return [values[index] for index in pipeline.steps[-1][1].support_]


def around(values: Sequence[float]) -> list[float]:
    """Return the values, their nearest neighbours in double precision, and some distant values."""
    near = [math.nextafter(value, side) for value in values for side in (-math.inf, math.inf)]
    return [*values, *near, *(value * 3 + 1 for value in values), 0.0, -1e149, 1e149, 5e-324]


@hypothesis_settings(max_examples=60)
@given(
    values=st.lists(st.integers(-50_000, 50_000), min_size=3, max_size=80, unique=True),
    scale=st.sampled_from([0.01, 0.1, 1.0, 1e-6, 1e6]),
    nu=st.sampled_from([0.0001, 0.01, 0.1, 0.5]),
    gamma=st.sampled_from([0.01, 0.1, 1.0]),
)
def test_scores_equal_those_of_scikit_learn_in_every_bit(
    values: list[int], scale: float, nu: float, gamma: float
) -> None:
    training = [value * scale for value in values]
    pipeline = fitted(training, nu=nu, gamma=gamma)
    asked = around([*training, *at_support_vectors(pipeline, training)])
    assert closed(pipeline).predict(asked) == reference(pipeline, asked)


def written(models: bytes, engine: str, data: bytes) -> bytes:
    """Return the predictions CSV of a device."""
    loaded = bundles.load(models, max_unpacked_bytes=2**30, engine=engine)
    scorer = Scorer("d", WINDOW, select_tags(loaded, None).models, limits=Limits())
    scorer.add_partition(data, check_deadline=lambda: None)
    rows = scorer.finish()
    assert rows is not None
    return rows.content


@hypothesis_settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(10, 400),
    decimals=st.integers(0, 6),
    nu=st.sampled_from([0.0001, 0.02, 0.2, 0.5]),
    gamma=st.sampled_from([0.01, 0.3, 2.0]),
)
def test_both_engines_write_the_same_predictions(seed: int, rows: int, decimals: int, nu: float, gamma: float) -> None:
    rng = np.random.default_rng(seed)
    training = np.round(rng.normal(20, 3, rows), decimals).tolist()
    pipeline = fitted(training, nu=nu, gamma=gamma)
    asked = around([*training, *at_support_vectors(pipeline, training) * 3])
    data = csv_of(*(("2018-08-28T23:00:00Z", "d", "1", repr(value)) for value in asked))
    models = bundle({"1": pipeline})
    assert written(models, "auto", data) == written(models, "sklearn", data)


def printed(scores: Sequence[float]) -> list[str]:
    return format_endings([int(score <= 0) for score in scores], scores)


@hypothesis_settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), nu=st.sampled_from([0.0001, 0.05, 0.3]))
def test_vectorised_scores_have_the_same_labels_and_printed_scores(seed: int, nu: float) -> None:
    rng = np.random.default_rng(seed)
    training = np.round(rng.normal(20, 3, 300), 2).tolist()
    pipeline = fitted(training, nu=nu)
    asked = [*around(training), *np.round(rng.normal(20, 6, 3000), 2).tolist()]
    one = closed(pipeline)
    scaled = one.scaling.scale_floats(asked)
    exact, fast = one.exact_scores(scaled), one.vectorised_scores(scaled)
    assert np.allclose(exact, fast, rtol=1e-9, atol=0)
    assert printed(fast) == printed(exact)
    assert [score > 0 for score in fast] == [score > 0 for score in exact]


def test_large_device_uses_vectorised_scores_with_the_same_labels() -> None:
    training = np.round(np.random.default_rng(3).normal(20, 3, 2000), 2).tolist()
    pipeline = fitted(training, nu=0.2)
    asked = training * 2
    labels, scores = closed(pipeline).predict(asked)
    assert len(asked) * len(closed(pipeline).vectors) > 200_000
    assert NUMPY_THRESHOLD_TERMS == 200_000
    expected, exact = reference(pipeline, asked)
    assert labels == expected
    assert printed(scores) == printed(exact)


@pytest.mark.parametrize(("with_mean", "with_std"), [(True, False), (False, True), (False, False)])
def test_scaler_without_mean_or_std_is_followed(*, with_mean: bool, with_std: bool) -> None:
    values = [1.0, 2.0, 3.5, 8.0, 1.5]
    steps = [("s", StandardScaler(with_mean=with_mean, with_std=with_std)), ("c", OneClassSVM(gamma=0.5, nu=0.3))]
    pipeline = Pipeline(steps).fit(np.array(values).reshape(-1, 1))
    assert closed(pipeline).predict(around(values)) == reference(pipeline, around(values))


def unfitted() -> Pipeline:
    return Pipeline([("scaler", StandardScaler()), ("classifier", OneClassSVM(kernel="rbf"))])


def with_two_features() -> Pipeline:
    return Pipeline([("s", StandardScaler()), ("c", OneClassSVM(gamma=0.1))]).fit(np.arange(20.0).reshape(-1, 2))


def with_nan() -> Pipeline:
    broken = fitted([1.0, 2.0, 3.0])
    broken.steps[0][1].mean_ = np.array([np.nan])
    return broken


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    ("thing", "error", "message"),
    [
        (unfitted(), ModelInvalid, "not fitted"),
        (with_two_features(), ModelIncompatible, "2 features"),
        (with_nan(), ModelInvalid, "not finite"),
        ({"a": 1}, ModelInvalid, "expected a fitted pipeline, found a dict"),
        (None, ModelInvalid, "found a NoneType"),
    ],
    ids=["unfitted", "two features", "NaN", "dict", "None"],
)
def test_object_that_is_not_a_fitted_model_of_one_feature_is_an_error(
    thing: object, error: type[PermanentError], message: str
) -> None:
    loaded = bundles.load(bundle({"1": thing, "2": fitted([1.0, 2.0, 3.0])}), max_unpacked_bytes=2**30)
    assert isinstance(loaded.models["1"], error)
    assert message in str(loaded.models["1"])
    assert isinstance(loaded.models["2"], ClosedFormSvm)


def test_kernel_of_a_precomputed_matrix_has_no_closed_form() -> None:
    svm = OneClassSVM(kernel="precomputed").fit(np.eye(3))
    svm.n_features_in_ = 1
    assert from_inert_object(unpickler.load_inert(bundle({"1": svm}))["1"]) is None


def test_printed_score_has_9_decimals() -> None:
    assert SCORE_DECIMALS == 9


def test_score_of_exactly_zero_is_an_anomaly() -> None:
    model = ClosedFormSvm(
        Scaling(), Kernel("rbf", 1.0), vectors=(0.0,), coefficients=(1.0,), intercept=-1.0, sklearn_version="1"
    )
    assert model.predict([0.0]) == ([1], [0.0])


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("support_vectors_", np.empty((0, 1))),
        ("_dual_coef_", np.ones((1, 2))),
        ("_intercept_", np.array([1.0, 2.0])),
        ("_gamma", "scale"),
        ("_gamma", np.inf),
    ],
    ids=["no vectors", "other coefficients", "two intercepts", "gamma is a text", "gamma is infinite"],
)
def test_inconsistent_svm_is_invalid(attribute: str, value: object) -> None:
    pipeline = fitted([1.0, 2.0, 3.0, 5.0])
    pipeline.steps[1][1].__dict__[attribute] = value
    with pytest.raises(ModelInvalid):
        from_inert_object(unpickler.load_inert(bundle({"1": pipeline}))["1"])


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    ("scale", "message"), [(0.0, "scale is not positive"), (-1.0, "scale is not positive"), (np.nan, "not finite")]
)
def test_scale_that_is_not_positive_is_invalid(scale: float, message: str) -> None:
    pipeline = fitted([1.0, 2.0, 3.0])
    pipeline.steps[0][1].scale_ = np.array([scale])
    with pytest.raises(ModelInvalid, match=message):
        from_inert_object(unpickler.load_inert(bundle({"1": pipeline}))["1"])


def test_version_without_the_form_of_one_is_unknown() -> None:
    state = unpickler.load_inert(bundle({"1": fitted([1.0, 2.0, 3.0])}))["1"]
    state.attributes["steps"][1][1].attributes["_sklearn_version"] = "9" * 40
    model = from_inert_object(state)
    assert model is not None
    assert model.sklearn_version == "unknown"


def test_vectorised_label_of_a_score_near_zero_is_the_exact_one() -> None:
    """0.1 + 0.2 + 0.3 - 0.6 is positive, and -0.6 + 0.1 + 0.2 + 0.3 is zero."""
    model = ClosedFormSvm(
        Scaling(),
        Kernel("rbf", 1.0),
        vectors=(0.0, 0.0, 0.0),
        coefficients=(0.1, 0.2, 0.3),
        intercept=-0.6,
        sklearn_version="1",
    )
    count = 70_000
    assert model.predict([0.0] * count) == ([0] * count, [0.1 + 0.2 + 0.3 - 0.6] * count)


def test_closed_form_has_at_most_20000_support_vectors_and_a_degree_of_1000() -> None:
    assert (MAX_VECTORS, MAX_DEGREE) == (20_000, 1000)
