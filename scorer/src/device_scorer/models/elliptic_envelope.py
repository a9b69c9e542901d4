"""EllipticEnvelope over one feature, with the operations of scikit-learn.

The decision function is minus the squared Mahalanobis distance, minus the offset. scikit-learn computes the square of a
root (`scipy.spatial.distance`), which is not the same in the last bit.
"""

from dataclasses import dataclass

import numpy as np

from device_scorer.errors import ModelInvalid
from device_scorer.models.inert import ClosedFormMissing, InertObject, read_matrix, read_number


@dataclass(frozen=True, slots=True)
class Envelope:
    """The numbers of a fitted EllipticEnvelope.

    Attributes:
        location: The robust mean.
        precision: The inverse of the robust variance.
        offset: The offset of the decision function.
    """

    location: float
    precision: float
    offset: float

    def decide(self, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels (True for an anomaly) and the decision function.

        Args:
            scaled: Finite scaled values, as a vector.
        """
        distances = scaled - self.location
        distances = np.sqrt(distances * (distances * self.precision))
        scores = -(distances**2) - self.offset
        return ~(scores >= 0), scores


def read_envelope(envelope: InertObject) -> Envelope:
    """Return the closed form of a fitted EllipticEnvelope.

    Args:
        envelope: The estimator.

    Raises:
        ModelInvalid: The estimator is not fitted, or its numbers are invalid.
        ClosedFormMissing: The estimator does not store its precision, or another version wrote it.
    """
    if not envelope.attributes.get("store_precision", True) or "offset_" not in envelope.attributes:
        raise ClosedFormMissing("an envelope without a precision or offset")
    location = read_matrix(envelope, "location_", (1,))
    precision = float(read_matrix(envelope, "precision_", (1, 1))[0, 0])
    if precision < 0:
        raise ModelInvalid("the model is invalid: the precision is negative")
    return Envelope(float(location[0]), precision, read_number(envelope, "offset_"))
