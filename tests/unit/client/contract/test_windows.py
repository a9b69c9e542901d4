"""Parsing and formatting of windows."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from fleetscore.contract.windows import (
    Window,
    format_duration,
    parse_duration,
    parse_time,
    to_span,
    to_time,
    windows_between,
)
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
    "text",
    [
        *("", "yesterday", "2018-08-28T23:00Z/", "2018-08-28T23:00Z/0h", "2018-08-28T23:00:00.5Z"),
        *("9999-12-31T23:30Z", "2018-08-28T23:00Z/99999999h"),
    ],
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


@pytest.mark.parametrize("text", ["", "P", "1", "-1h", "1h1d", "P999999999999D", "9" * 5000 + "h"])
def test_invalid_duration_is_rejected(text: str) -> None:
    with pytest.raises(UsageInvalid, match=r"^duration '.{0,100}' is invalid: write a positive duration, such as"):
        parse_duration(text)


def test_durations_are_formatted_in_hours_minutes_and_seconds() -> None:
    seconds = (0, 59, 3600, 5400, 90061)
    assert [format_duration(timedelta(seconds=one)) for one in seconds] == ["0s", "59s", "1h", "1h30m", "25h1m1s"]


def test_time_without_an_offset_is_in_utc() -> None:
    assert parse_time("2018-08-28T23:00:00") == START


def test_windows_between_are_aligned_and_begin_in_the_span() -> None:
    found = list(windows_between(START - timedelta(minutes=30), END + timedelta(seconds=1), timedelta(hours=1)))
    assert [window.start for window in found] == [START, END]


PARIS = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    "time",
    [
        *(START, START.replace(tzinfo=None), START.astimezone(PARIS), "2018-08-28T23:00Z", "2018-08-29T01:00+02:00"),
        *("2018-08-28 23:00", "20180828T230000Z", pd.Timestamp("2018-08-28T23:00Z"), pd.Timestamp("2018-08-28T23:00")),
        pd.Timestamp("2018-08-29T01:00", tz="Europe/Paris"),
    ],
    ids=["utc", "naive", "offset", "text", "text-offset", "spaces", "basic", "pandas", "pandas-naive", "pandas-zone"],
)
def test_time_of_every_form_is_in_utc(time: datetime | str) -> None:
    assert to_time(time) == START
    assert to_time(time).tzinfo is UTC
    if isinstance(time, datetime):
        assert Window(time, END).slug == "20180828T230000Z_20180829T000000Z"


@pytest.mark.parametrize(
    "value",
    [
        *(None, 1, pd.NaT, pd.NA, np.datetime64("2018-08-28"), START.date(), "28.8.2018"),
        datetime.min.replace(tzinfo=PARIS),
    ],
    ids=["none", "number", "nat", "na", "numpy", "date", "german", "before-the-calendar"],
)
def test_value_that_is_not_a_time_is_rejected_with_the_form(value: object) -> None:
    with pytest.raises(UsageInvalid, match=r"is invalid: .*2018-08-28T23:00:00Z"):
        to_time(value)


def test_span_that_ends_before_it_starts_is_rejected_and_an_empty_one_is_not() -> None:
    with pytest.raises(UsageInvalid, match=r"its end 2018-08-28T23:00:00Z is before its start .*; swap them"):
        to_span(END, START)
    assert to_span("2018-08-28", "2018-08-28")[0].hour == 0


def test_window_with_a_fraction_of_a_second_or_before_the_calendar_is_rejected() -> None:
    with pytest.raises(UsageInvalid, match="whole seconds; remove the fraction"):
        Window(START.replace(microsecond=1), END)
    with pytest.raises(UsageInvalid, match="before the year 1; name a later window"):
        Window.parse("0001-01-01T00:00Z").previous(2)
