"""Tests of the constants of the package."""

import sklearn

import device_scorer


def test_scikit_learn_version_is_the_one_of_the_tests() -> None:
    assert sklearn.__version__ == device_scorer.SCIKIT_LEARN
