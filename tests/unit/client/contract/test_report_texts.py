"""The texts in the CSV files of a report."""

import pytest

from fleetscore.contract.report_texts import restore_text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("'+24V", "+24V"),
        ("'=1+1", "=1+1"),
        ("''x y", "'x y"),
        ("'\tx", "\tx"),
        ("' x", " x"),
        ("'\uff1d1+1", "\uff1d1+1"),
        ("'+24V (3 anomalies); '-5 V (1 anomalies)", "+24V (3 anomalies); -5 V (1 anomalies)"),
        ("x;'=cmd|' /C calc'!A0", "x;=cmd|' /C calc'!A0"),
        ("a\t'=1+1", "a\t=1+1"),
    ],
)
def test_apostrophes_in_front_of_formulas_are_removed(cell: str, text: str) -> None:
    assert restore_text(cell) == text


@pytest.mark.parametrize("text", ["", "press-1", "+3", "'", "'=x", "'abc", "'1.5", "it's", "a; 'b'; -1.5;", "'+3"])
def test_texts_without_protection_are_unchanged(text: str) -> None:
    assert restore_text(text) == text
