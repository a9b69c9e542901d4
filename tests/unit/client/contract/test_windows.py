"""Parsing and formatting of windows."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetscore.contract.windows import Window, format_duration, parse_duration, parse_time, windows_between
from fleetscore.errors import UsageInvalid

START, END = datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2018-08-28T23:00Z",
        "2018-08-28T23:00:00+00:00",
        "2018-08-29T01:00+02:00",
        "2018-08-28T23:00Z/1h",
        "2018-08-28T23:00Z/PT1H",
        "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z",
        "20180828T230000Z_20180829T000000Z",
    ],
)
def test_window_is_parsed_in_every_documented_form(text: str) -> None:
    assert Window.parse(text) == Window(START, END)


def test_window_of_a_start_alone_has_the_given_length() -> None:
    assert Window.parse("2018-08-28T23:00Z", timedelta(minutes=15)).end == START + timedelta(minutes=15)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2018-08-28T23:00Z/", "2018-08-28T23:00Z/0h", "2018-08-28T23:00:00.5Z"]
)
def test_invalid_window_is_rejected_with_the_text(text: str) -> None:
    with pytest.raises(UsageInvalid, match="is invalid"):
        Window.parse(text)


def test_window_that_ends_before_it_starts_is_rejected() -> None:
    with pytest.raises(UsageInvalid, match="2018-08-28T23:00:00Z is not after its start; swap them"):
        Window(END, START)


def test_window_has_the_forms_of_blobs_and_columns() -> None:
    window = Window(START, END)
    assert window.slug == "20180828T230000Z_20180829T000000Z"
    assert window.column == "2018-08-28T23:00Z/1h"
    assert window.previous(2).column == "2018-08-28T21:00Z/1h"


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h", 3600), ("15m", 900), ("1d", 86400), ("PT1H30M", 5400), ("P1DT1S", 86401), ("90s", 90)]
)
def test_duration_is_parsed_in_both_notations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "P", "1", "-1h", "1h1d", "P999999999999D"])
def test_invalid_duration_is_rejected(text: str) -> None:
    with pytest.raises(UsageInvalid, match="duration"):
        parse_duration(text)


def test_durations_are_formatted_in_hours_minutes_and_seconds() -> None:
    seconds = (0, 59, 3600, 5400, 90061)
    assert [format_duration(timedelta(seconds=one)) for one in seconds] == ["0s", "59s", "1h", "1h30m", "25h1m1s"]


def test_time_without_an_offset_is_in_utc() -> None:
    assert parse_time("2018-08-28T23:00:00") == START


def test_windows_between_are_aligned_and_begin_in_the_span() -> None:
    found = list(windows_between(START - timedelta(minutes=30), END + timedelta(seconds=1), timedelta(hours=1)))
    assert [window.start for window in found] == [START, END]
