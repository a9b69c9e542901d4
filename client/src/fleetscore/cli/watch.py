"""The live view of one run: a bar per outcome, the pace, the time left, and the cause that delays it."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleetscore.cli.output import print_lines, with_program
from fleetscore.runs.follow import Pace
from fleetscore.runs.state import (
    NOT_SEEN,
    OUTCOMES,
    canary,
    delay,
    describe,
    devices_done,
    devices_total,
    has_ended,
    progress_line,
    window_text,
)
from fleetscore.texts import printable

BAR_WIDTH = 30
_STYLES = {
    "scored": "green",
    "alreadyScored": "green",
    "partial": "yellow",
    "empty": "dim",
    "failed": "red",
    "notRun": "dim",
    "quarantined": "dim",
    "active": "blue",
    "pending": "dim",
}


def watch(runs: Iterable[dict[str, Any]], console: Console) -> dict[str, Any] | None:
    """Show a run until it ends, and then describe it.

    Args:
        runs: The states of the run, the last one at its end.
        console: The console of standard output.

    Returns:
        The last state of the run; None if there is none.
    """
    found = show_progress(runs, console)
    if found is not None:
        print_lines(describe(found), console)
    return found


def show_progress(runs: Iterable[dict[str, Any]], console: Console) -> dict[str, Any] | None:
    """Show a run until it ends; a terminal shows one live view, a pipe or a dumb terminal one line per change.

    Args:
        runs: The states of the run, the last one at its end.
        console: The console.

    Returns:
        The last state of the run; None if there is none.
    """
    pace, found, previous = Pace(), None, ""
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            for found in runs:
                pace.add(time.monotonic(), devices_done(found))
                live.update(live_view(found, pace), refresh=True)
    else:
        for found in runs:
            text = progress_line(found) + (f"; {cause}" if (cause := delay(found)) else "")
            if text != previous:
                console.print(text, markup=False)
            previous = text
    return found


def live_view(run: Mapping[str, Any], pace: Pace) -> Group:
    """Return the view of a run that has not ended; a width of 80 characters is enough."""
    status = run.get("status") or {}
    devices, total = status.get("devices") or {}, devices_total(run)
    head = f"{run['metadata']['name']}  {window_text(run)}  {status.get('phase', NOT_SEEN)}"
    bars = Table.grid(padding=(0, 2, 0, 0))
    for name in (*OUTCOMES, "active", "pending"):
        count = devices.get(name, 0)
        if count:
            bar = Text(bar_text(count, total), style=_STYLES[name])
            bars.add_row(Text(f"  {name}"), bar, Text(f"{count:,}", justify="right"))
    return Group(
        Text(printable(head), style="bold"),
        bars,
        *(Text(f"  {with_program(line)}") for line in progress_texts(run, pace)),
    )


def bar_text(count: int, total: int) -> str:
    """Return a bar that has a share of BAR_WIDTH characters; a count above zero has at least one."""
    length = max(1, min(BAR_WIDTH, round(BAR_WIDTH * count / max(total, 1))))
    return "━" * length + " " * (BAR_WIDTH - length)


def progress_texts(run: Mapping[str, Any], pace: Pace) -> Iterator[str]:
    """Yield the lines below the bars: devices done, pace and time left, the canary, and the cause of a delay."""
    total, done = devices_total(run), devices_done(run)
    if total:
        anomalies = ((run.get("status") or {}).get("results") or {}).get("anomalies", 0)
        yield f"{done:,} of {total:,} devices done, {anomalies:,} anomalies"
    left = pace.seconds_left(total)
    if left is not None and not has_ended(run):
        yield f"{pace.devices_per_second * 60:,.0f} devices a minute, about {duration_text(left)} left"
    if found := canary(run):
        yield found
    if cause := delay(run):
        yield f"waits: {cause}"


def duration_text(seconds: float) -> str:
    """Return seconds as a short text for people: 45 s, 12 min, 3 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
