"""Time windows: parsing, and their forms in names of blobs and in texts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleetscore.errors import UsageInvalid

_DURATION_PATTERN = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_SHORT_DURATION_PATTERN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_SLUG_PATTERN = re.compile(r"(\d{8}T\d{6}Z)_(\d{8}T\d{6}Z)")
_SLUG_TIME = "%Y%m%dT%H%M%SZ"
DEFAULT_LENGTH = timedelta(hours=1)
Time = datetime | str
"""A time: a datetime or pandas Timestamp, or an ISO 8601 text; without a time zone it is in UTC."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The half-open interval [start, end) in UTC and whole seconds.

    Attributes:
        start: The first instant of the window; without a time zone it is in UTC.
        end: The first instant after the window; without a time zone it is in UTC.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Convert the times to UTC, and reject a window that ends before it starts."""
        for key, time in (("start", self.start), ("end", self.end)):
            if type(time) is not datetime or time.tzinfo is not UTC or time.microsecond:
                object.__setattr__(self, key, _whole_second(to_time(time), time))
        if self.end <= self.start:
            raise UsageInvalid(
                f"the window is invalid: its end {format_time(self.end)} is not after its start; swap them"
            )

    @property
    def length(self) -> timedelta:
        """The time from start to end."""
        return self.end - self.start

    @property
    def slug(self) -> str:
        """The window in names of blobs, such as 20180828T230000Z_20180829T000000Z."""
        return f"{self.start:{_SLUG_TIME}}_{self.end:{_SLUG_TIME}}"

    @property
    def column(self) -> str:
        """The window as start and length, as kubectl shows it: 2018-08-28T23:00Z/1h."""
        return f"{self.start:%Y-%m-%dT%H:%MZ}/{format_duration(self.length)}"

    def previous(self, count: int) -> "Window":
        """Return the window of the same length that starts `count` lengths earlier.

        Raises:
            UsageInvalid: It would begin before the year 1.
        """
        try:
            return Window(self.start - count * self.length, self.end - count * self.length)
        except OverflowError as error:
            text = f"{self.column} has no {count} windows before it: they would begin before the year 1"
            raise UsageInvalid(f"{text}; name a later window") from error

    @classmethod
    def from_slug(cls, text: str) -> "Window | None":
        """Return the window of a name in storage; None if it is not one."""
        try:
            return cls.parse(text) if _SLUG_PATTERN.fullmatch(text) else None
        except UsageInvalid:
            return None

    @classmethod
    def parse(cls, text: str, length: timedelta = DEFAULT_LENGTH) -> "Window":
        """Parse a window.

        Args:
            text: A start with the length of the fleet's windows (2018-08-28T23:00Z), a start and a length
                (2018-08-28T23:00Z/1h), a start and an end (ISO 8601 interval), or the form in blob names.
            length: The length of a window that is given by its start alone.

        Raises:
            UsageInvalid: The text has none of these forms.
        """
        if match := _SLUG_PATTERN.fullmatch(text):
            try:
                start, end = (datetime.strptime(part, _SLUG_TIME).replace(tzinfo=UTC) for part in match.groups())
            except ValueError as error:
                raise UsageInvalid(f"window {text} is invalid: it is not a time of the calendar; correct it") from error
            return cls(start, end)
        first, slash, second = text.partition("/")
        start = parse_time(first)
        if slash and "T" in second and not second.startswith("P"):
            return cls(start, parse_time(second))
        try:
            end = start + (parse_duration(second) if slash else length)
        except OverflowError as error:
            text = f"window {text[:100]!r} is invalid: it ends after the year 9999"
            raise UsageInvalid(f"{text}; name an earlier or shorter one") from error
        return cls(start, end)


def to_time(value: object) -> datetime:
    """Return a time in UTC.

    Args:
        value: A text as for `parse_time`, or a datetime or pandas Timestamp; without a time zone it is in UTC.

    Raises:
        UsageInvalid: The value is neither, or not a time.
    """
    if isinstance(value, str):
        return parse_time(value)
    try:
        if isinstance(value, datetime) and value == value:  # noqa: PLR0124  NaT of pandas is a datetime, too
            time = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
            return datetime.combine(time.date(), time.time(), UTC)
    except OverflowError:
        pass  # an offset at the end of the calendar
    raise UsageInvalid(f"time {str(value)[:100]!r} is invalid: use a datetime, or a text such as 2018-08-28T23:00:00Z")


def to_span(start: object, end: object) -> tuple[datetime, datetime]:
    """Return the times of a span [start, end) in UTC; see `to_time`.

    Raises:
        UsageInvalid: A time is invalid, or the end is before the start.
    """
    first, after = to_time(start), to_time(end)
    if after < first:
        text = f"the span is invalid: its end {format_time(after)} is before its start {format_time(first)}"
        raise UsageInvalid(f"{text}; swap them")
    return first, after


def _whole_second(time: datetime, value: object) -> datetime:
    if time.microsecond:
        raise UsageInvalid(f"time {value} is invalid: windows are in whole seconds; remove the fraction")
    return time


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 time on a whole second and return it in UTC; without an offset it is in UTC.

    Raises:
        UsageInvalid: The text is not such a time.
    """
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageInvalid(f"time {text!r} is invalid: write it as 2018-08-28T23:00:00Z") from error
    if time.microsecond:
        raise UsageInvalid(f"time {text!r} is invalid: windows are in whole seconds; remove the fraction")
    return time


def parse_duration(text: str) -> timedelta:
    """Parse a positive duration, such as PT1H, 1h, 15m, 1d or 1h30m.

    Raises:
        UsageInvalid: The text is not such a duration.
    """
    match = _DURATION_PATTERN.fullmatch(text) or _SHORT_DURATION_PATTERN.fullmatch(text)
    try:
        days, hours, minutes, seconds = (int(part or 0) for part in (match.groups() if match else (0, 0, 0, 0)))
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except (OverflowError, ValueError):  # ValueError: int() converts at most 4,300 digits
        duration = timedelta(0)
    if not duration:
        text = f"duration {text[:100]!r} is invalid"
        raise UsageInvalid(f"{text}: write a positive duration, such as 1h, 15m, 1d or PT1H")
    return duration


def format_time(time: datetime) -> str:
    """Return a time in UTC with a second's precision: 2018-08-28T23:00:00Z."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def format_duration(duration: timedelta) -> str:
    """Return a duration in hours, minutes and seconds: 1h30m."""
    hours, seconds = divmod(int(duration.total_seconds()), 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [f"{hours}h" * bool(hours), f"{minutes}m" * bool(minutes), f"{seconds}s" * bool(seconds)]
    return "".join(parts) or "0s"


def windows_between(start: datetime, end: datetime, length: timedelta) -> Iterator[Window]:
    """Yield the windows of a length that begin in [start, end), aligned to the Unix epoch, in order."""
    step = int(length.total_seconds())
    first = -(-int(start.timestamp()) // step) * step
    for at in range(first, int(end.timestamp()), step):
        begin = datetime.fromtimestamp(at, UTC)
        yield Window(begin, begin + length)
