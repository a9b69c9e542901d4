"""Schedules as the chart's schedules file has them, their windows, and the runs that they create.

Windows of a length tile the time line from 1970-01-01T00:00:00Z on. A schedule has readings that are up to d late. So a
firing at the scheduled time t has the last window that ended at or before t - d.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fleetscore.contract.documents import parse_yaml, short_reason
from fleetscore.contract.windows import Window, format_time, parse_duration
from fleetscore.errors import DataInvalid, UsageInvalid

SCHEDULE_LABEL = "fleetscore.dev/schedule"
BACKFILL_LABEL = "fleetscore.dev/backfill"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULT_TTL = timedelta(days=7)
MAX_DURATION = timedelta(days=36_600)
"""Length, delay and time to live above which a schedule is invalid: the times of its windows would not exist."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule, without the cron expression and the time zone, which are the CronJob's.

    Attributes:
        name: The name of the schedule.
        fleet: The fleet of its runs.
        length: The length of a window.
        delay: The time by which readings may be late.
        run: Further fields of `spec` of its runs.
    """

    name: str
    fleet: str
    length: timedelta = timedelta(hours=1)
    delay: timedelta = timedelta(0)
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def time_to_live(self) -> timedelta:
        """The time after its end in which a run of the schedule still exists."""
        seconds = self.run.get("ttlSecondsAfterFinished")
        return DEFAULT_TTL if seconds is None else min(timedelta(seconds=seconds), MAX_DURATION)

    def last_window(self, time: datetime) -> Window:
        """Return the last window that ended at or before a time minus the delay."""
        end = EPOCH + (time - self.delay - EPOCH) // self.length * self.length
        return Window(end - self.length, end)

    def spec(self, window: Window) -> dict[str, Any]:
        """Return the spec of the schedule's run for a window."""
        times = {"start": format_time(window.start), "end": format_time(window.end)}
        return {**self.run, "fleet": self.fleet, "window": times}

    def run_name(self, window: Window) -> str:
        """Return the name of the schedule's run for a window."""
        return f"{self.name}-{window.start.astimezone(UTC):%Y%m%dt%H%M%Sz}"


def read_schedules(text: str) -> dict[str, Schedule]:
    """Return the schedules of the text of `schedules.yaml` by name; see parse_schedules."""
    return parse_schedules(parse_yaml(text, "the schedules file"))


def parse_schedules(document: object) -> dict[str, Schedule]:
    """Return the schedules of the chart's schedules file by name.

    Args:
        document: The decoded YAML of `schedules.yaml` in a ConfigMap of the release.

    Raises:
        DataInvalid: The document is not a schedules file.
    """
    try:
        return {one["name"]: _parse(one) for one in document["schedules"]}  # type: ignore[index]
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, UsageInvalid) as error:
        text = f"the schedules file is invalid ({short_reason(error)}); upgrade the client or the release"
        raise DataInvalid(text) from error


def _parse(entry: Mapping[str, Any]) -> Schedule:
    length, delay = entry.get("window", "PT1H"), entry.get("delay", "PT0S")
    found = Schedule(
        name=str(entry["name"]),
        fleet=str(entry["fleet"]),
        length=parse_duration(length),
        delay=timedelta(0) if delay == "PT0S" else parse_duration(delay),
        run=dict(entry.get("run") or {}),
    )
    if max(found.length, found.delay, found.time_to_live) > MAX_DURATION:
        raise ValueError(f"window or delay of {found.name!r} is longer than {MAX_DURATION.days:,} days")
    return found
