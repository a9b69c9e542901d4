"""Fitting of models, and the bundle."""

import io

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.training import fit as module
from device_scorer.training.fit import encode_bundle, fit, subsample
from tests.testkit.scorer_training import wave


def test_model_has_the_parameters_of_the_original() -> None:
    models, rejected = fit({"1": wave()})
    assert rejected == {}
    scaler, svm = (step for _, step in models["1"].steps)
    assert (type(scaler).__name__, type(svm).__name__) == ("StandardScaler", "OneClassSVM")
    assert (svm.nu, svm.kernel, svm.gamma) == (0.0001, "rbf", 0.01)


@pytest.mark.parametrize("rows", [12, 200, 1200, 20_000])
def test_model_separates_its_range_with_any_number_of_readings(rows: int) -> None:
    model = fit({"1": wave(rows)})[0]["1"]
    inside = np.array([[17.1], [20.0], [22.9]])
    outside = np.array([[16.5], [23.5], [1000.0]])
    assert model.predict(inside).tolist() == [1, 1, 1]
    assert model.predict(outside).tolist() == [-1, -1, -1]


@pytest.mark.fault("D8")
@pytest.mark.parametrize(
    ("tag", "values", "why"),
    [
        ("1", np.full(50, 7.0), "all 50 readings are 7"),
        ("1", 1e6 + np.array([0.0, 1e-10] * 25), "all 50 readings are 1e+06"),
        ("1", wave(9), "9 usable readings; 10 are needed"),
        ("1", np.array([0.0, 1.0] * 59), "100% of the readings"),
        ("_meta", wave(), "'_meta'"),
        ("x" * 257, wave(), "256 printable"),
    ],
    ids=["constant", "constant except for rounding", "too few", "a switch", "reserved", "too long"],
)
def test_tag_that_cannot_be_trained_is_rejected_while_others_are_trained(
    tag: str, values: np.ndarray, why: str
) -> None:
    models, rejected = fit({tag: values, "good": wave()})
    assert list(models) == ["good"]
    assert why in rejected[tag]


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=300), st.integers(2, 40))
def test_subsample_keeps_order_limit_and_extremes(values: list[int], most: int) -> None:
    numbers = np.array(values, dtype=float)
    kept = subsample(numbers, most)
    assert len(kept) == min(len(numbers), len(kept)) <= max(most, 2)
    assert (kept.min(), kept.max()) == (numbers.min(), numbers.max())
    assert np.array_equal(kept, subsample(numbers, most))
    remaining = iter(values)
    assert all(any(value == other for other in remaining) for value in kept.tolist())


def test_equal_readings_give_equal_bytes() -> None:
    assert encode_bundle(fit({"1": wave()})[0]) == encode_bundle(fit({"1": wave()})[0])


def test_limits() -> None:
    assert (module.MIN_ROWS, module.MAX_ROWS, module.MAX_ANOMALY_SHARE) == (10, 100_000, 0.05)
    assert (module.NU, module.GAMMA, module.TOLERANCE, module.MAX_TAG_CHARS) == (0.0001, 0.01, 1e-6, 256)


def test_ten_readings_are_not_rejected_for_their_number() -> None:
    assert "usable readings" not in str(fit({"1": wave(10)})[1])
    assert "usable readings" in str(fit({"1": wave(9)})[1])


def test_bundle_is_a_joblib_file_of_a_dict() -> None:
    assert joblib.load(io.BytesIO(encode_bundle({"1": "a model"}))) == {"1": "a model"}


def test_bundle_without_readings_above_the_limit_is_unchanged() -> None:
    numbers = np.arange(5.0)
    assert subsample(numbers, 5) is numbers
