"""Tests of the error of a name that is not on the allow-list."""

import pickle

import pytest

from device_scorer import SCIKIT_LEARN
from device_scorer.errors import ModelIncompatible, ModelRejected
from device_scorer.models.rejected_names import MAX_NAME_CHARS, rejected_name


@pytest.mark.parametrize(
    ("module", "name", "cure"),
    [
        ("os", "system", "set models.trust to any if you trust all writers of models"),
        ("__main__", "MyScaler", "save only estimators of the list and plain values"),
        ("sklearn.model_selection._search", "GridSearchCV", "save its best_estimator_"),
        ("sklearn.compose._column_transformer", "ColumnTransformer", "without the ColumnTransformer"),
        ("joblib.memory", "Memory", "save the Pipeline with memory=None"),
        ("collections", "OrderedDict", "save a plain dict"),
        ("pandas.core.series", "Series", "in place of objects of pandas"),
        ("pandasql", "Thing", "save only estimators of the list and plain values"),
    ],
)
def test_rejected_name_has_a_next_step(module: str, name: str, cure: str) -> None:
    error = rejected_name(module, name, b"")
    assert isinstance(error, ModelRejected)
    assert f"the model names '{module}.{name}', which is not on the list of allowed classes; " in str(error)
    assert cure in str(error)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.ensemble.iforest", "IsolationForest"),
        ("sklearn.neighbors.lof", "LocalOutlierFactor"),
        ("sklearn.covariance.elliptic_envelope", "EllipticEnvelope"),
        ("sklearn.svm._renamed", "OneClassSVM"),
    ],
)
def test_class_in_another_module_is_of_another_version(module: str, name: str) -> None:
    error = rejected_name(module, name, pickle.dumps({"_sklearn_version": "0.21.3"}))
    assert isinstance(error, ModelIncompatible)
    assert str(error) == (
        f"the model was written by scikit-learn 0.21.3, in which the class is '{module}.{name}'; "
        f"train the model again with scikit-learn {SCIKIT_LEARN}"
    )
    assert "written by another version of scikit-learn," in str(rejected_name(module, name, b""))


def test_class_of_another_package_is_not_taken_for_a_version_of_scikit_learn() -> None:
    assert isinstance(rejected_name("hostile.sklearn", "OneClassSVM", b""), ModelRejected)
    assert isinstance(rejected_name("sklearn.utils", "system", b""), ModelRejected)


def test_long_name_is_one_short_line() -> None:
    assert MAX_NAME_CHARS == 200
    text = str(rejected_name("a\n" * 500, "b" * 500, b""))
    assert "\n" not in text
    assert len(text) < 400
