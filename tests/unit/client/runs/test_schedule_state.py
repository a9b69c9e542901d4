"""The state of a schedule from its CronJob, its runs and the release's file."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.contract.schedules import Schedule
from fleetscore.runs.gaps import ACTIVE, COMPLETE, FAILED, MISSING
from fleetscore.runs.schedule_state import ScheduleState, schedule_state

HOURLY = Schedule("hourly", "default")
NOW = datetime(2018, 8, 28, 10, 30, tzinfo=UTC)


def a_cron_job(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "release-hourly",
            "labels": {"fleetscore.dev/schedule": "hourly"},
            "creationTimestamp": "2018-08-28T04:10:00Z",
        },
        "spec": {"schedule": "5 * * * *", "timeZone": "Etc/UTC", **spec},
        "status": {"lastScheduleTime": "2018-08-28T10:05:00Z"},
    }


def a_run(hour: int, condition: str = "") -> dict[str, Any]:
    times = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
    conditions = [{"type": condition, "status": "True"}] if condition else []
    return {
        "metadata": {"name": f"run-{hour}", "labels": {"fleetscore.dev/schedule": "hourly"}},
        "spec": {"window": times},
        "status": {"conditions": conditions},
    }


def state_of(known: Schedule | None = HOURLY, *runs: dict[str, Any], **spec: Any) -> ScheduleState:
    return schedule_state(a_cron_job(**spec), known, runs, NOW, max_windows=5)


def test_due_windows_without_a_complete_run_are_open() -> None:
    state = state_of(HOURLY, a_run(5, "Complete"), a_run(6, "Failed"), a_run(7))
    assert [one.state for one in state.windows] == [MISSING, COMPLETE, FAILED, ACTIVE, MISSING]
    assert [one.window.start.hour for one in state.open_windows] == [4, 6, 7, 8]


def test_next_firing_and_last_firing_are_those_of_the_cron_job() -> None:
    state = state_of()
    assert (state.name, state.cron_job, state.last) == ("hourly", "release-hourly", "2018-08-28T10:05:00Z")
    assert state.next == NOW + timedelta(minutes=35)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [({"suspend": True}, ""), ({"schedule": "0 0 30 2 *"}, ""), ({"schedule": "5 * * *"}, "has 4 fields")],
    ids=["suspended", "never", "invalid"],
)
def test_schedule_without_a_next_firing_says_why(spec: dict[str, Any], problem: str) -> None:
    state = state_of(HOURLY, **spec)
    assert state.next is None
    assert state.suspended == ("suspend" in spec)
    assert problem in state.problem
    assert bool(problem) == bool(state.problem)


def test_schedule_that_the_release_does_not_know_has_no_windows() -> None:
    state = state_of(None)
    assert (list(state.windows), state.next) == ([], NOW + timedelta(minutes=35))
