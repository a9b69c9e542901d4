"""Tests of chains of scalers. test_labels compares them with scikit-learn behind each detector."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler

from device_scorer.errors import ModelIncompatible, ModelInvalid
from device_scorer.models.inert import ClosedFormMissing
from device_scorer.models.scaling import Scaling, read_scaling
from device_scorer.models.unpickler import load_inert

COLUMN = np.round(np.random.default_rng(2).normal(7, 3, (50, 1)), 2)
VALUES = [*COLUMN[:, 0].tolist(), -1e9, 0.0, 12345.678, 1e-300]


def read(*scalers: Any) -> Scaling:
    return read_scaling([load_inert(pickle.dumps(scaler)) for scaler in scalers])


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-2, 3)),
        MinMaxScaler(clip=True),
        RobustScaler(quantile_range=(10, 70)),
        RobustScaler(with_centering=False),
        RobustScaler(with_scaling=False),
        MaxAbsScaler(),
        MaxAbsScaler(clip=True),
        PCA(),
        PCA(whiten=True),
    ],
    ids=str,
)
def test_scaled_values_equal_those_of_scikit_learn_in_every_bit(scaler: Any, kind: type) -> None:
    scaler.fit(COLUMN.astype(kind))
    expected = scaler.transform(np.array(VALUES).reshape(-1, 1))[:, 0].tolist()
    scaling = read(scaler)
    assert scaling.scale_floats(VALUES) == expected
    assert scaling.scale_array(np.array(VALUES)).tolist() == expected


def test_value_that_is_infinite_before_the_last_scaler_is_not_a_number() -> None:
    scaler = MaxAbsScaler().fit([[1.0]])
    scaler.scale_ = np.array([1e-200])
    one, two = read(scaler), read(scaler, StandardScaler().fit(COLUMN))
    with np.errstate(all="ignore"):
        assert one.scale_floats([1e200]) == one.scale_array(np.array([1e200])).tolist() == [math.inf]
        assert math.isnan(two.scale_floats([1e200])[0])
        assert np.isnan(two.scale_array(np.array([-1e200]))).all()


def test_step_that_is_not_a_scaler_has_no_closed_form() -> None:
    with pytest.raises(ClosedFormMissing):
        read(PowerTransformer().fit(COLUMN))


def test_whitening_of_one_row_is_handed_to_scikit_learn() -> None:
    with np.errstate(all="ignore"):
        pca = PCA(whiten=True).fit([[1.0]])
    with pytest.raises(ClosedFormMissing, match="a PCA of one row"):
        read(pca)


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    ("scaler", "attribute", "value", "message"),
    [
        (StandardScaler(), "scale_", np.array([0.0]), "scale is not positive"),
        (MinMaxScaler(), "scale_", np.array([-1.0]), "scale is not positive"),
        (MaxAbsScaler(), "scale_", np.array([np.inf]), "scale_ is not finite"),
        (RobustScaler(), "center_", np.array([]), "center_ has 0 numbers"),
        (RobustScaler(), "center_", None, "not fitted"),
        (MinMaxScaler(clip=True), "feature_range", (1,), "not a pair"),
        (MinMaxScaler(clip=True), "feature_range", (10**400, 1), "not a number"),
        (PCA(whiten=True), "explained_variance_", np.array([-1.0]), "variance is negative"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_inconsistent_scaler_is_invalid(scaler: Any, attribute: str, value: object, message: str) -> None:
    scaler.fit(COLUMN)
    vars(scaler)[attribute] = value
    with pytest.raises(ModelInvalid, match=message):
        read(scaler)


def test_scaler_of_two_features_is_incompatible() -> None:
    with pytest.raises(ModelIncompatible, match="expects 2 features"):
        read(StandardScaler().fit(np.arange(8.0).reshape(-1, 2)))


def test_whitening_by_a_variance_of_zero_uses_the_precision_of_its_type() -> None:
    for kind in (np.float64, np.float32):
        pca = PCA(whiten=True).fit(COLUMN.astype(kind))
        pca.explained_variance_ = np.zeros(1, dtype=kind)
        assert read(pca).scale_floats([1.0]) == pca.transform([[1.0]])[0].tolist()
