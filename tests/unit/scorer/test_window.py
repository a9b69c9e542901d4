"""Tests of windows, instants and durations."""

from datetime import UTC, datetime, timedelta

import pytest

from device_scorer.errors import UsageInvalid
from device_scorer.window import (
    FIRST_START,
    LAST_END,
    MAX_LENGTH,
    MAX_PARTITIONS,
    Window,
    parse_duration,
    parse_instant,
)
from tests.testkit.scorer_fleet import START, WINDOW

START_OF_YEAR = datetime(2018, 1, 1, tzinfo=UTC)


def test_window_has_a_slug_for_names_and_an_interval_for_metadata() -> None:
    assert WINDOW.slug == "20180828T230000Z_20180829T000000Z"
    assert WINDOW.interval == "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z"


@pytest.mark.parametrize("seconds", [0, -1])
def test_window_without_a_second_is_rejected(seconds: int) -> None:
    with pytest.raises(UsageInvalid, match="swap them"):
        Window(WINDOW.start, WINDOW.start + timedelta(seconds=seconds))


def test_partitions_are_aligned_to_the_epoch_and_overlap_the_window() -> None:
    window = Window(WINDOW.start + timedelta(minutes=50), WINDOW.end + timedelta(seconds=1))
    assert window.partitions(timedelta(minutes=30)) == [WINDOW.start + timedelta(minutes=30), WINDOW.end]


@pytest.mark.parametrize(
    ("window", "length", "divided"),
    [("23:00/24:00", 60, True), ("23:00/24:00", 15, True), ("23:00/23:15", 60, False), ("22:30/24:00", 60, False)],
)
def test_window_of_whole_partitions_is_divided_by_their_length(window: str, length: int, divided: bool) -> None:  # noqa: FBT001  a table
    hours = [timedelta(hours=int(text[:2]), minutes=int(text[3:])) for text in window.split("/")]
    start, end = (datetime(2018, 8, 28, tzinfo=UTC) + one for one in hours)
    assert Window(start, end).is_divided_by(timedelta(minutes=length)) is divided


def test_window_of_too_many_partitions_is_rejected_before_they_are_made() -> None:
    window = Window(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
    with pytest.raises(UsageInvalid, match="87,649,392 partitions of readings, more than 527,040; name a shorter one"):
        window.partitions(timedelta(hours=1))
    year = Window(START_OF_YEAR, START_OF_YEAR + timedelta(days=366))
    assert len(year.partitions(timedelta(minutes=1))) == MAX_PARTITIONS == 527_040


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, 1, tzinfo=UTC)),
        (FIRST_START - timedelta(seconds=1), FIRST_START),
        (datetime(9999, 12, 31, 22, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)),
        (LAST_END, LAST_END + timedelta(seconds=1)),
        (FIRST_START, FIRST_START + MAX_LENGTH + timedelta(seconds=1)),
    ],
)
def test_window_out_of_range_is_rejected_with_the_bounds(start: datetime, end: datetime) -> None:
    text = "windows are from 1971-01-01T00:00:00Z to 9000-01-01T00:00:00Z, and have at most 36,600 days; name another"
    with pytest.raises(UsageInvalid, match=text):
        Window(start, end).check_partitions(timedelta(days=1))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (START, datetime(2018, 8, 28, 23, tzinfo=UTC)),
        ("2018-08-29T01:00:00+02:00", datetime(2018, 8, 28, 23, tzinfo=UTC)),
        ("2018-08-28T23:00:00", datetime(2018, 8, 28, 23, tzinfo=UTC)),
    ],
)
def test_instant_is_returned_in_utc(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize("text", ["", "today", "2018-08-28T23:00:00.5Z", "2018-08-28T99:00:00Z"])
def test_malformed_instant_is_rejected(text: str) -> None:
    with pytest.raises(UsageInvalid, match=f"time '{text}' is invalid"):
        parse_instant(text)


@pytest.mark.parametrize(("text", "seconds"), [("PT1H", 3600), ("PT15M", 900), ("P1D", 86400), ("P1DT1H1M1S", 90061)])
def test_duration_is_the_sum_of_its_parts(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "1h", "PT0S", "P1W", "-PT1H", "P99999999999D"])
def test_malformed_duration_is_rejected(text: str) -> None:
    with pytest.raises(UsageInvalid, match=f"duration '{text}' is invalid"):
        parse_duration(text)


def test_duration_of_thousands_of_digits_is_rejected_in_a_short_message() -> None:
    with pytest.raises(UsageInvalid, match="is invalid: write a positive") as raised:
        parse_duration(f"PT{'9' * 5000}H")
    assert len(str(raised.value)) < 300
