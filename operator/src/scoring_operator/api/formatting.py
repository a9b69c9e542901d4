"""How times, durations and windows are written. Pure."""

import re
from datetime import UTC, datetime, timedelta

from scoring_operator.api.scoringrun import Window


def format_time(time: datetime) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_duration(duration: timedelta) -> str:
    """A duration as kubectl writes ages: 45s, 12m5s, 1h3m."""
    seconds = max(int(duration.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60}m"


def format_window(window: Window) -> str:
    """A window for the column: its start and its length."""
    hours, seconds = divmod(int(window.length.total_seconds()), 3600)
    minutes, rest = divmod(seconds, 60)
    parts = [f"{hours}h" * bool(hours), f"{minutes}m" * bool(minutes), f"{rest}s" * bool(rest)]
    return f"{window.start.astimezone(UTC):%Y-%m-%dT%H:%MZ}/{''.join(parts)}"


_DURATION_PATTERN = re.compile(
    r"P(?=[0-9T])(?:(?P<days>\d{1,4})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,5})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,7})S)?)?"
)


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration of days, hours, minutes and seconds, such as "P1D" or "PT1H30M".

    Months and years have no fixed length and are refused, weeks are written as days.

    Raises:
        ValueError: The text is none.
    """
    match = _DURATION_PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration of days, hours, minutes and seconds, such as PT1H or P1D")
    return timedelta(**{unit: int(number) for unit, number in match.groupdict(default="0").items()})
