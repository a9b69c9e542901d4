from datetime import UTC, datetime, timedelta, timezone

import pytest

from scoring_operator.api.formatting import format_duration, format_time, parse_duration, printable


def test_time_is_in_utc_and_whole_seconds() -> None:
    time = datetime(2026, 11, 24, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert format_time(time) == "2026-11-24T12:00:00Z"
    assert format_time(datetime(2026, 11, 24, tzinfo=UTC)) == "2026-11-24T00:00:00Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (59, "59s"), (60, "1m0s"), (125, "2m5s"), (3599, "59m59s"), (3600, "1h0m"), (3780, "1h3m")],
)
def test_duration_is_formatted_like_an_age(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT1H", 3600), ("PT15M", 900), ("P1D", 86400), ("P1DT1H1M1S", 90061), ("PT0S", 0), ("PT90M", 5400)],
)
def test_duration_of_days_hours_minutes_and_seconds_is_parsed(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "1H", "P1M", "P1Y", "P1W", "PT1.5H", "PT-1H", "PT1H ", "pt1h"])
def test_other_durations_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "limit", "result"),
    [
        ("a\nb\x1b[31m", 20, "a b [31m"),
        ("short", 5, "short"),
        ("s" * 20 + "the end", 20, "ss ... ssssssthe end"),
    ],
)
def test_printable_text_has_no_control_characters_and_keeps_both_ends(text: str, limit: int, result: str) -> None:
    assert printable(text, limit) == result
