"""How times, durations and windows are written. Pure."""

from datetime import UTC, datetime, timedelta

from scoring_operator.scoringrun import Window


def time_text(time: datetime) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration_text(duration: timedelta) -> str:
    """A duration as kubectl writes ages: 45s, 12m5s, 1h3m."""
    seconds = max(int(duration.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60}m"


def window_text(window: Window) -> str:
    """A window for the column: its start and its length."""
    hours, seconds = divmod(int(window.length.total_seconds()), 3600)
    minutes, rest = divmod(seconds, 60)
    parts = [f"{hours}h" * bool(hours), f"{minutes}m" * bool(minutes), f"{rest}s" * bool(rest)]
    return f"{window.start.astimezone(UTC):%Y-%m-%dT%H:%MZ}/{''.join(parts)}"
