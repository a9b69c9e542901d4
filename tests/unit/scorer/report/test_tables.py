"""The CSV files of a report and their reader."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.tables import (
    EMPTY_HEADER,
    FAILURES_HEADER,
    MAX_EARLIER_BYTES,
    MAX_EARLIER_ROWS,
    MAX_MESSAGE_CHARS,
    encode_csv,
    protect_text,
    read_empty,
    read_failures,
)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+x", "-x y", "@SUM(A1)|x", "\tx", "\rx", "'x y", "=cmd|' /C calc'!A0", "\uff1d1+1", "\uff20SUM(1)"],
)
def test_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert protect_text(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "protected"),
    [
        ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
        (";=1+1", ";'=1+1"),
        ("temp (3 anomalies);  @x y", "temp (3 anomalies);  '@x y"),
        ("a\t=1+1", "a\t'=1+1"),
        ("-x y;-x y", "'-x y;'-x y"),
        ("=1+1; -1.5", "'=1+1; -1.5"),
    ],
)
def test_cell_that_begins_after_a_separator_in_a_text_gets_an_apostrophe(text: str, protected: str) -> None:
    assert protect_text(text) == protected
    assert protect_text(f"a;{protected}") == f"a;{protected}", "a repeated report adds another one"


@pytest.mark.parametrize("text", ["press-1", "-1.5", "+3", "-inf", "", "a=1", "-press", "=x", "a; 'b'; -1.5;"])
def test_numbers_ids_and_other_texts_are_unchanged(text: str) -> None:
    assert protect_text(text) == text


def test_outcomes_of_an_earlier_report_are_read_back() -> None:
    rows = [
        ["a", "failed", "DataInvalid", "=line 3"],
        ["b", "partial", "", ""],
        ["c", "notRun", "", ""],
        ["d", "missing", "", ""],
        ["q", "quarantined", "", "no Job"],
        ["e f", "failed", "", ""],
        ["g", "failed", "<b>", ""],
        ["h", "failed", "", "m" * 900],
    ]
    assert read_failures(encode_csv(FAILURES_HEADER, rows)) == {
        "a": DeviceOutcome("failed", "DataInvalid", "'=line 3"),
        "b": DeviceOutcome("partial"),
        "c": DeviceOutcome("notRun"),
        "h": DeviceOutcome("failed", "", "m" * 500),
        "q": DeviceOutcome("quarantined", "", "no Job"),
    }


def test_etags_of_an_earlier_report_are_read_back() -> None:
    assert read_empty(encode_csv(EMPTY_HEADER, [["a", "1 2"], ["b", ""]])) == {"a": "1 2", "b": ""}


def test_too_many_rows_are_not_read() -> None:
    assert read_empty(encode_csv(EMPTY_HEADER, [["a", ""]] * 250_001)) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_rejected(content: bytes) -> None:
    for header, read in ((FAILURES_HEADER, read_failures), (EMPTY_HEADER, read_empty)):
        found = read(",".join(header).encode() + b"\n" + content)
        assert found is None or isinstance(found, dict)


def test_earlier_report_is_read_up_to_32_mib_and_250000_rows() -> None:
    assert (MAX_EARLIER_BYTES, MAX_EARLIER_ROWS, MAX_MESSAGE_CHARS) == (33_554_432, 250_000, 500)
