"""Texts of windows and times on the page. All times are in UTC."""

from datetime import datetime, timedelta

from device_scorer.window import Window


def window_label(window: Window) -> str:
    """Return the text of a window."""
    end = f"{window.end:%H:%M}" if window.end.date() == window.start.date() else f"{window.end:%Y-%m-%d %H:%M}"
    return f"{window.start:%Y-%m-%d %H:%M} to {end} UTC"


def axis_ends(window: Window) -> dict[str, str]:
    """Return the labels of the ends of a time axis."""
    return {"first": time_label(window.start, window), "last": time_label(window.end, window)}


def time_label(instant: datetime, window: Window) -> str:
    """Return the text of a time in a window, with its date if the window has a day or more."""
    return f"{instant:%m-%d %H:%M}" if window.end - window.start >= timedelta(days=1) else f"{instant:%H:%M}"
