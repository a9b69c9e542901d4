"""Tests of the errors with which models of scikit-learn fail."""

import pickle

import pytest
import sklearn

from device_scorer.errors import ModelIncompatible, ModelInvalid
from device_scorer.models.sklearn_failures import describe_failure

OURS = sklearn.__version__


@pytest.mark.parametrize(
    "error",
    [
        EOFError("Ran out of input"),
        pickle.UnpicklingError("pickle data was truncated"),
        pickle.UnpicklingError("pickle exhausted before end of frame"),
        ValueError("EOF: reading array data, expected 262144 bytes got 12"),
    ],
)
def test_truncated_file_is_no_matter_of_versions(error: Exception) -> None:
    for version in (OURS, "0.22.1", "unknown"):
        found = describe_failure(error, action="load", written_by=version)
        assert isinstance(found, ModelInvalid)
        assert "its file is truncated or damaged" in str(found)
        assert str(found).endswith("; upload it again")


def test_too_little_memory_is_named_with_the_cure() -> None:
    error = describe_failure(MemoryError(), action="load", written_by="1.0.0")
    assert isinstance(error, ModelInvalid)
    assert "too little memory to load it; train a smaller model, or raise the memory" in str(error)


def test_failure_of_a_model_of_this_version_is_invalid() -> None:
    for version in (OURS, OURS.rpartition(".")[0] + ".99", "unknown"):
        error = describe_failure(ValueError("two\nlines"), action="evaluate", written_by=version)
        assert isinstance(error, ModelInvalid)
        assert str(error) == f"the model is invalid: scikit-learn {OURS} cannot evaluate it (ValueError: two lines)"


def test_missing_module_of_scikit_learn_is_a_matter_of_versions() -> None:
    error = describe_failure(
        ModuleNotFoundError("No module named 'sklearn.old'", name="sklearn.old"), action="load", written_by="0.23.1"
    )
    assert isinstance(error, ModelIncompatible)
    assert "written by scikit-learn 0.23.1" in str(error)


def test_cause_is_cut_after_160_characters() -> None:
    text = str(describe_failure(ValueError("x" * 10_000), action="load", written_by="unknown"))
    assert f"(ValueError: {'x' * 148})" in text
