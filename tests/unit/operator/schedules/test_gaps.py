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
OTHER = {"type": "Degraded", "status": "True", "reason": "DevicesFailed"}  # not a terminal condition
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


def test_window_is_classified_by_the_results_of_its_runs() -> None:
    runs = [a_listed_run(0), a_listed_run(1, "TooManyFailures"), a_listed_run(2, "")]
    found = classify_windows(HOURLY, [hour(n) for n in range(4)], runs)
    assert (found.complete, found.failed, found.active, found.missing) == ([hour(0)], [hour(1)], [hour(2)], [hour(3)])
    assert found.to_backfill(gaps_only=False) == [hour(1), hour(3)]
    assert found.to_backfill(gaps_only=True) == [hour(3)]


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        pytest.param(["Cancelled", "Complete", ""], "complete", id="complete"),
        pytest.param(["Cancelled", ""], "active", id="active"),
        pytest.param(["Cancelled", "Skipped"], "failed", id="failed"),
    ],
)
def test_complete_run_takes_precedence_over_an_active_one(ends: list[str], state: str) -> None:
    found = classify_windows(HOURLY, [hour(0)], [a_listed_run(0, end) for end in ends])
    assert getattr(found, state) == [hour(0)]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"fleet": "press-shop"}, id="fleet"),
        pytest.param({"devices": {"ids": ["press-1"]}}, id="devices"),
        pytest.param({"devices": {"retryOf": {"name": "hourly"}}}, id="a retry"),
        pytest.param({"tags": ["1"]}, id="tags"),
    ],
)
def test_run_over_other_devices_does_not_belong_to_a_window(other: dict[str, Any]) -> None:
    assert classify_windows(HOURLY, [hour(0)], [a_listed_run(0, **other)]).missing == [hour(0)]


def test_schedule_over_some_devices_matches_runs_over_the_same() -> None:
    some: dict[str, Any] = {"devices": {"include": ["press-*"]}, "tags": ["1"]}
    schedule = Schedule(name="hourly", fleet="default", run=some)
    assert classify_windows(schedule, [hour(0)], [a_listed_run(0, **some)]).complete == [hour(0)]
    assert classify_windows(schedule, [hour(0)], [a_listed_run(0)]).missing == [hour(0)]


def test_schedule_with_an_invalid_run_is_rejected_with_its_name() -> None:
    with pytest.raises(InvalidSettings, match=r"schedule 'hourly': run: .*devices"):
        classify_windows(Schedule(name="hourly", fleet="default", run={"devices": 5}), [hour(0)], [])


def test_run_with_an_invalid_spec_has_a_name_and_no_window() -> None:
    run = read_run(b'{"metadata": {"name": "odd"}, "spec": {"window": "yesterday"}}')
    assert run.name == "odd"
    assert classify_windows(HOURLY, [hour(0)], [run]).missing == [hour(0)]
    assert read_run(msgspec.json.encode(a_listed_run(3))) == a_listed_run(3)


def test_only_windows_entirely_in_the_range_are_returned() -> None:
    half = timedelta(minutes=30)
    assert windows_between(DAY - half, DAY + 2 * HOUR + half, HOUR) == [hour(0), hour(1)]
    assert windows_between(DAY, DAY + 2 * HOUR, HOUR) == [hour(0), hour(1)]


def test_windows_of_a_day_begin_at_midnight_utc() -> None:
    (window,) = windows_between(DAY - HOUR, DAY + timedelta(hours=25), timedelta(days=1))
    assert (format_time(window.start), format_time(window.end)) == ("2018-08-28T00:00:00Z", "2018-08-29T00:00:00Z")


@pytest.mark.parametrize(
    ("hours", "message"),
    [(0, "no complete window"), (-5, "no complete window"), (10_001, "10,001 windows are more than 10,000")],
)
def test_empty_and_too_long_ranges_are_rejected(hours: int, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        windows_between(DAY, DAY + hours * HOUR, HOUR)


def test_range_of_ten_thousand_windows_is_allowed() -> None:
    assert len(windows_between(DAY, DAY + 10_000 * HOUR, HOUR)) == 10_000


def test_backfill_run_has_the_schedules_name_and_its_own_label() -> None:
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
def test_name_of_a_backfill_run_is_free_and_valid(name: str, earlier: int) -> None:
    taken: set[str] = set()
    for _ in range(earlier + 1):
        run = build_backfill_run(Schedule(name=name, fleet="f"), hour(3), namespace="n", existing_names=taken)
        fresh = run["metadata"]["name"]
        assert fresh not in taken
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?", fresh)
        taken.add(fresh)
