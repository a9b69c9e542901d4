"""Tests of the description of a bundle."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer
from sklearn.svm import OneClassSVM

from device_scorer import SCIKIT_LEARN
from device_scorer.errors import ModelInvalid, ModelRejected
from device_scorer.models import inspection
from device_scorer.models.inspection import TagDescription, describe_bundle
from tests.testkit.scorer_fleet import a_model, bundle

COLUMN = np.linspace(5, 15, 50).reshape(-1, 1)


def describe(content: bytes) -> list[TagDescription]:
    return describe_bundle(content, max_unpacked_bytes=2**26, trust_any=False)


def test_model_in_closed_form_is_described() -> None:
    expected = TagDescription("1", "StandardScaler -> OneClassSVM", SCIKIT_LEARN, "closed form", "")
    assert describe(bundle({"1": a_model()})) == [expected]


@pytest.mark.slow
def test_tags_are_sorted_and_each_has_its_evaluation_or_problem() -> None:
    models = {
        "b": make_pipeline(QuantileTransformer(n_quantiles=5), OneClassSVM()).fit(COLUMN),
        "a": a_model(),
        "c": make_pipeline(QuantileTransformer(n_quantiles=5), LocalOutlierFactor()).fit(COLUMN),
        "d": "nothing",
        "e": IsolationForest(n_estimators=1),
    }
    a, b, c, d, e = describe(bundle(models))
    assert a.evaluated_by == "closed form"
    assert b == TagDescription("b", "QuantileTransformer -> OneClassSVM", SCIKIT_LEARN, "scikit-learn", "")
    assert c.problem.startswith("ModelIncompatible: LocalOutlierFactor, the last step")
    assert (d.detector, d.sklearn_version) == ("", "unknown")
    assert d.problem.startswith("ModelInvalid: ")
    assert (e.detector, e.sklearn_version) == ("IsolationForest", SCIKIT_LEARN)
    assert "not fitted" in e.problem


def test_bundle_that_cannot_be_used_is_an_error() -> None:
    with pytest.raises(ModelRejected, match=r"os\.system"):
        describe(b"cos\nsystem\n.")
    with pytest.raises(ModelInvalid):
        describe(b"garbage")


def test_step_has_at_most_100_parameters_of_100_characters_or_16_numbers() -> None:
    assert (inspection.MAX_PARAMETERS, inspection.MAX_PARAMETER_CHARS) == (100, 100)
    assert inspection.MAX_PARAMETER_NUMBERS == 16
