"""Texts of other parties."""

import pytest

from fleetscore.texts import printable


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), ("a\n b", "a b"), ("\u202ex", "?x"), (1.5, "1.5"), ("x" * 600, "x" * 500)]
)
def test_value_becomes_one_printable_line(value: object, text: str) -> None:
    assert printable(value) == text
