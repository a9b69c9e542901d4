from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.formatting import format_time, parse_duration
from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import InvalidSettings
from scoring_operator.schedules.windows import (
    Schedule,
    build_run,
    last_complete_window,
    scheduled_time,
    select_schedule,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def a_window(time: str, length: str = "PT1H", delay: str = "PT0S") -> str:
    window = last_complete_window(at(time), length=parse_duration(length), delay=parse_duration(delay))
    return f"{format_time(window.start)}/{format_time(window.end)}"


def a_job(annotation: str | None = None, created: str = "2026-11-24T01:02:03Z") -> dict[str, Any]:
    annotations = {"batch.kubernetes.io/cronjob-scheduled-timestamp": annotation} if annotation else None
    return {"metadata": {"creationTimestamp": created, "annotations": annotations}}


@pytest.mark.parametrize(
    ("time", "length", "delay", "window"),
    [
        pytest.param(
            "2018-08-29T00:05:00Z",
            "PT1H",
            "PT0S",
            "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z",
            id="the hour just ended",
        ),
        pytest.param(
            "2018-08-29T00:00:00Z", "PT1H", "PT0S", "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z", id="fired on the hour"
        ),
        pytest.param(
            "2018-08-29T00:05:00Z", "PT1H", "PT5M", "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z", id="delay just over"
        ),
        pytest.param(
            "2018-08-29T00:05:00Z", "PT1H", "PT5M1S", "2018-08-28T22:00:00Z/2018-08-28T23:00:00Z", id="delay not over"
        ),
        pytest.param(
            "2018-08-29T00:05:00Z", "PT1H", "P1D", "2018-08-27T23:00:00Z/2018-08-28T00:00:00Z", id="a day late"
        ),
        pytest.param(
            "2018-08-29T02:05:00+02:00",
            "PT1H",
            "PT0S",
            "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z",
            id="offset of a zone",
        ),
        pytest.param(
            "2018-08-29T05:35:00+05:30",
            "PT1H",
            "PT0S",
            "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z",
            id="half-hour zone",
        ),
        pytest.param(
            "2018-08-29T00:16:00Z",
            "PT15M",
            "PT0S",
            "2018-08-29T00:00:00Z/2018-08-29T00:15:00Z",
            id="quarter of an hour",
        ),
        pytest.param(
            "2018-08-29T01:00:00+02:00",
            "P1D",
            "PT0S",
            "2018-08-27T00:00:00Z/2018-08-28T00:00:00Z",
            id="UTC day, not the zone's",
        ),
        pytest.param(
            "2018-08-29T00:00:00Z", "P7D", "PT0S", "2018-08-16T00:00:00Z/2018-08-23T00:00:00Z", id="Thursdays"
        ),
    ],
)
def test_window_is_the_last_one_that_ended_before_the_time_minus_the_delay(
    time: str, length: str, delay: str, window: str
) -> None:
    assert a_window(time, length, delay) == window


def test_hour_that_a_time_zone_repeats_has_two_windows() -> None:
    summer, winter = "2026-10-25T02:05:00+02:00", "2026-10-25T02:05:00+01:00"
    assert a_window(summer) == "2026-10-24T23:00:00Z/2026-10-25T00:00:00Z"
    assert a_window(winter) == "2026-10-25T00:00:00Z/2026-10-25T01:00:00Z"


@given(
    time=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()),  # noqa: DTZ001  # the zone comes with `timezones`
    length=st.integers(60, 7 * 86400).map(lambda s: timedelta(seconds=s)),
    delay=st.integers(0, 86400).map(lambda s: timedelta(seconds=s)),
)
def test_windows_tile_the_time_line_from_the_epoch(time: datetime, length: timedelta, delay: timedelta) -> None:
    window = last_complete_window(time, length=length, delay=delay)
    assert window.end - window.start == length
    assert (window.start - EPOCH) % length == timedelta(0)
    assert window.end <= time.astimezone(UTC) - delay < window.end + length


def test_scheduled_time_is_the_annotation_with_its_offset() -> None:
    job = a_job(annotation="2026-11-24T02:00:00+01:00")
    assert scheduled_time(job) == at("2026-11-24T01:00:00Z")


