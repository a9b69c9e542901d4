"""OneClassSVM over one feature in closed form, bit for bit equal to scikit-learn.

The decision function of a one-class SVM with support vectors v_i, coefficients a_i and intercept is

    f(z) = sum_i a_i * K(z, v_i) + intercept

(Chang and Lin, "LIBSVM: A library for support vector machines", 2011, section 2.3; intercept is -rho). f(z) > 0 is
normal. libsvm adds the terms in the order of the support vectors, in double precision, with `exp` and `tanh` of the C
library. `exact_scores` performs the same operations in the same order. This is necessary. With a small nu the support
vectors are frequent training values. There f is zero except for the last bits, which decide the label.

The vectorised `exp` of NumPy may differ in the last bit. `vectorised_scores` uses it only for values whose label cannot
depend on this bit and whose score is exact to SCORE_DIGITS digits. It computes the others with `exact_scores`.
"""

from collections.abc import Callable, Sequence
from math import exp, inf, isfinite, nan, tanh
from typing import TYPE_CHECKING, Any, NamedTuple

from device_scorer.errors import ModelInvalid
from device_scorer.models.inert import ClosedFormMissing, InertObject, read_array, read_count, read_number, read_vector
from device_scorer.models.scaling import Scaling
from device_scorer.models.sklearn_messages import clean_version

if TYPE_CHECKING:
    import numpy as np

SCORE_DECIMALS = 9
"""Decimals of a printed score. They hide the rounding errors of double precision and exceed every use of a score."""

SCORE_DIGITS = 9
"""Digits that the scores of both computations have in common."""

NUMPY_THRESHOLD_TERMS = 200_000
"""Number of terms (values times support vectors) from which NumPy is faster, including its import."""

MAX_VECTORS = 20_000
"""Number of support vectors from which scikit-learn, whose process has a time limit, evaluates the model."""

MAX_DEGREE = 1000
_EPSILON = 2.0**-52
"""The distance from 1.0 to the next double."""


class Kernel(NamedTuple):
    """A kernel of libsvm (`Kernel::k_function` in svm.cpp).

    Attributes:
        name: linear, poly, rbf or sigmoid.
        gamma: The parameter gamma.
        coef0: The parameter coef0 of poly and sigmoid.
        degree: The degree of poly.
    """

    name: str
    gamma: float
    coef0: float = 0.0
    degree: int = 3

    def function(self) -> Callable[[float, float], float]:
        """Return the kernel of two numbers."""
        gamma, coef0, degree = self.gamma, self.coef0, self.degree

        def rbf(value: float, vector: float) -> float:
            distance = value - vector
            return _exp(-gamma * (distance * distance))

        kernels: dict[str, Callable[[float, float], float]] = {
            "linear": lambda value, vector: value * vector,
            "poly": lambda value, vector: _power(gamma * (value * vector) + coef0, degree),
            "rbf": rbf,
            "sigmoid": lambda value, vector: tanh(gamma * (value * vector) + coef0),
        }
        return kernels[self.name]

    def evaluate(self, values: "np.ndarray", vector: float) -> "np.ndarray":
        """Return the kernel of values and a support vector, with the vectorised functions of NumPy."""
        import numpy as np  # noqa: PLC0415  the trainer's models on an ordinary device do not need NumPy

        if self.name == "rbf":
            distances = values - vector
            return np.exp(-self.gamma * (distances * distances))
        products = values * vector
        if self.name == "linear":
            return products
        products = self.gamma * products + self.coef0
        return np.tanh(products) if self.name == "sigmoid" else _power(products, self.degree)


