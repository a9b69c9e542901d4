"""Tests of bundles that are rebuilt from inert objects."""

import io
import pickle

import joblib
import numpy as np

from device_scorer.models import closed_form, unpickler
from device_scorer.models.sklearn_writer import encode_rebuilt_bundle
from tests.testkit.scorer_fleet import a_model

COLUMN = np.linspace(5, 15, 50).reshape(-1, 1)


def test_written_pipeline_has_the_numbers_of_the_inert_object() -> None:
    record = unpickler.load_inert(pickle.dumps(a_model()))
    written = joblib.load(io.BytesIO(encode_rebuilt_bundle({"1": (record, closed_form.read_trainer_model(record))})))
    assert written["1"].decision_function(COLUMN).tolist() == a_model().decision_function(COLUMN).tolist()


def test_pipeline_without_a_closed_form_is_left_out() -> None:
    record = unpickler.load_inert(pickle.dumps(a_model()))
    assert joblib.load(io.BytesIO(encode_rebuilt_bundle({"1": (record, None)}))) == {}
