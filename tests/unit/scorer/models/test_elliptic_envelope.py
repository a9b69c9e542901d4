"""Tests of EllipticEnvelope in closed form. test_labels compares random ones with scikit-learn."""

import pickle

import numpy as np
import pytest
from sklearn.covariance import EllipticEnvelope

from device_scorer.errors import ModelInvalid
from device_scorer.models.elliptic_envelope import Envelope, read_envelope
from device_scorer.models.inert import ClosedFormMissing
from device_scorer.models.unpickler import load_inert

COLUMN = np.round(np.random.default_rng(5).normal(1, 1, (80, 1)), 2)


def fitted(**options: bool) -> EllipticEnvelope:
    return EllipticEnvelope(random_state=1, **options).fit(COLUMN)


def test_scores_equal_those_of_scikit_learn_in_every_bit() -> None:
    model = read_envelope(load_inert(pickle.dumps(fitted())))
    values = np.concatenate([COLUMN[:, 0], [1e300, -1e-300]])
    with np.errstate(over="ignore"):
        assert model.decide(values)[1].tolist() == fitted().decision_function(values.reshape(-1, 1)).tolist()


def test_score_of_zero_is_normal() -> None:
    assert Envelope(0.0, 1.0, -4.0).decide(np.array([1.0, 2.0, 3.0]))[0].tolist() == [False, False, True]


def test_envelope_without_a_precision_is_left_to_scikit_learn() -> None:
    with pytest.raises(ClosedFormMissing):
        read_envelope(load_inert(pickle.dumps(fitted(store_precision=False))))


@pytest.mark.fault("D7")
@pytest.mark.parametrize(
    ("name", "value"), [("precision_", [[-1.0]]), ("precision_", [[np.nan]]), ("location_", [1.0, 2.0])]
)
def test_inconsistent_envelope_is_invalid(name: str, value: list[float]) -> None:
    envelope = fitted()
    vars(envelope)[name] = np.array(value)
    with pytest.raises(ModelInvalid):
        read_envelope(load_inert(pickle.dumps(envelope)))
