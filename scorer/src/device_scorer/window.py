"""Windows, instants and durations: whole seconds, UTC, half-open intervals."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from device_scorer.errors import UsageInvalid

MAX_PARTITIONS = 366 * 24 * 60
"""Partitions of a window above which it is rejected. A run's window has at most 366 days; these are its minutes."""

FIRST_START = datetime(1971, 1, 1, tzinfo=UTC)
"""Start before which a window is rejected: a week of the history must not begin before the Unix epoch."""

LAST_END = datetime(9000, 1, 1, tzinfo=UTC)
"""End after which a window is rejected: the windows after it must be in the calendar, too."""

MAX_LENGTH = timedelta(days=36_600)
"""Length above which a window is rejected: the window of the same length before it must be in the calendar."""

_DURATION_PATTERN = re.compile(r"P(?:(\d{1,12})D)?(?:T(?:(\d{1,12})H)?(?:(\d{1,12})M)?(?:(\d{1,12})S)?)?")


def format_time(instant: datetime) -> str:
    """Return an instant in UTC as RFC 3339 has it: 2018-08-28T23:00:00Z."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class _Bounds(NamedTuple):
    start: datetime
    end: datetime


class Window(_Bounds):
    """The half-open interval [start, end).

    Attributes:
        start: The first instant of the window, in UTC and on a whole second.
        end: The first instant after the window, in UTC and on a whole second.
    """

    __slots__ = ()

    def __new__(cls, start: datetime, end: datetime) -> Self:
        """Reject a window that does not contain a second."""
        if end <= start:
            raise UsageInvalid(
                f"the window is invalid: its end {end:%FT%TZ} is not after its start {start:%FT%TZ}; swap them"
            )
        return super().__new__(cls, start, end)

    @property
    def slug(self) -> str:
        """The window in blob names, such as 20180828T230000Z_20180829T000000Z."""
        return f"{self.start:%Y%m%dT%H%M%SZ}_{self.end:%Y%m%dT%H%M%SZ}"

    @property
    def interval(self) -> str:
        """The window in metadata and texts: an ISO 8601 interval, such as 2018-08-28T23:00:00Z/2018-08-29T00:00:00Z."""
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ}/{self.end:%Y-%m-%dT%H:%M:%SZ}"

    def is_divided_by(self, length: timedelta) -> bool:
        """Return True if the window consists of whole partitions, which are aligned to the Unix epoch."""
        step = int(length.total_seconds())
        return int(self.start.timestamp()) % step == 0 == int(self.end.timestamp()) % step

    def partitions(self, length: timedelta) -> list[datetime]:
        """Return the starts (UTC) of all partitions that overlap the window, in order.

        Args:
            length: The length of a partition. Partitions are aligned to the Unix epoch.

        Raises:
            UsageInvalid: There are more than MAX_PARTITIONS, or the window is out of range.
        """
        self.check_partitions(length)
        step = int(length.total_seconds())
        first = int(self.start.timestamp()) // step * step
        return [datetime.fromtimestamp(at, UTC) for at in range(first, int(self.end.timestamp()), step)]

    def check_partitions(self, length: timedelta) -> None:
        """Raise UsageInvalid if the window has more than MAX_PARTITIONS or is out of range; see `partitions`."""
        count = -(-(self.end - self.start) // length)
        if count > MAX_PARTITIONS:
            text = f"the window {self.interval} is invalid: it has {count:,} partitions of readings"
            raise UsageInvalid(f"{text}, more than {MAX_PARTITIONS:,}; name a shorter one")
        if self.start < FIRST_START or self.end > LAST_END or self.end - self.start > MAX_LENGTH:
            bounds = f"from {format_time(FIRST_START)} to {format_time(LAST_END)}, and have at most {MAX_LENGTH.days:,}"
            raise UsageInvalid(f"the window {self.interval} is invalid: windows are {bounds} days; name another one")


def parse_instant(text: str) -> datetime:
    """Parse an ISO 8601 instant on a whole second and return it in UTC.

    Args:
        text: The instant, such as 2018-08-28T23:00:00Z. An instant without an offset is in UTC.

    Raises:
        UsageInvalid: The text is not such an instant.
    """
    try:
        instant = datetime.fromisoformat(text)
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageInvalid(
            f"time {text!r} is invalid: it must be ISO 8601; write it as 2018-08-28T23:00:00Z"
        ) from error
    if instant.microsecond:
        raise UsageInvalid(f"time {text!r} is invalid: windows are in whole seconds; remove the fraction")
    return instant


def parse_duration(text: str) -> timedelta:
    """Parse an ISO 8601 duration in days, hours, minutes and seconds.

    Args:
        text: The duration, such as PT1H.

    Raises:
        UsageInvalid: The text is not such a duration, or the duration is zero or out of range.
    """
    match = _DURATION_PATTERN.fullmatch(text)
    days, hours, minutes, seconds = (int(part or 0) for part in (match.groups() if match else (0, 0, 0, 0)))
    try:
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        duration = timedelta(0)
    if not duration:
        raise UsageInvalid(
            f"duration {text[:100]!r} is invalid: write a positive ISO 8601 duration, such as PT1H, PT15M or P1D"
        )
    return duration
