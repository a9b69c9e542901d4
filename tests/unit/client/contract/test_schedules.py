"""Schedules of the chart's schedules file."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetscore.contract.schedules import DEFAULT_TTL, Schedule, parse_schedules
from fleetscore.contract.windows import Window
from fleetscore.errors import DataInvalid

SCHEDULE = Schedule("hourly", "plant", delay=timedelta(minutes=5), run={"parallelism": 3})


def test_file_is_parsed_with_its_defaults() -> None:
    run = {"ttlSecondsAfterFinished": 60, "writePolicy": "IfChanged"}
    entries = [
        {"name": "hourly", "fleet": "plant", "window": "PT1H", "delay": "PT0S", "run": {}},
        {"name": "daily", "fleet": "plant", "window": "P1D", "delay": "PT2H", "run": run},
    ]
    found = parse_schedules({"schedules": entries})
    assert found["hourly"] == Schedule("hourly", "plant")
    assert found["daily"] == Schedule("daily", "plant", timedelta(days=1), timedelta(hours=2), run)
    assert (found["hourly"].time_to_live, found["daily"].time_to_live) == (DEFAULT_TTL, timedelta(minutes=1))


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], {}, {"schedules": [{"name": "x"}]}, {"schedules": [3]}),
        {"schedules": [{"name": "x", "fleet": "y", "delay": "PT9999999H"}]},
        {"schedules": [{"name": "x", "fleet": "y", "run": {"ttlSecondsAfterFinished": 10**20}}]},
    ],
    ids=["none", "list", "empty", "no-fleet", "number", "delay", "time-to-live"],
)  # fmt: skip
def test_invalid_file_is_an_error_with_the_next_step(document: object) -> None:
    with pytest.raises(DataInvalid, match=r"schedules file is invalid .*; upgrade"):
        parse_schedules(document)


@pytest.mark.parametrize(
    ("minute", "start"), [(4, 10), (5, 11), (59, 11)], ids=["before-the-delay", "at-the-delay", "after"]
)
def test_last_window_ended_before_the_delay(minute: int, start: int) -> None:
    found = SCHEDULE.last_window(datetime(2026, 1, 5, 12, minute, tzinfo=UTC))
    assert found.start == datetime(2026, 1, 5, start, tzinfo=UTC)
    assert found.length == timedelta(hours=1)


def test_run_of_a_window_has_the_fields_of_the_schedule() -> None:
    window = Window.parse("2018-08-28T23:00Z")
    assert SCHEDULE.run_name(window) == "hourly-20180828t230000z"
    times = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
    assert SCHEDULE.spec(window) == {"parallelism": 3, "fleet": "plant", "window": times}
