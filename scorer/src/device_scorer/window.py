"""Windows and durations: whole seconds, UTC, half-open. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from device_scorer.errors import UsageInvalid

_DURATION_PATTERN = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open interval [start, end), both in UTC and on whole seconds."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse a window that holds no second."""
        if self.end <= self.start:
            raise UsageInvalid(f"the window ends ({self.end:%FT%TZ}) before it begins ({self.start:%FT%TZ}): swap them")

    @property
    def slug(self) -> str:
        """The window as it stands in blob names: 20180828T230000Z_20180829T000000Z."""
        return f"{self.start:%Y%m%dT%H%M%SZ}_{self.end:%Y%m%dT%H%M%SZ}"

    @property
    def interval(self) -> str:
        """The window as people and metadata have it: 2018-08-28T23:00:00Z/2018-08-29T00:00:00Z."""
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ}/{self.end:%Y-%m-%dT%H:%M:%SZ}"

    def partitions(self, length: timedelta) -> list[datetime]:
        """Starts of all partitions of `length`, counted from the epoch, that overlap the window."""
        step = int(length.total_seconds())
        first = int(self.start.timestamp()) // step * step
        return [datetime.fromtimestamp(at, UTC) for at in range(first, int(self.end.timestamp()), step)]


def parse_instant(text: str) -> datetime:
    """Read an instant such as 2018-08-28T23:00:00Z; no zone means UTC. Raises UsageInvalid."""
    try:
        instant = datetime.fromisoformat(text)
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageInvalid(f"{text!r} is no instant: write it as 2018-08-28T23:00:00Z") from error
    if instant.microsecond:
        raise UsageInvalid(f"{text!r} has a fraction of a second: windows are in whole seconds")
    return instant


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration in days, hours, minutes, seconds, such as PT1H. Raises UsageInvalid."""
    match = _DURATION_PATTERN.fullmatch(text)
    days, hours, minutes, seconds = (int(part or 0) for part in (match.groups() if match else (0, 0, 0, 0)))
    try:
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        duration = timedelta(0)
    if not duration:
        raise UsageInvalid(f"{text!r} is no duration: write it as PT1H, PT15M or P1D")
    return duration
