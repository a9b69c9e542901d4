"""Fitting of models, and the bundle."""

import io

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.models.expectations import Expectation
from device_scorer.training import fit as module
from device_scorer.training.fit import COUNTER, encode_trained_bundle, find_outliers, fit, subsample
from tests.testkit.scorer_training import wave


def test_model_has_the_parameters_of_the_original() -> None:
    fitted = fit({"1": wave()})
    assert fitted.rejected == {}
    scaler, svm = (step for _, step in fitted.models["1"].steps)
    assert (type(scaler).__name__, type(svm).__name__) == ("StandardScaler", "OneClassSVM")
    assert (svm.nu, svm.kernel, svm.gamma) == (0.0001, "rbf", 0.01)


@pytest.mark.parametrize("rows", [12, 200, 1200, 20_000])
def test_model_separates_its_range_with_any_number_of_readings(rows: int) -> None:
    model = fit({"1": wave(rows)}).models["1"]
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
        ("1", np.arange(50.0) + 7, "its readings only increase"),
        ("_meta", wave(), "'_meta'"),
        ("x" * 257, wave(), "256 printable"),
    ],
    ids=["constant", "constant except for rounding", "too few", "a counter", "reserved", "too long"],
)
def test_tag_that_cannot_be_trained_is_rejected_while_others_are_trained(
    tag: str, values: np.ndarray, why: str
) -> None:
    fitted = fit({tag: values, "good": wave()})
    assert list(fitted.models) == ["good"]
    assert why in str(fitted.rejected[tag])


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
    assert encode_trained_bundle(fit({"1": wave()}).models) == encode_trained_bundle(fit({"1": wave()}).models)


def test_model_needs_10_readings_uses_100000_and_rejects_tags_above_256_characters() -> None:
    assert (module.MIN_ROWS, module.MAX_ROWS, module.MAX_ANOMALY_SHARE) == (10, 100_000, 0.05)
    assert (module.MIN_COUNTER_ROWS, module.MIN_RISING_SHARE, module.MIN_MEANS_PER_DEVIATION) == (30, 0.2, 1e6)
    assert (module.MAX_OUTLIER_SHARE, module.OUTLIER_RANGES) == (0.005, 10)
    assert (module.NU, module.GAMMA, module.TOLERANCE, module.MAX_TAG_CHARS) == (0.0001, 0.01, 1e-6, 256)


def test_ten_readings_are_not_rejected_for_their_number() -> None:
    assert fit({"1": wave(10)}).rejected == {}
    assert "usable readings" in str(fit({"1": wave(9)}).rejected["1"])


def test_bundle_is_a_joblib_file_of_a_dict() -> None:
    assert joblib.load(io.BytesIO(encode_trained_bundle({"1": "a model"}))) == {"1": "a model"}


def test_bundle_without_readings_above_the_limit_is_unchanged() -> None:
    numbers = np.arange(5.0)
    assert subsample(numbers, 5) is numbers


@pytest.mark.parametrize("rows", range(10, 60))
def test_model_of_few_readings_calls_none_of_them_an_anomaly(rows: int) -> None:
    for seed in range(5):
        values = np.round(np.random.default_rng(seed).normal(20, 3, rows), 2)
        model = fit({"1": values}).models["1"]
        assert model.predict(values.reshape(-1, 1)).tolist() == [1] * rows
        assert model.predict([[values.min() - 3], [values.max() + 3]]).tolist() == [-1, -1]


def test_switch_is_normal_in_its_positions_only() -> None:
    model = fit({"1": np.array([0.0, 1.0] * 59)}).models["1"]
    assert model.predict([[0.0], [1.0], [-0.5], [2.0]]).tolist() == [1, 1, -1, -1]


@pytest.mark.parametrize("outlier", [1e6, -1e9])
def test_far_outlier_is_left_out_and_the_others_are_trained(outlier: float) -> None:
    values = wave(1000)
    values[500] = outlier
    fitted = fit({"1": values})
    assert (fitted.rejected, fitted.outliers) == ({}, {"1": 1})
    assert fitted.models["1"].predict([[20.0], [30.0], [outlier]]).tolist() == [1, -1, -1]


def test_second_operating_point_is_kept() -> None:
    values = np.concatenate([wave(980), wave(20) + 1000])
    assert not find_outliers(values).any()
    assert fit({"1": values}).models["1"].predict([[20.0], [1020.0]]).tolist() == [1, 1]


@pytest.mark.parametrize("rows", [100, 1000, 100_000])
def test_small_noise_around_a_large_value_is_trained(rows: int) -> None:
    values = 1e9 + np.round(np.random.default_rng(1).normal(0, 0.01, rows).clip(-0.03, 0.03), 4)
    model = fit({"1": values}).models["1"]
    assert model.predict([[1e9], [1e9 + 0.015], [1e9 + 0.2], [1e9 - 1]]).tolist() == [1, 1, -1, -1]


def test_counter_needs_rising_readings_without_a_step_down() -> None:
    counter = np.cumsum(np.arange(300) % 3)
    assert fit({"1": counter.astype(float)}).rejected["1"].kind == COUNTER
    counter[150:] -= 100
    assert fit({"1": counter.astype(float)}).rejected == {}
    assert fit({"1": np.repeat(np.arange(5.0), 60)}).rejected == {}


def test_counter_with_a_far_outlier_is_rejected() -> None:
    counter = np.arange(1000.0)
    counter[500] = -1e6
    assert fit({"1": counter}).rejected["1"].kind == COUNTER


def test_expectations_are_in_the_meta_key_of_the_bundle() -> None:
    content = encode_trained_bundle({"1": "a model"}, {"1": Expectation(15.0, 1.0, 2.0, 30.0)})
    assert joblib.load(io.BytesIO(content)) == {
        "1": "a model",
        "_meta": {"format": 1, "sensors": {"version": 1, "tags": {"1": [15.0, 1.0, 2.0, 30.0]}}},
    }
