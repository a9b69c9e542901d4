"""The state of a schedule: its last and next firing, and the windows without a complete run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleetscore.contract.schedules import Schedule
from fleetscore.runs import cron
from fleetscore.runs.cron_job import CronJob
from fleetscore.runs.gaps import COMPLETE, WindowState, due_windows, window_states
from fleetscore.texts import printable


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """A schedule at one time.

    Attributes:
        cron_job: Its CronJob.
        next: The time of the next firing in UTC; None if there is none.
        problem: The reason for which the next firing is unknown; empty without one.
        windows: The newest due windows, the oldest first; empty if the schedule is not in the release's file.
    """

    cron_job: CronJob
    next: datetime | None
    problem: str
    windows: Sequence[WindowState]

    @property
    def open_windows(self) -> list[WindowState]:
        """The due windows whose run is missing, active or failed."""
        return [one for one in self.windows if one.state != COMPLETE]


def schedule_state(
    cron_job: CronJob,
    schedule: Schedule | None,
    runs: Sequence[Mapping[str, Any]],
    now: datetime,
    *,
    max_windows: int,
) -> ScheduleState:
    """Return the next firing of a schedule, and its due windows with their runs.

    Args:
        cron_job: Its CronJob.
        schedule: The schedule of the release's file; None if it is unknown.
        runs: The runs of the namespace, as JSON.
        now: The current time.
        max_windows: The largest number of windows.
    """
    following, problem = None, ""
    try:
        following = None if cron_job.suspended else cron.next_firing(cron_job.expression, cron_job.zone, now)
    except ValueError as error:
        problem = printable(error)
    due = due_windows(schedule, created=cron_job.created, now=now, count=max_windows) if schedule else ()
    return ScheduleState(
        cron_job=cron_job,
        next=following,
        problem=problem,
        windows=window_states(due, runs, schedule) if schedule else (),
    )
