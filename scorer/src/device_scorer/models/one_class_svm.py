"""StandardScaler -> OneClassSVM(rbf) over one feature in closed form, bit for bit equal to scikit-learn.

The decision function of a one-class SVM with support vectors v_i, coefficients a_i, gamma and intercept is

    f(x) = sum_i a_i * exp(-gamma * (z - v_i)**2) + intercept,    z = (x - mean) / scale

(Chang and Lin, "LIBSVM: A library for support vector machines", 2011, section 2.3; intercept is -rho). f(x) > 0 is
normal. libsvm adds the terms in the order of the support vectors, in double precision and with `exp` of the C library.
`_exact_scores` performs the same operations in the same order. This is necessary: with a small nu the support vectors
are frequent training values, f is zero there except for the last bits, and the last bits decide the label.

The vectorised `exp` of NumPy may differ in the last bit. `_vectorised_scores` uses it only for values whose label and
printed score cannot depend on this bit, and recomputes the others with `_exact_scores`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, isfinite
from typing import Any

from device_scorer.errors import ModelIncompatible, ModelInvalid
from device_scorer.models.allowlist import ONE_CLASS_SVM, PIPELINE, STANDARD_SCALER
from device_scorer.models.unpickler import Array, InertObject

SCORE_DECIMALS = 9
"""Decimals of a printed score. They hide the rounding errors of double precision and exceed every use of a score."""

NUMPY_THRESHOLD_TERMS = 200_000
"""Number of terms (values times support vectors) from which NumPy is faster, including its import."""

_EPSILON = 2.0**-52
"""The distance from 1.0 to the next double."""


@dataclass(frozen=True, slots=True)
class ClosedFormSvm:
    """The numbers of a fitted pipeline.

    Attributes:
        mean: The mean of the scaler.
        scale: The scale of the scaler, positive.
        gamma: The parameter gamma of the kernel.
        vectors: The scaled support vectors.
        coefficients: The dual coefficient of each support vector.
        intercept: The intercept of the decision function.
        sklearn_version: The version of scikit-learn that fitted the pipeline, or "unknown".
    """

    mean: float
    scale: float
    gamma: float
    vectors: tuple[float, ...] = field(repr=False)
    coefficients: tuple[float, ...] = field(repr=False)
    intercept: float
    sklearn_version: str

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float]]:
        """Label values.

        Args:
            values: Finite values, one per reading.

        Returns:
            The labels (1 anomaly, 0 normal) and the decision function of each value. `predict` of OneClassSVM is 1
            exactly if the decision function is positive.
        """
        scores = (
            self._exact_scores(values)
            if len(values) * len(self.vectors) < NUMPY_THRESHOLD_TERMS
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
        import numpy as np  # noqa: PLC0415  the import takes longer than scoring an ordinary device without NumPy

        scaled = (np.asarray(values, dtype=np.float64) - self.mean) / self.scale
        totals = np.full(len(scaled), self.intercept)
        with np.errstate(under="ignore"):
            for coefficient, vector in zip(self.coefficients, self.vectors, strict=True):
                distance = scaled - vector
                totals += coefficient * np.exp(-self.gamma * (distance * distance))
        # Bound of the rounding error of recursive summation (Higham, "Accuracy and Stability of Numerical Algorithms",
        # section 4.2), times 4 for the errors of exp and of the products.
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
    """Return the closed form of a pipeline, or None if the pipeline is valid but has another shape.

    Args:
        pipeline: The pipeline as an inert object, from `unpickler.load_inert`.

    Raises:
        ModelInvalid: The object is not a pipeline, or is not fitted.
        ModelIncompatible: The pipeline has more than one feature.
    """
    if not isinstance(pipeline, InertObject):
        raise ModelInvalid(f"the model is invalid: expected a fitted pipeline, found a {type(pipeline).__name__}")
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
    """Return the estimators of a pipeline, or an empty list if one of them is not an inert object."""
    pairs = [step for step in steps if isinstance(step, (tuple, list)) and len(step) == 2] if steps else []
    stages = [stage for _, stage in pairs if isinstance(stage, InertObject)]
    return stages if isinstance(steps, list) and len(stages) == len(steps) else []


def _validate(model: ClosedFormSvm) -> None:
    numbers = (model.mean, model.scale, model.gamma, model.intercept, *model.vectors, *model.coefficients)
    if not all(map(isfinite, numbers)) or model.scale <= 0:
        raise ModelInvalid("the model is invalid: a number is not finite, or the scale is not positive")
    if not model.vectors or len(model.vectors) != len(model.coefficients):
        raise ModelInvalid("the model is invalid: it must have support vectors and one coefficient for each of them")


def _read_vector(attributes: dict[str, Any], *names: str) -> list[float]:
    for name in names:
        array = attributes.get(name)
        if isinstance(array, Array):
            if len(array.shape) == 2 and name == "support_vectors_" and array.shape[1] != 1:
                raise ModelIncompatible(f"the model expects {array.shape[1]} features; a reading has one value")
            return array.to_floats()
    raise ModelInvalid(f"the model is invalid: it is not fitted (no {names[0]})")


def _read_number(attributes: dict[str, Any], *names: str) -> float:
    numbers = _read_vector(attributes, *names)
    if len(numbers) != 1:
        raise ModelInvalid(f"the model is invalid: {names[0]} has {len(numbers)} numbers; one feature has one")
    return numbers[0]
