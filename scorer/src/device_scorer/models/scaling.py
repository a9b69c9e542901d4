"""Chains of scalers over one feature, with the same operations in the same order as scikit-learn.

A scaler of scikit-learn rejects infinite input. A value that becomes infinite before the last scaler is therefore NaN
here, which the detectors treat as a value without a label.
"""

import operator
import struct
from collections.abc import Callable, Sequence
from math import inf, isfinite, isnan, nan, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from device_scorer.errors import ModelInvalid
from device_scorer.models.allowlist import MAX_ABS_SCALER, MIN_MAX_SCALER, PCA, ROBUST_SCALER, STANDARD_SCALER
from device_scorer.models.inert import Array, ClosedFormMissing, InertObject, read_array, read_number, too_many_features

if TYPE_CHECKING:
    import numpy as np

_Operation = tuple[Callable[[Any, float], Any], float]
_EPSILON = {"f4": 2.0**-23, "f8": 2.0**-52}


class Scaling(NamedTuple):
    """A chain of scalers.

    Attributes:
        stages: The operations of each scaler, with their second operand.
    """

    stages: tuple[tuple[_Operation, ...], ...] = ()

    def scale_floats(self, values: Sequence[float]) -> list[float]:
        """Return the scaled values. NaN is a value that a scaler rejects.

        Args:
            values: Finite values.
        """
        scaled = list(values)
        for stage in self.stages:
            scaled = [value if isfinite(value) else nan for value in scaled]
            for operation, operand in stage:
                scaled = [operation(value, operand) for value in scaled]
        return scaled

    def scale_array(self, values: "np.ndarray") -> "np.ndarray":
        """Return the scaled values. NaN is a value that a scaler rejects.

        Args:
            values: Finite values, as a vector of float64.
        """
        scaled = values
        for stage in self.stages:
            scaled = scaled - scaled * 0  # infinity becomes NaN
            for operation, operand in stage:
                scaled = operation(scaled, operand)
        return scaled


def read_scaling(stages: Sequence[InertObject]) -> Scaling:
    """Return the chain of fitted scalers.

    Args:
        stages: The scalers, in order.

    Raises:
        ModelInvalid: A scaler is not fitted, or its numbers are invalid.
        ModelIncompatible: A scaler has several features.
        ClosedFormMissing: A step is not a scaler, or has an unusual parameter.
    """
    operations = []
    for stage in stages:
        reader = _READERS.get(stage.class_name)
        if reader is None:
            raise ClosedFormMissing(stage.class_name)
        operations.append(tuple(reader(stage)))
    return Scaling(tuple(operations))


def _clip_low(value: Any, low: float) -> Any:
    if isinstance(value, float):
        return max(value, low)
    return value.clip(low, None)


def _clip_high(value: Any, high: float) -> Any:
    if isinstance(value, float):
        return min(value, high)
    return value.clip(None, high)


def _standard_scaler(scaler: InertObject) -> list[_Operation]:
    operations: list[_Operation] = []
    if scaler.attributes.get("with_mean", True):
        operations.append((operator.sub, _one(scaler, "mean_")))
    if scaler.attributes.get("with_std", True):
        operations.append((operator.truediv, _scale(scaler, "scale_")))
    return operations


def _robust_scaler(scaler: InertObject) -> list[_Operation]:
    operations: list[_Operation] = []
    if scaler.attributes.get("with_centering", True):
        operations.append((operator.sub, _one(scaler, "center_")))
    if scaler.attributes.get("with_scaling", True):
        operations.append((operator.truediv, _scale(scaler, "scale_")))
    return operations


def _min_max_scaler(scaler: InertObject) -> list[_Operation]:
    operations: list[_Operation] = [(operator.mul, _scale(scaler, "scale_")), (operator.add, _one(scaler, "min_"))]
    if scaler.attributes.get("clip", False):
        limits = scaler.attributes.get("feature_range")
        if not isinstance(limits, (tuple, list)) or len(limits) != 2:
            raise ModelInvalid("the model is invalid: feature_range is not a pair of numbers")
        low, high = (read_number(InertObject("", {"feature_range": limit}), "feature_range") for limit in limits)
        operations += [(_clip_low, low), (_clip_high, high)]
    return operations


def _max_abs_scaler(scaler: InertObject) -> list[_Operation]:
    operations: list[_Operation] = [(operator.truediv, _scale(scaler, "scale_"))]
    if scaler.attributes.get("clip", False):
        operations += [(_clip_low, -1.0), (_clip_high, 1.0)]
    return operations


def _pca(pca: InertObject) -> list[_Operation]:
    """Return the projection on the only component. scikit-learn projects the mean, too, in the type of its array."""
    component = _one(pca, "components_")
    is_single = {_code(pca, "components_"), _code(pca, "mean_")} == {"f4"}
    centre = _one(pca, "mean_") * component
    operations: list[_Operation] = [
        (operator.mul, component),
        (operator.sub, _to_single(centre) if is_single else centre),
    ]
    if pca.attributes.get("whiten", False):
        if any(map(isnan, read_array(pca, "explained_variance_").to_floats())):
            raise ClosedFormMissing("a PCA of one row, whose variance is not a number")
        code = _code(pca, "explained_variance_")
        variance = _one(pca, "explained_variance_")
        if variance < 0:
            raise ModelInvalid("the model is invalid: a variance is negative")
        deviation = _to_single(sqrt(variance)) if code == "f4" else sqrt(variance)
        operations.append((operator.truediv, max(deviation, _EPSILON.get(code, 2.0**-52))))
    return operations


def _one(scaler: InertObject, name: str) -> float:
    """Return an array that has one number."""
    value = scaler.attributes.get(name)
    if isinstance(value, Array) and value.shape and value.shape[-1] > 1:
        raise too_many_features(value.shape[-1])
    return read_number(scaler, name)


def _scale(scaler: InertObject, name: str) -> float:
    scale = _one(scaler, name)
    if scale <= 0:
        raise ModelInvalid("the model is invalid: a number is not finite, or the scale is not positive")
    return scale


def _code(model: InertObject, name: str) -> str:
    dtype = read_array(model, name).dtype
    return dtype.code if dtype else ""


def _to_single(number: float) -> float:
    """Return the nearest number of single precision."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return inf if number > 0 else -inf


_READERS: dict[str, Callable[[InertObject], list[_Operation]]] = {
    STANDARD_SCALER: _standard_scaler,
    MIN_MAX_SCALER: _min_max_scaler,
    MAX_ABS_SCALER: _max_abs_scaler,
    ROBUST_SCALER: _robust_scaler,
    PCA: _pca,
}