class ClosedFormSvm(NamedTuple):
    """The numbers of a fitted one-class SVM behind scalers.

    Attributes:
        scaling: The scalers.
        kernel: The kernel.
        vectors: The support vectors, after the scalers.
        coefficients: The dual coefficient of each support vector.
        intercept: The intercept of the decision function.
        sklearn_version: The version of scikit-learn that fitted the pipeline, or "unknown".
    """

    scaling: Scaling
    kernel: Kernel
    vectors: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    sklearn_version: str

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float]]:
        """Label values.

        Args:
            values: Finite values, one per reading.

        Returns:
            The labels (1 anomaly, 0 normal) and the decision function of each value. `predict` of OneClassSVM is 1
            exactly if the decision function is positive. A value that a step turns into infinity is an anomaly without
            a score (NaN).
        """
        scaled = self.scaling.scale_floats(values)
        many = len(values) * len(self.vectors) >= NUMPY_THRESHOLD_TERMS
        scores = self.vectorised_scores(scaled) if many else self.exact_scores(scaled)
        return [0 if score > 0 else 1 for score in scores], scores

    def exact_scores(self, scaled: Sequence[float]) -> list[float]:
        """Return the decision function with the operations of libsvm.

        Args:
            scaled: The scaled values; the score of a value that is not finite is NaN.
        """
        pairs = tuple(zip(self.coefficients, self.vectors, strict=True))
        if self.kernel.name == "rbf" and self.kernel.gamma >= 0:
            return self._exact_rbf_scores(scaled, pairs)
        kernel, intercept = self.kernel.function(), self.intercept
        scores = []
        for value in scaled:
            total = 0.0
            for coefficient, vector in pairs:
                total += coefficient * kernel(value, vector)
            scores.append(total + intercept if isfinite(value) else nan)
        return scores

    def _exact_rbf_scores(self, scaled: Sequence[float], pairs: Sequence[tuple[float, float]]) -> list[float]:
        """Return the decision function of the usual kernel without a call per term."""
        gamma, intercept = -self.kernel.gamma, self.intercept
        scores = []
        for value in scaled:
            total = 0.0
            for coefficient, vector in pairs:
                distance = value - vector
                total += coefficient * exp(gamma * (distance * distance))
            scores.append(total + intercept if isfinite(value) else nan)
        return scores

    def vectorised_scores(self, scaled: Sequence[float]) -> list[float]:
        """Return the decision function with NumPy, exact where rounding can decide about the label or a digit.

        Args:
            scaled: The scaled values; the score of a value that is not finite is NaN.
        """
        import numpy as np  # noqa: PLC0415  as above

        values = np.asarray(scaled, dtype=np.float64)
        totals, weights = np.zeros(len(values)), np.full(len(values), abs(self.intercept))
        with np.errstate(all="ignore"):
            for coefficient, vector in zip(self.coefficients, self.vectors, strict=True):
                terms = coefficient * self.kernel.evaluate(values, vector)
                totals += terms
                weights += np.abs(terms)
            totals += self.intercept
            # Bound of the rounding error of recursive summation (Higham, "Accuracy and Stability of Numerical
            # Algorithms", section 4.2). The factor 4 covers the errors of exp, tanh and the products.
            errors = 4 * (len(self.vectors) + 4) * _EPSILON * weights
            uncertain = ~(np.abs(totals) > errors * 10.0**SCORE_DIGITS)
        totals[~np.isfinite(values)] = nan
        scores: list[float] = totals.tolist()
        if self.kernel.name in ("linear", "poly"):  # products and sums of NumPy are exact
            return scores
        recomputed = np.flatnonzero(uncertain).tolist()
        for index, score in zip(recomputed, self.exact_scores([scaled[index] for index in recomputed]), strict=True):
            scores[index] = score
        return scores


def read_svm(svm: InertObject, scaling: Scaling) -> ClosedFormSvm:
    """Return the closed form of a fitted OneClassSVM.

    Args:
        svm: The estimator.
        scaling: The scalers before it.

    Raises:
        ModelInvalid: The estimator is not fitted, or its numbers are inconsistent.
        ModelIncompatible: The estimator has more than one feature.
        ClosedFormMissing: Only scikit-learn can evaluate the estimator.
    """
    name = svm.attributes.get("kernel")
    if name not in ("linear", "poly", "rbf", "sigmoid") or svm.attributes.get("_sparse", False):
        raise ClosedFormMissing("a kernel without a closed form")
    if read_array(svm, "support_vectors_").count > MAX_VECTORS:
        raise ClosedFormMissing(f"more than {MAX_VECTORS:,} support vectors")
    vectors, coefficients = read_vector(svm, "support_vectors_"), read_vector(svm, "_dual_coef_", "dual_coef_")
    if not vectors or len(vectors) != len(coefficients):
        raise ModelInvalid("the model is invalid: it must have support vectors and one coefficient for each of them")
    return ClosedFormSvm(
        scaling=scaling,
        kernel=_read_kernel(svm, str(name)),
        vectors=tuple(vectors),
        coefficients=tuple(coefficients),
        intercept=read_number(svm, "_intercept_", "intercept_"),
        sklearn_version=clean_version(svm.attributes.get("_sklearn_version")),
    )


def _read_kernel(svm: InertObject, name: str) -> Kernel:
    gamma = read_number(svm, "_gamma")
    if gamma < 0:
        raise ModelInvalid("the model is invalid: gamma is negative")
    degree = read_count(svm, "degree") if name == "poly" else 0
    if degree > MAX_DEGREE:
        raise ClosedFormMissing(f"a degree above {MAX_DEGREE}")
    coef0 = read_number(svm, "coef0") if name in ("poly", "sigmoid") else 0.0
    return Kernel(name, gamma, coef0, degree)


def _exp(number: float) -> float:
    try:
        return exp(number)
    except OverflowError:
        return inf


def _power(base: Any, exponent: int) -> Any:
    """Return a power by repeated squaring, in the order of `powi` of libsvm. It returns 1 for the exponent 0."""
    square: Any = base
    result: Any = 1.0
    while exponent > 0:
        if exponent % 2 == 1:
            result = result * square
        square = square * square
        exponent //= 2
    return result
