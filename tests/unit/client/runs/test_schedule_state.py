"""The state of a schedule from its CronJob, its runs and the release's file."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.contract.schedules import Schedule
from fleetscore.runs.cron_job import CronJob
from fleetscore.runs.gaps import ACTIVE, COMPLETE, FAILED, MISSING
from fleetscore.runs.schedule_state import ScheduleState, schedule_state

HOURLY = Schedule("hourly", "default")
NOW = datetime(2018, 8, 28, 10, 30, tzinfo=UTC)


def a_cron_job(**changes: Any) -> CronJob:
    cron_job = CronJob(
        name="release-hourly",
        schedule="hourly",
        expression="5 * * * *",
        zone="Etc/UTC",
        suspended=False,
        created=datetime(2018, 8, 28, 4, 10, tzinfo=UTC),
        last=datetime(2018, 8, 28, 10, 5, tzinfo=UTC),
    )
    return replace(cron_job, **changes)


def a_run(hour: int, condition: str = "") -> dict[str, Any]:
    times = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
    conditions = [{"type": condition, "status": "True"}] if condition else []
    return {
        "metadata": {"name": f"run-{hour}", "labels": {"fleetscore.dev/schedule": "hourly"}},
        "spec": {"window": times},
        "status": {"conditions": conditions},
    }


def state_of(known: Schedule | None = HOURLY, *runs: dict[str, Any], **changes: Any) -> ScheduleState:
    return schedule_state(a_cron_job(**changes), known, runs, NOW, max_windows=5)


def test_due_windows_without_a_complete_run_are_open() -> None:
    state = state_of(HOURLY, a_run(5, "Complete"), a_run(6, "Failed"), a_run(7))
    assert [one.state for one in state.windows] == [MISSING, COMPLETE, FAILED, ACTIVE, MISSING]
    assert [one.window.start.hour for one in state.open_windows] == [4, 6, 7, 8]


def test_next_firing_is_that_of_the_cron_job() -> None:
    state = state_of()
    assert state.next == NOW + timedelta(minutes=35)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"suspended": True}, ""), ({"expression": "0 0 30 2 *"}, ""), ({"expression": "5 * * *"}, "has 4 fields")],
    ids=["suspended", "never", "invalid"],
)
def test_schedule_without_a_next_firing_says_why(changes: dict[str, Any], problem: str) -> None:
    state = state_of(HOURLY, **changes)
    assert state.next is None
    assert problem in state.problem
    assert bool(problem) == bool(state.problem)


def test_schedule_that_the_release_does_not_know_has_no_windows() -> None:
    state = state_of(None)
    assert (list(state.windows), state.next) == ([], NOW + timedelta(minutes=35))