def test_scheduled_time_of_a_manual_job_is_its_creation() -> None:
    assert scheduled_time(a_job()) == at("2026-11-24T01:02:03Z")


@pytest.mark.parametrize("text", ["yesterday", "2026-11-24T02:00:00"])
def test_annotation_that_is_not_a_time_with_a_zone_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        scheduled_time(a_job(annotation=text))


def test_run_has_the_name_of_its_window_and_the_settings_of_its_schedule() -> None:
    schedule = Schedule(name="hourly", fleet="default", run={"parallelism": 7, "tags": ["1"]})
    window = Window(start=at("2018-08-28T23:00:00Z"), end=at("2018-08-29T00:00:00Z"))
    assert build_run(schedule, window, namespace="scoring") == {
        "apiVersion": "fleetscore.dev/v1alpha1",
        "kind": "ScoringRun",
        "metadata": {
            "name": "hourly-20180828t230000z",
            "namespace": "scoring",
            "labels": {"fleetscore.dev/schedule": "hourly", "app.kubernetes.io/managed-by": "fleetscore"},
        },
        "spec": {
            "fleet": "default",
            "window": {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"},
            "parallelism": 7,
            "tags": ["1"],
        },
    }


def test_longest_schedule_name_yields_a_run_name_of_50_characters() -> None:
    document = {"schedules": [{"name": "s" * 33, "fleet": "default"}]}
    schedule = select_schedule(document, "s" * 33)
    run = build_run(schedule, Window(start=at("2018-08-28T23:00:00Z"), end=at("2018-08-29T00:00:00Z")), namespace="x")
    assert len(run["metadata"]["name"]) == 50


def test_defaults_of_a_schedule_are_an_hour_without_delay() -> None:
    schedule = select_schedule({"schedules": [{"name": "hourly", "fleet": "default"}]}, "hourly")
    assert (schedule.window, schedule.delay, schedule.run) == ("PT1H", "PT0S", {})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param(
            {"name": "other", "fleet": "f"}, "0 schedules are named 'hourly'; the file has: other", id="unknown"
        ),
        pytest.param({"name": "hourly"}, "missing required field `fleet`", id="no fleet"),
        pytest.param({"name": "hourly", "fleet": "f", "windw": "PT1H"}, "unknown field `windw`", id="misspelt key"),
        pytest.param({"name": "hourly", "fleet": "f", "window": "1h"}, "'1h' must be a duration", id="bad window"),
        pytest.param({"name": "hourly", "fleet": "f", "window": "PT59S"}, "shorter than a minute", id="short window"),
        pytest.param({"name": "hourly", "fleet": "f", "delay": "5m"}, "'5m' must be a duration", id="bad delay"),
        pytest.param({"name": "hourly", "fleet": "f", "run": {"fleet": "g"}}, "run.fleet is set by", id="fleet twice"),
        pytest.param(
            {"name": "hourly", "fleet": "f", "run": {"window": {}}}, "run.window is set by", id="window twice"
        ),
    ],
)
def test_invalid_schedule_is_rejected_with_its_problem(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        select_schedule({"schedules": [entry]}, "hourly")


@pytest.mark.parametrize("name", ["Hourly", "s" * 34, "-x", "a.b"])
def test_schedule_name_has_at_most_33_characters_of_a_dns_label(name: str) -> None:
    with pytest.raises(InvalidSettings, match="at most 33"):
        select_schedule({"schedules": [{"name": name, "fleet": "f"}]}, name)


@pytest.mark.parametrize("document", [None, [], {"schedules": 3}, {"schedules": None}, "text"])
def test_malformed_schedules_file_is_rejected(document: object) -> None:
    with pytest.raises(InvalidSettings, match="schedules file"):
        select_schedule(document, "hourly")


def test_window_of_a_minute_is_allowed() -> None:
    document = {"schedules": [{"name": "minutely", "fleet": "f", "window": "PT1M"}]}
    assert select_schedule(document, "minutely").window == "PT1M"
