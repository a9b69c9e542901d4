"""Commands that read the reports of windows: anomalies, sensors, incidents and failed devices."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from fleetscore.cli.output import Table, columns
from fleetscore.cli.session import LENGTH_FORMS, RESULTS, Session, WindowOption, examples, with_session
from fleetscore.contract import blob_paths
from fleetscore.contract.windows import parse_duration
from fleetscore.errors import NotFound, UsageInvalid
from fleetscore.fleet import Fleet

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="LENGTH",
        help=f"All windows that began in the last {LENGTH_FORMS}; by default only one window.",
    ),
]

app = typer.Typer()

_FIRST_INSTANT = datetime(1000, 1, 1, tzinfo=UTC)
"""The start of all windows: their names have a year of four digits."""


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore incidents -o wide"))
@with_session
def incidents(session: Session, *, window: WindowOption = None, since: SinceOption = None) -> None:
    """List the incidents: device, cause, since when, tags and owner."""
    shown = ("Window+", "Device", "Cause", "State", "Since", "Windows#", "Tags", "Owner", "Muted", "Until+", "Id+")
    hint = (
        "an incident opens in the fleet's `openAfter`-th bad window; `fleetscore anomalies` lists anomalies before that"
    )
    _print(session, blob_paths.INCIDENTS_FILE, shown, "incidents", window, since, hint)


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore sensors --since 24h -o json"))
@with_session
def sensors(session: Session, *, window: WindowOption = None, since: SinceOption = None) -> None:
    """List the sensors with a flag: silent, sparse, stale, stuck, implausible or jumpy."""
    shown = ("Window+", "Device", "Tag", "Flag", "Since", "Rows#", "Detail")
    _print(session, blob_paths.SENSORS_FILE, shown, "flagged sensors", window, since)


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore anomalies --window 2018-08-28T23:00Z"))
@with_session
def anomalies(session: Session, *, window: WindowOption = None, since: SinceOption = None) -> None:
    """List the devices and tags with anomalies, with the number of rows and the worst value."""
    shown = ("Window+", "Device", "Tag", "Rows#", "Anomalies#", "First", "Last+", "WorstTS+", "WorstVal", "WorstScore+")
    _print(session, blob_paths.ANOMALIES_FILE, shown, "anomalies", window, since)


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore failed --since 24h"))
@with_session
def failed(session: Session, *, window: WindowOption = None, since: SinceOption = None) -> None:
    """List the devices without complete predictions, with the reason."""
    shown = ("Window+", "Device", "Outcome", "Reason", "Message")
    hint = "" if window or since else "--since 24h lists those of older windows, too"
    _print(session, blob_paths.FAILURES_FILE, shown, "failed devices", window, since, hint)


def _print(
    session: Session,
    file: str,
    shown: tuple[str, ...],
    what: str,
    window: str | None,
    since: str | None,
    next_step: str = "",
) -> None:
    fleet = session.open_fleet()
    start, end = _span(fleet, window, since)
    frame = fleet.report_tables(start, end, file)
    if "Window" in frame:
        frame["Window"] = [f"{one:%Y-%m-%dT%H:%MZ}" for one in frame["Window"]]
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    span = f"{start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
    empty = f"no {what} from {span}" + (f"; {next_step}" if next_step else "")
    if not rows and not fleet.windows_between(start, end):
        text = f"no window from {span} has a report, which is written at the end of a run"
        if since is None:
            raise NotFound(f"{text}; name another --window")
        empty = f"{text}; ask for a longer --since"
    session.print(Table(list(columns(*shown)), rows, "Device", empty))  # type: ignore[arg-type]


def _span(fleet: Fleet, window: str | None, since: str | None) -> tuple[datetime, datetime]:
    """Return the first instant, and the first instant after the windows that a command lists."""
    if window is not None and since is not None:
        raise UsageInvalid("--window and --since contradict each other; omit one of them")
    if window is not None:
        found = fleet.to_window(window)
        return found.start, found.end
    if since is not None:
        now, length = datetime.now(UTC), parse_duration(since)
        return (now - length if length < now - _FIRST_INSTANT else _FIRST_INSTANT), now
    newest = fleet.newest_window()
    return newest.start, newest.end
