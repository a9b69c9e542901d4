"""Tests of the allow-list."""

import importlib

import pytest

from device_scorer.models.allowlist import EMULATED_NAMES, INERT_CLASSES, SKLEARN_ONLY_NAMES


def test_no_name_is_in_two_lists() -> None:
    lists = [set(INERT_CLASSES), set(EMULATED_NAMES), set(SKLEARN_ONLY_NAMES)]
    assert sum(map(len, lists)) == len(set().union(*lists))


@pytest.mark.fault("F31")
def test_list_has_only_these_modules() -> None:
    names = [*INERT_CLASSES, *EMULATED_NAMES, *SKLEARN_ONLY_NAMES]
    assert {name.split(".")[0] for name in names} == {
        *("sklearn", "joblib", "numpy", "_codecs", "copy_reg", "copyreg", "__builtin__", "builtins")
    }
    assert {name for name in names if name.startswith(("_codecs", "copy", "__builtin__", "builtins"))} == {
        *("_codecs.encode", "copy_reg._reconstructor", "copyreg._reconstructor"),
        *("__builtin__.object", "builtins.object", "__builtin__.bytes", "builtins.bytes"),
    }


@pytest.mark.parametrize("name", sorted({*INERT_CLASSES.values()}))
def test_class_of_the_closed_form_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), attribute), type)
