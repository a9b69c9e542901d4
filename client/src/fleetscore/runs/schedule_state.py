"""The state of a schedule: its last and next firing, and the windows without a complete run. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleetscore.contract.schedules import SCHEDULE_LABEL, Schedule
from fleetscore.runs import cron
from fleetscore.runs.gaps import COMPLETE, WindowState, due_windows, window_states
from fleetscore.runs.state import printable


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """A schedule at one time.

    Attributes:
        name: The name of the schedule.
        cron_job: The name of its CronJob.
        times: The cron expression.
        zone: The IANA name of the time zone.
        suspended: True if no firing creates a run.
        last: The time of the last firing, as the API server has it; empty before the first.
        next: The time of the next firing in UTC; None if there is none.
        problem: The reason for which the next firing is unknown; empty without one.
        windows: The newest due windows, the oldest first; empty if the schedule is not in the release's file.
    """

    name: str
    cron_job: str
    times: str
    zone: str
    suspended: bool
    last: str
    next: datetime | None
    problem: str
    windows: Sequence[WindowState]

    @property
    def open_windows(self) -> list[WindowState]:
        """The due windows whose run is missing, active or failed."""
        return [one for one in self.windows if one.state != COMPLETE]


def schedule_state(
    cron_job: Mapping[str, Any],
    schedule: Schedule | None,
    runs: Sequence[Mapping[str, Any]],
    now: datetime,
    *,
    max_windows: int,
) -> ScheduleState:
    """Return the state of a schedule.

    Args:
        cron_job: Its CronJob, as JSON.
        schedule: The schedule of the release's file; None if it is unknown.
        runs: The runs of the namespace, as JSON.
        now: The current time.
        max_windows: The largest number of windows.
    """
    metadata, spec = cron_job["metadata"], cron_job["spec"]
    times, zone = str(spec.get("schedule", "")), str(spec.get("timeZone") or "UTC")
    suspended, following, problem = bool(spec.get("suspend")), None, ""
    try:
        following = None if suspended else cron.next_firing(times, zone, now)
    except ValueError as error:
        problem = printable(error)
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    due = due_windows(schedule, created=created, now=now, count=max_windows) if schedule else ()
    return ScheduleState(
        name=str(metadata["labels"][SCHEDULE_LABEL]),
        cron_job=str(metadata["name"]),
        times=printable(times),
        zone=printable(zone),
        suspended=suspended,
        last=printable((cron_job.get("status") or {}).get("lastScheduleTime")),
        next=following,
        problem=problem,
        windows=window_states(due, runs, schedule) if schedule else (),
    )
