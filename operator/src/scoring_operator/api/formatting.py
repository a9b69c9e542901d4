"""Text forms of times and durations."""

import re
from datetime import UTC, datetime, timedelta

_DURATION_PATTERN = re.compile(
    r"P(?=[0-9T])(?:(?P<days>\d{1,4})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,5})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,7})S)?)?"
)


def printable(text: str, limit: int) -> str:
    """Return an untrusted text without control characters; a longer one loses its middle.

    Args:
        text: The text.
        limit: The largest number of characters of the result.
    """
    if len(text) > limit:
        tail = limit * 2 // 3
        text = f"{text[: limit - tail - 5]} ... {text[-tail:]}"
    return "".join(c if c.isprintable() else " " for c in text).strip()


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: 1 device, 2 devices."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_time(time: datetime) -> str:
    """Return a time as `metav1.Time` has it: RFC 3339, UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_duration(duration: timedelta) -> str:
    """Return a duration as kubectl shows ages: 45s, 12m5s, 1h3m; a negative one is 0s."""
    seconds = max(int(duration.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60}m"


def parse_duration(text: str) -> timedelta:
    """Parse an ISO 8601 duration of days, hours, minutes and seconds, such as "P1D" or "PT1H30M".

    Months and years are rejected because their length varies. Weeks are rejected; they can be written as days.

    Raises:
        ValueError: The text is not such a duration.
    """
    match = _DURATION_PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} must be a duration of days, hours, minutes and seconds, such as PT1H or P1D")
    return timedelta(**{unit: int(number) for unit, number in match.groupdict(default="0").items()})
