"""Tests of the counts of rows and of the sentences about them."""

import pytest

from device_scorer.scoring.row_statistics import MAX_NOTES, RowStatistics, describe_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("oops", "Value is not a number: 'oops'"),
        ("NaN", "Value is not a number: 'NaN'"),
        ("", "Value is not a number: ''"),
        ("1_000", "Value is not a number: '1_000'"),
        ("1,000,5", "Value is not a number: '1,000,5'"),
        ("1,5", "Value has a decimal comma, it must be a point: '1,5'"),
        ("-inf", "Value is infinite or at least 1e+150: '-inf'"),
        ("1e308", "Value is infinite or at least 1e+150: '1e308'"),
        ("x" * 100, f"Value is not a number: '{'x' * 40}'"),
    ],
)
def test_unusable_value_is_described_by_its_cause(value: str, text: str) -> None:
    assert describe_value(value) == text


def test_rows_outside_of_the_window_are_described_by_their_times() -> None:
    statistics = RowStatistics()
    assert statistics.describe_outside() == ""
    statistics.add_outside(1000, 60, 120)
    statistics.add_outside(1, 90, 90)
    statistics.add_outside(1, -60, 180)
    assert statistics.describe_outside() == (
        "rows outside of the window: 1,002, from 1969-12-31T23:59:00Z to 1970-01-01T00:03:00Z"
    )


def test_time_beyond_the_calendar_is_described_in_seconds() -> None:
    statistics = RowStatistics()
    statistics.add_outside(1, 0, 10**12)
    assert statistics.describe_outside().endswith("to the second 1,000,000,000,000 after 1970")


def test_first_unusable_value_of_each_tag_is_kept() -> None:
    statistics = RowStatistics()
    for number in range(5):
        statistics.add_unusable("a", f"x{number}")
    statistics.add_unusable("b", "y")
    assert statistics.bad_rows == 6
    assert statistics.unusable_values == {"a": 5, "b": 1}
    assert statistics.unusable_samples == {"a": "Value is not a number: 'x0'", "b": "Value is not a number: 'y'"}
    assert len(statistics.notes) == MAX_NOTES == 3
