"""Schedules and their windows: from a firing's time to the ScoringRun it asks for. Pure: no clock, no I/O.

The window of a firing: windows of a length L tile the time line, counted from 1970-01-01T00:00:00Z. A firing scheduled
for s, with readings that may be late by d, means the last window that has ended by s - d. So each firing of a schedule,
whenever its pod gets to run and however often, means one window, and the run's name says which.
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
"""Annotation that the CronJob controller puts on a Job: when it should have started, with its time zone's offset."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where windows are counted from."""

_MIN_LENGTH = timedelta(minutes=1)
_NAME_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]{0,31}[a-z0-9])?")  # with "-20180828t230000z" a run's name of 50 at most


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `create-run` knows of a schedule; cron and time zone are the CronJob's."""

    name: str
    fleet: str
    window: str = "PT1H"
    delay: str = "PT0S"
    run: dict[str, Any] = {}


class _SchedulesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schedules: list[Schedule]


def last_complete_window(scheduled: datetime, *, length: timedelta, delay: timedelta) -> Window:
    """Give the last window that has ended when readings as old as `moment - delay` are in.

    Args:
        moment: A firing's scheduled time, with a zone.
        length: Length of a window; windows are counted from 1970-01-01T00:00:00Z.
        delay: How late readings may be.
    """
    complete = (scheduled.astimezone(UTC) - delay - EPOCH) // length
    end = EPOCH + complete * length
    return Window(start=end - length, end=end)


def scheduled_time(job: Mapping[str, Any]) -> datetime:
    """Give the time that a CronJob's Job was meant for.

    A Job made by hand (`kubectl create job --from`) has no annotation: then it is the time of its creation.

    Raises:
        ValueError: The annotation is no time with a zone.
    """
    metadata = job["metadata"]
    text = (metadata.get("annotations") or {}).get(SCHEDULED_TIME_ANNOTATION) or metadata["creationTimestamp"]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment


def select_schedule(document: object, name: str) -> Schedule:
    """Pick a schedule out of the schedules file and check it.

    Args:
        document: The parsed file.
        name: The schedule's name.

    Raises:
        SettingsInvalid: The file is none, or holds no schedule of that name, or one that cannot be used.
    """
    try:
        schedules = msgspec.convert(document, _SchedulesFile).schedules
    except msgspec.ValidationError as error:
        raise InvalidSettings(f"schedules file: {error}") from None
    found = [schedule for schedule in schedules if schedule.name == name]
    if len(found) != 1:
        known = ", ".join(sorted(schedule.name for schedule in schedules)) or "none"
        raise InvalidSettings(f"schedules file: {len(found)} schedules are named {name!r}; it has: {known}")
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
    """Build the ScoringRun that a schedule asks for; the same name for the same window, always."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {
            "name": f"{schedule.name}-{window.start:%Y%m%dt%H%M%Sz}",
            "namespace": namespace,
            "labels": {SCHEDULE_LABEL: schedule.name, "app.kubernetes.io/managed-by": "fleetscore"},
        },
        "spec": {
            **schedule.run,
            "fleet": schedule.fleet,
            "window": {"start": format_time(window.start), "end": format_time(window.end)},
        },
    }
