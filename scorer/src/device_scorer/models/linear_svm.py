"""SGDOneClassSVM over one feature, alone or behind a Nystroem map, with the operations of scikit-learn.

Over one feature, the decision function is coef * z - offset. Behind a Nystroem map (Williams and Seeger, "Using the
Nyström method to speed up kernel machines", 2000) it is the product of the kernel values, the normalisation and coef.
These are matrix products of NumPy, as in scikit-learn, so their rounding is the same for the same values in one call.
"""

from dataclasses import dataclass, field

import numpy as np

from device_scorer.errors import ModelInvalid
from device_scorer.models.inert import ClosedFormMissing, InertObject, read_matrix, read_number

MAX_COMPONENTS = 256
"""Size of a Nystroem map from which scikit-learn evaluates the model."""


@dataclass(frozen=True, slots=True, eq=False)
class NystroemMap:
    """A fitted Nystroem map of one feature.

    Attributes:
        kernel: rbf, linear, poly or sigmoid.
        gamma: The parameter gamma of the kernel.
        coef0: The parameter coef0 of the kernel.
        degree: The degree of the kernel poly.
        components: The training values of the map, as a row.
        normalisation: The matrix of the map.
    """

    kernel: str
    gamma: float
    coef0: float
    degree: float
    components: np.ndarray = field(repr=False)
    normalisation: np.ndarray = field(repr=False)

    def transform(self, column: np.ndarray) -> np.ndarray:
        """Return the features of values.

        Args:
            column: The values, as a column.
        """
        kernel = column @ self.components
        if self.kernel == "rbf":  # the expressions of sklearn.metrics.pairwise.euclidean_distances
            kernel *= -2
            kernel += column * column
            kernel += self.components * self.components
            np.maximum(kernel, 0, out=kernel)
            kernel *= -self.gamma
            np.exp(kernel, out=kernel)
        elif self.kernel != "linear":
            kernel *= self.gamma
            kernel += self.coef0
            kernel = np.tanh(kernel) if self.kernel == "sigmoid" else kernel**self.degree
        features: np.ndarray = kernel @ self.normalisation.T
        return features


@dataclass(frozen=True, slots=True, eq=False)
class LinearSvm:
    """The numbers of a fitted SGDOneClassSVM.

    Attributes:
        coefficients: The coefficient of each feature.
        offset: The offset.
        feature_map: The Nystroem map before it, or None.
    """

    coefficients: np.ndarray
    offset: float
    feature_map: NystroemMap | None

    def decide(self, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels (True for an anomaly) and the decision function.

        A value that the map turns into infinity is an anomaly without a score (NaN). scikit-learn rejects it.

        Args:
            scaled: Finite scaled values, as a vector.
        """
        if self.feature_map is None:
            scores = scaled * self.coefficients[0] - self.offset
        else:
            features = self.feature_map.transform(scaled.reshape(-1, 1))
            scores = features @ self.coefficients - self.offset
            scores[~np.isfinite(features).all(axis=1)] = np.nan
        return ~(scores >= 0), scores


def read_linear_svm(svm: InertObject, nystroem: InertObject | None) -> LinearSvm:
    """Return the closed form of a fitted SGDOneClassSVM.

    Args:
        svm: The estimator.
        nystroem: The Nystroem map before it, or None.

    Raises:
        ModelInvalid: An estimator is not fitted, or its numbers are inconsistent.
        ClosedFormMissing: Only scikit-learn can evaluate the estimators.
    """
    coefficients = np.asarray(read_matrix(svm, "coef_", (None,)))
    feature_map = None if nystroem is None else _read_map(nystroem)
    if len(coefficients) != (1 if feature_map is None else len(feature_map.normalisation)):
        raise ModelInvalid("the model is invalid: the number of coefficients is not that of the features")
    return LinearSvm(coefficients, read_number(svm, "offset_"), feature_map)


def _read_map(nystroem: InertObject) -> NystroemMap:
    parameters = nystroem.attributes
    kernel = parameters.get("kernel")
    if kernel not in ("rbf", "linear", "poly", "polynomial", "sigmoid") or parameters.get("kernel_params"):
        raise ClosedFormMissing("a Nystroem map of another kernel")
    components = read_matrix(nystroem, "components_", (None, 1)).astype(np.float64)
    count = len(components)
    if not 0 < count <= MAX_COMPONENTS:
        raise ClosedFormMissing(f"a Nystroem map of more than {MAX_COMPONENTS} components")

    def parameter(name: str, default: float) -> float:
        return default if parameters.get(name) is None else read_number(nystroem, name)

    return NystroemMap(
        kernel="poly" if kernel == "polynomial" else str(kernel),
        gamma=parameter("gamma", 1.0),
        coef0=parameter("coef0", 1.0),
        degree=parameter("degree", 3.0),
        components=np.ascontiguousarray(components.T),
        normalisation=read_matrix(nystroem, "normalization_", (count, count)),
    )
