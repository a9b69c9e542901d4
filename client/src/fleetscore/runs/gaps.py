"""Windows of a schedule without a complete run.

For `backfill` a run must have the fleet, devices and tags of the schedule, as for the operator's `backfill`. For the
health of a schedule its own runs count too, also those from before a change of the schedule.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fleetscore.contract.schedules import BACKFILL_LABEL, EPOCH, SCHEDULE_LABEL, Schedule
from fleetscore.contract.windows import Window, format_duration, format_time
from fleetscore.errors import UsageInvalid
from fleetscore.runs.state import has_ended, is_complete

MAX_WINDOWS = 10_000
MAX_NAME_CHARS = 50
COMPLETE, ACTIVE, FAILED, MISSING = "complete", "active", "failed", "missing"


@dataclass(frozen=True, slots=True)
class WindowState:
    """A window, the best state of its runs, and the name of a run with that state; empty without one."""

    window: Window
    state: str
    run: str = ""


def windows_in(start: datetime, end: datetime, schedule: Schedule) -> list[Window]:
    """Return the windows of a schedule that are entirely in [start, end), the oldest first.

    Raises:
        UsageInvalid: The range ends before it starts, has no window, or more than 10,000.
    """
    if end < start:
        raise UsageInvalid(f"--from {format_time(start)} is after --to {format_time(end)}; swap them")
    length = schedule.length
    first, last = -((EPOCH - start) // length), (end - EPOCH) // length
    if last <= first:
        text = f"{format_time(start)} to {format_time(end)} has no complete window of {format_duration(length)}"
        raise UsageInvalid(f"{text}; choose a longer range")
    if last - first > MAX_WINDOWS:
        raise UsageInvalid(
            f"the range is invalid: it has {last - first:,} windows of at most {MAX_WINDOWS:,}; shorten it"
        )
    return [Window(EPOCH + at * length, EPOCH + (at + 1) * length) for at in range(first, last)]


def covers(run: Mapping[str, Any], schedule: Schedule) -> bool:
    """Return True if a run has the fleet, the devices and the tags of a schedule's own runs."""
    spec = run["spec"]
    same = all((spec.get(key) or None) == (schedule.run.get(key) or None) for key in ("devices", "tags"))
    return same and spec.get("fleet", "default") == schedule.fleet


def belongs(run: Mapping[str, Any], schedule: Schedule) -> bool:
    """Return True if a run covers its window for a schedule, or was created for it."""
    labels = run["metadata"].get("labels") or {}
    labelled = bool(schedule.name) and schedule.name in (labels.get(SCHEDULE_LABEL), labels.get(BACKFILL_LABEL))
    return labelled or covers(run, schedule)


def window_states(
    windows: Iterable[Window],
    runs: Iterable[Mapping[str, Any]],
    schedule: Schedule,
    *,
    matches: Callable[[Mapping[str, Any], Schedule], bool] = belongs,
) -> list[WindowState]:
    """Return the state of each window; one complete run completes a window.

    Args:
        windows: The windows.
        runs: The runs of the namespace, as JSON.
        schedule: The schedule that the windows belong to.
        matches: The function that selects the runs: `belongs` or `covers`.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for run in runs:
        if matches(run, schedule):
            state = COMPLETE if is_complete(run) else FAILED if has_ended(run) else ACTIVE
            of_window = found.setdefault(_key(run["spec"]["window"]), {})
            of_window.setdefault(state, run["metadata"]["name"])
    states = []
    for window in windows:
        names = found.get((format_time(window.start), format_time(window.end)), {})
        state = next((one for one in (COMPLETE, ACTIVE, FAILED) if one in names), MISSING)
        states.append(WindowState(window, state, names.get(state, "")))
    return states


def began(schedule: Schedule, created: datetime, runs: Iterable[Mapping[str, Any]]) -> datetime:
    """Return the time since which a schedule exists: its CronJob, or the window of its oldest run, is older.

    Args:
        schedule: The schedule.
        created: The time at which its CronJob was created, perhaps again.
        runs: The runs of the namespace, as JSON.
    """
    own = (run for run in runs if (run["metadata"].get("labels") or {}).get(SCHEDULE_LABEL) == schedule.name)
    ends = (_window(run["spec"]["window"]).end + schedule.delay for run in own)
    return min([created, *(end - timedelta(seconds=1) for end in ends)])


def due_windows(schedule: Schedule, *, created: datetime, now: datetime, count: int) -> Sequence[Window]:
    """Return the newest windows for which a run must exist by now, the oldest first.

    A firing has the length of one window to create its run. A window whose run may be deleted already is not due, and a
    window that was over before the schedule existed is not due either.

    Args:
        schedule: The schedule.
        created: The time at which the schedule was created.
        now: The current time.
        count: The largest number of windows.
    """
    newest = schedule.last_window(now - schedule.length)
    oldest = now - schedule.time_to_live
    windows = (newest.previous(back) for back in range(count))
    due = [one for one in windows if one.end + schedule.delay > created and one.end > oldest]
    return due[::-1]


def run_name(schedule: Schedule, window: Window, existing: Collection[str]) -> str:
    """Return the name of the run that fills a gap: the schedule's own, with the first free number if it is taken."""
    own = schedule.run_name(window)
    name, attempt = own, 1
    while name in existing:
        attempt += 1
        tail = f"{own[len(schedule.name) :]}-{attempt}"
        name = f"{schedule.name[: MAX_NAME_CHARS - len(tail)].rstrip('-')}{tail}"
    return name


def _window(window: Mapping[str, str]) -> Window:
    return Window.parse(f"{window['start']}/{window['end']}")


def _key(window: Mapping[str, str]) -> tuple[str, str]:
    found = _window(window)
    return format_time(found.start), format_time(found.end)
