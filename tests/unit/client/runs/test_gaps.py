"""Windows of a schedule without a complete run."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.contract.schedules import Schedule
from fleetscore.contract.windows import Window
from fleetscore.errors import UsageInvalid
from fleetscore.runs.gaps import WindowState, began, covers, due_windows, run_name, window_states, windows_in

HOURLY = Schedule("hourly", "default", run={"devices": {"include": ["press-*"]}})
START = datetime(2018, 8, 28, tzinfo=UTC)


def window(hour: int) -> Window:
    return Window(START + timedelta(hours=hour), START + timedelta(hours=hour + 1))


def a_run(name: str, hour: int, condition: str = "", *, labels: dict[str, str] | None = None, **spec: Any) -> Any:
    times = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
    conditions = [{"type": condition, "status": "True"}] if condition else []
    own = {"window": times, "devices": HOURLY.run["devices"]}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {**own, **spec},
        "status": {"conditions": conditions},
    }


def test_window_has_the_best_state_of_its_runs() -> None:
    runs = [
        a_run("failed", 0, "Failed"),
        a_run("complete", 0, "Complete"),
        a_run("active", 1),
        a_run("again", 1, "Failed"),
        a_run("lost", 2, "Failed"),
        a_run("other-fleet", 3, "Complete", fleet="other"),
        a_run("one-device", 3, "Complete", devices={"ids": ["press-1"]}),
        a_run("some-tags", 3, "Complete", tags=["1"]),
        a_run("renamed", 4, "Complete", devices={}, labels={"fleetscore.dev/schedule": "hourly"}),
    ]
    assert window_states([window(hour) for hour in range(5)], runs, HOURLY) == [
        WindowState(window(0), "complete", "complete"),
        WindowState(window(1), "active", "active"),
        WindowState(window(2), "failed", "lost"),
        WindowState(window(3), "missing"),
        WindowState(window(4), "complete", "renamed"),
    ]


def test_run_of_a_changed_schedule_belongs_to_it_but_does_not_cover_its_window() -> None:
    labels = {"fleetscore.dev/schedule": "hourly"}
    run = a_run("own", 0, "Complete", devices={"ids": ["press-1"]}, labels=labels)
    assert window_states([window(0)], [run], HOURLY)[0].state == "complete"
    assert window_states([window(0)], [run], HOURLY, matches=covers)[0].state == "missing"


def test_run_without_fields_belongs_to_a_schedule_without_fields() -> None:
    run = a_run("manual", 0, "Complete", devices=None)
    assert window_states([window(0)], [run], Schedule("hourly", "default"))[0].state == "complete"


def test_windows_of_a_range_are_entirely_in_it() -> None:
    found = windows_in(START + timedelta(minutes=10), START + timedelta(hours=3, minutes=50), HOURLY)
    assert found == [window(1), window(2)]


@pytest.mark.parametrize(
    ("end", "text"),
    [(START + timedelta(minutes=59), "no complete window"), (START + timedelta(days=500), "12,000 windows of at most")],
    ids=["short", "long"],
)
def test_range_without_windows_or_with_too_many_is_rejected(end: datetime, text: str) -> None:
    with pytest.raises(UsageInvalid, match=text):
        windows_in(START, end, HOURLY)


def test_due_windows_are_those_that_a_firing_had_time_for() -> None:
    now = START + timedelta(hours=12, minutes=30)
    assert due_windows(HOURLY, created=START, now=now, count=3) == [window(8), window(9), window(10)]
    assert due_windows(HOURLY, created=START + timedelta(hours=10, minutes=30), now=now, count=9) == [window(10)]
    assert due_windows(HOURLY, created=now, now=now, count=9) == []


def test_schedule_exists_since_its_oldest_run() -> None:
    created = START + timedelta(hours=20)
    own = {"fleetscore.dev/schedule": "hourly"}
    runs = [a_run("b", 9, labels=own), a_run("a", 8, labels=own), a_run("by-hand", 2)]
    since = began(HOURLY, created, runs)
    assert began(HOURLY, created, []) == created
    now = START + timedelta(hours=12, minutes=30)
    assert due_windows(HOURLY, created=since, now=now, count=9) == [window(8), window(9), window(10)]


def test_windows_whose_run_may_be_deleted_are_not_due() -> None:
    short = Schedule("hourly", "default", run={"ttlSecondsAfterFinished": 3 * 3600})
    now = START + timedelta(hours=12, minutes=30)
    assert due_windows(short, created=START, now=now, count=9) == [window(9), window(10)]


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("hourly", (), "hourly-20180828t000000z"),
        ("hourly", ("hourly-20180828t000000z", "hourly-20180828t000000z-2"), "hourly-20180828t000000z-3"),
        ("h" * 33, (f"{'h' * 33}-20180828t000000z",), f"{'h' * 31}-20180828t000000z-2"),
    ],
    ids=["free", "taken", "long"],
)
def test_name_of_a_run_is_the_first_free_one(name: str, taken: tuple[str, ...], expected: str) -> None:
    found = run_name(Schedule(name, "default"), window(0), taken)
    assert found == expected
    assert len(found) <= 50
