"""StandardScaler -> OneClassSVM(rbf) over one feature in closed form, with the bits of scikit-learn's answer.

libsvm adds coefficient x exp(-gamma x distance squared) over the support vectors in their order, then subtracts rho,
all in double precision with the C library's `exp`; so does `_exact`, operation for operation. It matters: with a tiny
nu the support vectors are training values that recur, the decision there is zero but for the last bits, and the label
hangs on them. NumPy's vectorised `exp` may differ in the last bit; `_many` uses it only for values whose label and
printed score cannot hang on that, and leaves the others to `_exact`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, isfinite
from typing import Any

from device_scorer.errors import ModelIncompatible, ModelInvalid
from device_scorer.models.allowlist import ONE_CLASS_SVM, PIPELINE, STANDARD_SCALER
from device_scorer.models.unpickler import Array, InertObject

SCORE_DECIMALS = 9
"""Digits of a printed score: far coarser than the noise of double precision, far finer than any use of a score."""

_NUMPY_THRESHOLD_TERMS = 200_000
"""From about so many terms on, NumPy is faster, its import included."""

_EPSILON = 2.0**-52


@dataclass(frozen=True, slots=True)
class ClosedFormSvm:
    """A fitted pipeline as numbers: reading -> (reading - mean) / scale -> decision."""

    mean: float
    scale: float
    gamma: float
    vectors: tuple[float, ...] = field(repr=False)
    coefficients: tuple[float, ...] = field(repr=False)
    intercept: float
    sklearn_version: str

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float]]:
        """Labels (1 anomalous) and decision function of finite values; `predict` is 1 exactly where that is > 0."""
        scores = (
            self._exact_scores(values)
            if len(values) * len(self.vectors) < _NUMPY_THRESHOLD_TERMS
            else self._vectorised_scores(values)
        )
        return [0 if score > 0 else 1 for score in scores], scores

    def _exact_scores(self, values: Sequence[float]) -> list[float]:
        pairs = tuple(zip(self.coefficients, self.vectors, strict=True))
        gamma, intercept, mean, scale = -self.gamma, self.intercept, self.mean, self.scale
        scores = []
        for value in values:
            scaled = (value - mean) / scale
            total = 0.0
            for coefficient, vector in pairs:
                distance = scaled - vector
                total += coefficient * exp(gamma * (distance * distance))
            scores.append(total + intercept)
        return scores

    def _vectorised_scores(self, values: Sequence[float]) -> list[float]:
        import numpy as np  # noqa: PLC0415  costs a pod more than scoring an ordinary device without it

        scaled = (np.asarray(values, dtype=np.float64) - self.mean) / self.scale
        totals = np.full(len(scaled), self.intercept)
        with np.errstate(under="ignore"):
            for coefficient, vector in zip(self.coefficients, self.vectors, strict=True):
                distance = scaled - vector
                totals += coefficient * np.exp(-self.gamma * (distance * distance))
        weight = sum(map(abs, self.coefficients)) + abs(self.intercept)
        error = 4 * (len(self.vectors) + 4) * _EPSILON * weight
        printed = totals * 10.0**SCORE_DECIMALS
        from_half = np.abs(printed - np.floor(printed) - 0.5)
        uncertain = (np.abs(totals) <= error) | (
            from_half <= error * 10.0**SCORE_DECIMALS + np.abs(printed) * 4 * _EPSILON
        )
        scores: list[float] = totals.tolist()
        recomputed = np.flatnonzero(uncertain).tolist()
        for index, score in zip(recomputed, self._exact_scores([values[index] for index in recomputed]), strict=True):
            scores[index] = score
        return scores


def from_inert_object(pipeline: Any) -> ClosedFormSvm | None:
    """The closed form of a pipeline read as a Record; None where it is sound but of another shape than this one.

    Raises ModelInvalid where it is unfitted, has other than one feature, or is no model at all.
    """
    if not isinstance(pipeline, InertObject):
        raise ModelInvalid(f"a {type(pipeline).__name__} stands where a fitted pipeline belongs")
    steps = pipeline.attributes.get("steps") if pipeline.class_name == PIPELINE else None
    stages = _pipeline_stages(steps)
    if [stage.class_name for stage in stages] != [STANDARD_SCALER, ONE_CLASS_SVM]:
        return None
    scaler, svm = (stage.attributes for stage in stages)
    if svm.get("kernel") != "rbf" or svm.get("_sparse", False):
        return None
    vectors, coefficients = _read_vector(svm, "support_vectors_"), _read_vector(svm, "_dual_coef_", "dual_coef_")
    mean = _read_number(scaler, "mean_") if scaler.get("with_mean", True) else 0.0
    scale = _read_number(scaler, "scale_") if scaler.get("with_std", True) else 1.0
    gamma, version = svm.get("_gamma"), svm.get("_sklearn_version")
    model = ClosedFormSvm(
        mean=mean,
        scale=scale,
        gamma=float(gamma) if isinstance(gamma, (int, float)) else float("nan"),
        vectors=tuple(vectors),
        coefficients=tuple(coefficients),
        intercept=_read_number(svm, "_intercept_", "intercept_"),
        sklearn_version=version[:32] if isinstance(version, str) else "unknown",
    )
    _validate(model)
    return model


def _pipeline_stages(steps: Any) -> list[InertObject]:
    """The estimators of a pipeline's steps; none where one of them is no record."""
    pairs = [step for step in steps if isinstance(step, (tuple, list)) and len(step) == 2] if steps else []
    stages = [stage for _, stage in pairs if isinstance(stage, InertObject)]
    return stages if isinstance(steps, list) and len(stages) == len(steps) else []


def _validate(model: ClosedFormSvm) -> None:
    numbers = (model.mean, model.scale, model.gamma, model.intercept, *model.vectors, *model.coefficients)
    if not all(map(isfinite, numbers)) or model.scale <= 0:
        raise ModelInvalid("a number in the model is not finite, or its scale is not positive")
    if not model.vectors or len(model.vectors) != len(model.coefficients):
        raise ModelInvalid("the model has no support vectors, or not one coefficient for each")


def _read_vector(attributes: dict[str, Any], *names: str) -> list[float]:
    for name in names:
        array = attributes.get(name)
        if isinstance(array, Array):
            if len(array.shape) == 2 and name == "support_vectors_" and array.shape[1] != 1:
                raise ModelIncompatible(f"the model wants {array.shape[1]} features; a reading has one value")
            return array.to_floats()
    raise ModelInvalid(f"the model is not fitted: it has no {names[0]}")


def _read_number(attributes: dict[str, Any], *names: str) -> float:
    numbers = _read_vector(attributes, *names)
    if len(numbers) != 1:
        raise ModelInvalid(f"the model has {len(numbers)} numbers in {names[0]}; one feature has one")
    return numbers[0]
