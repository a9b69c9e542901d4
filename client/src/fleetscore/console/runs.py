"""The content of the pages Run and Schedules, from objects of the cluster."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fleetscore.cluster import release
from fleetscore.console.live import MAX_MESSAGE_CHARS, figures, listed_runs
from fleetscore.console.reader import Reader
from fleetscore.contract.schedules import SCHEDULE_LABEL, Schedule
from fleetscore.contract.windows import Window, format_time
from fleetscore.errors import AccessDenied
from fleetscore.runs.cron_job import read_cron_job
from fleetscore.runs.schedule_state import ScheduleState, schedule_state
from fleetscore.runs.state import has_ended
from fleetscore.texts import printable

MAX_WINDOWS = 48


def run_rows(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the table of runs, those that have not ended first.

    Args:
        runs: The runs as JSON, the newest window first.
    """
    return [{**figures(run), "window": window_of(run).column} for run in listed_runs(runs)]


def window_of(run: Mapping[str, Any]) -> Window:
    """Return the window of a run."""
    window = run["spec"]["window"]
    return Window.parse(f"{window['start']}/{window['end']}")


def run_context(reader: Reader, name: str) -> dict[str, Any]:
    """Return the values of the page Run.

    Args:
        reader: The data of the console.
        name: The name of the run.
    """
    run = reader.run(name)
    status = run.get("status") or {}
    jobs, jobs_problem = _allowed(lambda: reader.jobs(name))
    events, events_problem = _allowed(lambda: reader.events(name))
    reasons = (status.get("failureReasons") or {}).items()
    return {
        "run": figures(run),
        "window": window_of(run),
        "duration": printable(status.get("duration")),
        "conditions": [_texts(one, "type", "status", "reason", "message") for one in status.get("conditions") or []],
        "reasons": sorted(((printable(key), count) for key, count in reasons), key=lambda one: (-one[1], one[0])),
        "failures": [_failure_row(one) for one in status.get("failures") or []],
        "jobs": [_job_row(job) for job in jobs],
        "jobs_problem": jobs_problem,
        "events": [_texts(one, "lastTimestamp", "type", "reason", "message") for one in events],
        "events_problem": events_problem,
        "has_report": has_ended(run),
    }


def schedules_context(reader: Reader, now: datetime) -> dict[str, Any]:
    """Return the values of the page Schedules.

    Args:
        reader: The data of the console.
        now: The current time.
    """
    cluster = reader.cluster
    if cluster is None:
        return {"schedules": [], "namespace": ""}
    settings = release.read_schedules(cluster)
    runs = list(cluster.runs())
    rows = []
    jobs = release.list_objects(cluster, release.CRON_JOBS, cluster.namespace, selector=SCHEDULE_LABEL)
    for job in map(read_cron_job, jobs):
        schedule = settings.get(job.schedule)
        if schedule is not None and schedule.fleet != reader.fleet.layout.name:
            continue
        state = schedule_state(job, schedule, runs, now, max_windows=MAX_WINDOWS)
        following = schedule.last_window(now).previous(-1) if schedule else None
        rows.append(
            {
                "name": job.schedule,
                "cron": job.times,
                "zone": job.zone,
                "suspended": job.suspended,
                "last": format_time(job.last) if job.last else "never",
                "firing": _firing(state, schedule),
                "next": following.column if following else "",
                "due": format_time(following.end + schedule.delay) if following and schedule else "",
                "windows": state.windows[::-1],
            }
        )
    return {"schedules": rows, "namespace": cluster.namespace}


def _firing(state: ScheduleState, schedule: Schedule | None) -> str:
    """Return the time of the next firing in UTC and the window that it scores, or the reason for having none."""
    if state.problem:
        return f"unknown: {state.problem}"
    if state.next is None:
        return "none while suspended" if state.cron_job.suspended else "none within five years"
    return format_time(state.next) + (f", for window {schedule.last_window(state.next).column}" if schedule else "")


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def _allowed(read: Callable[[], list[dict[str, Any]]]) -> tuple[list[dict[str, Any]], str]:
    """Return what a function reads, and the reason if the user may not read it."""
    try:
        return read(), ""
    except AccessDenied as error:
        return [], str(error)


def _job_row(job: Mapping[str, Any]) -> dict[str, str]:
    status = job.get("status") or {}
    ends = [one["type"] for one in status.get("conditions") or [] if one.get("status") == "True"]
    state = "Suspended" if (job.get("spec") or {}).get("suspend") else "Active" if status.get("active") else "Waiting"
    return {
        "name": printable(job["metadata"]["name"]),
        "state": printable(ends[-1] if ends else state),
        "started": printable(status.get("startTime")),
        "ended": printable(status.get("completionTime")),
    }


def _failure_row(failure: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of a failure; the id stays as it is, because it is the address of the device's page."""
    return {"device": str(failure.get("device") or ""), **_texts(failure, "reason", "message")}


def _texts(found: Mapping[str, Any], *keys: str) -> dict[str, str]:
    return {key: printable(found.get(key), max_chars=MAX_MESSAGE_CHARS) for key in keys}
