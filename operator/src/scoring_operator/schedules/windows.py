"""Schedules and their windows: from the time of a firing to the ScoringRun that it creates.

Windows of a length tile the time line from 1970-01-01T00:00:00Z on. A schedule has readings that are up to d late. So a
firing at the scheduled time t has the last window that ended at or before t - d. So each firing has one window,
whenever its pod starts and however often, and the name of the run depends on the window only.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from scoring_operator.api.formatting import format_time, parse_duration
from scoring_operator.api.scoringrun import GROUP, KIND, SCHEDULE_LABEL, VERSION, Window
from scoring_operator.errors import InvalidSettings

SCHEDULED_TIME_ANNOTATION = "batch.kubernetes.io/cronjob-scheduled-timestamp"
"""The annotation of a CronJob's Job with its scheduled time, with the offset of its time zone (KEP-4026)."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The start of the first window of every length."""

_MIN_LENGTH = timedelta(minutes=1)
_NAME_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]{0,31}[a-z0-9])?")  # a run's name adds 17 characters and has at most 50


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule, without the cron expression and the time zone, which are the CronJob's.

    Attributes:
        name: The name of the schedule.
        fleet: The fleet of its runs.
        window: The length of a window (ISO 8601).
        delay: The time by which readings may be late (ISO 8601).
        run: Further fields of `spec`.
    """

    name: str
    fleet: str
    window: str = "PT1H"
    delay: str = "PT0S"
    run: dict[str, Any] = {}


class _SchedulesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schedules: list[Schedule]


def last_complete_window(scheduled: datetime, *, length: timedelta, delay: timedelta) -> Window:
    """Return the last window that ended at or before the scheduled time minus the delay.

    Args:
        scheduled: The scheduled time of a firing, with a time zone.
        length: The length of a window.
        delay: The time by which readings may be late.
    """
    complete = (scheduled.astimezone(UTC) - delay - EPOCH) // length
    end = EPOCH + complete * length
    return Window(start=end - length, end=end)


def scheduled_time(job: Mapping[str, Any]) -> datetime:
    """Return the scheduled time of a CronJob's Job.

    A Job that a user created with `kubectl create job --from` has no annotation; its scheduled time is its creation.

    Raises:
        ValueError: The annotation is not a time with a time zone.
    """
    metadata = job["metadata"]
    text = (metadata.get("annotations") or {}).get(SCHEDULED_TIME_ANNOTATION) or metadata["creationTimestamp"]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} must be an RFC 3339 time") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} must have a time zone")
    return moment


def select_schedule(document: object, name: str) -> Schedule:
    """Return a valid schedule of the schedules file.

    Args:
        document: The decoded YAML, `{"schedules": [...]}`.
        name: The name of the schedule.

    Raises:
        InvalidSettings: The file or the schedule is invalid, or the file has no schedule of this name.
    """
    try:
        schedules = msgspec.convert(document, _SchedulesFile).schedules
    except msgspec.ValidationError as error:
        raise InvalidSettings(f"schedules file: {error}") from None
    found = [schedule for schedule in schedules if schedule.name == name]
    if len(found) != 1:
        known = ", ".join(sorted(schedule.name for schedule in schedules)) or "none"
        raise InvalidSettings(f"schedules file: {len(found)} schedules are named {name!r}; the file has: {known}")
    _validate(found[0])
    return found[0]


def _validate(schedule: Schedule) -> None:
    where = f"schedule {schedule.name!r}"
    if not _NAME_PATTERN.fullmatch(schedule.name):
        raise InvalidSettings(f"{where}: the name must be a DNS label of at most 33 characters")
    try:
        length = parse_duration(schedule.window)
        parse_duration(schedule.delay)
    except ValueError as error:
        raise InvalidSettings(f"{where}: {error}") from None
    if length < _MIN_LENGTH:
        raise InvalidSettings(f"{where}: window {schedule.window} is shorter than a minute")
    if taken := {"fleet", "window"} & schedule.run.keys():
        raise InvalidSettings(f"{where}: run.{min(taken)} is set by the schedule itself; remove it from run")


def build_run(schedule: Schedule, window: Window, *, namespace: str) -> dict[str, Any]:
    """Return the ScoringRun of a schedule for a window; the name depends on the schedule and the window only."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {
            "name": f"{schedule.name}-{window.run_suffix}",
            "namespace": namespace,
            "labels": {SCHEDULE_LABEL: schedule.name, "app.kubernetes.io/managed-by": "fleetscore"},
        },
        "spec": {
            **schedule.run,
            "fleet": schedule.fleet,
            "window": {"start": format_time(window.start), "end": format_time(window.end)},
        },
    }
