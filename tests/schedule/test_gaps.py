import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scoring_operator.api.formatting import format_time
from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import InvalidSettings
from scoring_operator.schedules.gaps import ListedRun, build_backfill_run, classify_windows, read_run, windows_between
from scoring_operator.schedules.windows import Schedule

HOUR = timedelta(hours=1)
DAY = datetime(2018, 8, 28, tzinfo=UTC)
OTHER = {"type": "Degraded", "status": "True", "reason": "DevicesFailed"}  # says nothing of an end
HOURLY = Schedule(name="hourly", fleet="default")


def hour(start: int) -> Window:
    return Window(DAY + start * HOUR, DAY + (start + 1) * HOUR)


def a_listed_run(start: int, ended: str = "Complete", **spec: Any) -> ListedRun:
    """`ended` is Complete, the reason of Failed, or '' for a run that has not ended."""
    kind = "Complete" if ended == "Complete" else "Failed"
    window = hour(start)
    return msgspec.convert(
        {
            "metadata": {"name": f"run-{start}"},
            "spec": {"fleet": "default", "window": {"start": window.start, "end": window.end}, **spec},
            "status": {"conditions": [OTHER, *([{"type": kind, "status": "True", "reason": ended}] if ended else [])]},
        },
        ListedRun,
    )


def test_each_window_is_sorted_by_the_runs_that_stand_for_it() -> None:
    runs = [a_listed_run(0), a_listed_run(1, "TooManyFailures"), a_listed_run(2, "")]
    found = classify_windows(HOURLY, [hour(n) for n in range(4)], runs)
    assert (found.complete, found.failed, found.active, found.missing) == ([hour(0)], [hour(1)], [hour(2)], [hour(3)])
    assert found.to_backfill(gaps_only=False) == [hour(1), hour(3)]
    assert found.to_backfill(gaps_only=True) == [hour(3)]


@pytest.mark.parametrize(
    ("ends", "fate"),
    [
        pytest.param(["Cancelled", "Complete", ""], "complete", id="complete"),
        pytest.param(["Cancelled", ""], "active", id="active"),
        pytest.param(["Cancelled", "Skipped"], "failed", id="failed"),
    ],
)
def test_of_several_runs_of_a_window_a_complete_one_counts_before_one_under_way(ends: list[str], fate: str) -> None:
    found = classify_windows(HOURLY, [hour(0)], [a_listed_run(0, end) for end in ends])
    assert getattr(found, fate) == [hour(0)]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"fleet": "press-shop"}, id="fleet"),
        pytest.param({"devices": {"ids": ["press-1"]}}, id="devices"),
        pytest.param({"devices": {"retryOf": {"name": "hourly"}}}, id="a retry"),
        pytest.param({"tags": ["1"]}, id="tags"),
    ],
)
def test_a_run_of_something_else_does_not_stand_for_a_window(other: dict[str, Any]) -> None:
    assert classify_windows(HOURLY, [hour(0)], [a_listed_run(0, **other)]).missing == [hour(0)]


def test_a_schedule_over_some_devices_and_tags_is_matched_by_runs_over_the_same() -> None:
    some: dict[str, Any] = {"devices": {"include": ["press-*"]}, "tags": ["1"]}
    schedule = Schedule(name="hourly", fleet="default", run=some)
    assert classify_windows(schedule, [hour(0)], [a_listed_run(0, **some)]).complete == [hour(0)]
    assert classify_windows(schedule, [hour(0)], [a_listed_run(0)]).missing == [hour(0)]


def test_a_schedule_whose_run_is_no_spec_is_refused_by_name() -> None:
    with pytest.raises(InvalidSettings, match=r"schedule 'hourly': run: .*devices"):
        classify_windows(Schedule(name="hourly", fleet="default", run={"devices": 5}), [hour(0)], [])


def test_a_run_that_cannot_be_read_stands_for_no_window_but_its_name_is_taken() -> None:
    run = read_run(b'{"metadata": {"name": "odd"}, "spec": {"window": "yesterday"}}')
    assert run.name == "odd"
    assert classify_windows(HOURLY, [hour(0)], [run]).missing == [hour(0)]
    assert read_run(msgspec.json.encode(a_listed_run(3))) == a_listed_run(3)


def test_only_windows_that_lie_wholly_in_between_are_given() -> None:
    half = timedelta(minutes=30)
    assert windows_between(DAY - half, DAY + 2 * HOUR + half, HOUR) == [hour(0), hour(1)]
    assert windows_between(DAY, DAY + 2 * HOUR, HOUR) == [hour(0), hour(1)]


def test_windows_of_a_day_begin_at_midnight_utc() -> None:
    (window,) = windows_between(DAY - HOUR, DAY + timedelta(hours=25), timedelta(days=1))
    assert (format_time(window.start), format_time(window.end)) == ("2018-08-28T00:00:00Z", "2018-08-29T00:00:00Z")


@pytest.mark.parametrize(
    ("hours", "message"), [(0, "no whole window"), (-5, "no whole window"), (10_001, "10,001 windows are more than")]
)
def test_none_and_too_many_windows_are_refused(hours: int, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        windows_between(DAY, DAY + hours * HOUR, HOUR)


def test_a_backfilled_run_has_the_name_that_the_schedules_own_would_have_and_a_label_of_its_own() -> None:
    run = build_backfill_run(
        Schedule(name="hourly", fleet="f", run={"parallelism": 7}), hour(3), namespace="n", existing_names=()
    )
    assert run["metadata"] == {
        "name": "hourly-20180828t030000z",
        "namespace": "n",
        "labels": {"fleetscore.dev/backfill": "hourly", "app.kubernetes.io/managed-by": "fleetscore"},
    }
    assert (run["spec"]["fleet"], run["spec"]["parallelism"]) == ("f", 7)


@given(name=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,31}[a-z0-9])?", fullmatch=True), earlier=st.integers(0, 12))
@example(name="s" * 33, earlier=12)
@example(name="s" * 28 + "----s", earlier=1)
def test_whatever_was_there_before_the_name_is_free_and_a_runs_name(name: str, earlier: int) -> None:
    taken: set[str] = set()
    for _ in range(earlier + 1):
        run = build_backfill_run(Schedule(name=name, fleet="f"), hour(3), namespace="n", existing_names=taken)
        fresh = run["metadata"]["name"]
        assert fresh not in taken
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?", fresh)
        taken.add(fresh)
