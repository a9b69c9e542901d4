"""Commands that read the reports of windows: anomalies, sensors, incidents and failed devices."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import typer

from fleetscore.cli.output import Column, Format, Table, columns, console, printable
from fleetscore.cli.session import LENGTH_FORMS, RESULTS, Session, WindowOption, examples, with_session
from fleetscore.contract import blob_paths
from fleetscore.contract.windows import Window, format_duration, parse_duration
from fleetscore.errors import NotFound, UsageInvalid
from fleetscore.fleet import Fleet
from fleetscore.texts import device_command

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="LENGTH",
        help=f"All windows that began in the last {LENGTH_FORMS}; by default only one window.",
    ),
]

COMMANDS = {
    blob_paths.INCIDENTS_FILE: "incidents",
    blob_paths.SENSORS_FILE: "sensors",
    blob_paths.ANOMALIES_FILE: "anomalies",
    blob_paths.FAILURES_FILE: "failed",
}
"""The command that lists the rows of a file of the report."""

MESSAGES = {"missing": "it has no predictions in this window", "notRun": "it was not run in this window"}
"""The message of an outcome for which the report has none."""

MAX_NAMED = 5
"""Devices without readings that are named."""

_DAY = timedelta(days=1)

app = typer.Typer()

_FIRST_INSTANT = datetime(1000, 1, 1, tzinfo=UTC)
"""The start of all windows: their names have a year of four digits."""


class _Reports(NamedTuple):
    """The windows with a report that begin in [start, end), or the selected one if `listed_since` is False."""

    fleet: Fleet
    windows: list[Window]
    start: datetime
    end: datetime
    listed_since: bool


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore incidents -o wide"))
@with_session
def incidents(session: Session, *, window: WindowOption = None, since: SinceOption = None) -> None:
    """List the incidents: device, cause, since when, tags and owner."""
    shown = ("Device", "Cause", "State", "Since", "Windows#", "Tags", "Owner", "Muted", "Until+", "Id+")
    hint = (
        "an incident opens in the fleet's `openAfter`-th bad window; `fleetscore anomalies` lists anomalies before that"
    )
    _print(session, _open_reports(session, window, since), blob_paths.INCIDENTS_FILE, shown, "incidents", hint)


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore sensors --since 24h -o json"))
@with_session
def sensors(session: Session, *, window: WindowOption = None, since: SinceOption = None) -> None:
    """List the sensors with a flag: silent, sparse, stale, stuck, implausible or jumpy."""
    shown = ("Device", "Tag", "Flag", "Since", "Rows#", "Detail")
    _print(session, _open_reports(session, window, since), blob_paths.SENSORS_FILE, shown, "flagged sensors")


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore anomalies --window 2018-08-28T23:00Z"))
@with_session
def anomalies(session: Session, *, window: WindowOption = None, since: SinceOption = None) -> None:
    """List the devices and tags with anomalies, with the number of rows and the worst value."""
    shown = ("Device", "Tag", "Rows#", "Anomalies#", "First", "Last+", "WorstTS+", "WorstVal", "WorstScore+")
    _print(session, _open_reports(session, window, since), blob_paths.ANOMALIES_FILE, shown, "anomalies")


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore failed --since 24h"))
@with_session
def failed(session: Session, *, window: WindowOption = None, since: SinceOption = None) -> None:
    """List the devices without complete predictions, with the reason."""
    shown = ("Device", "Outcome", "Reason", "Message")
    reports = _open_reports(session, window, since)
    hint = ""
    if window is None and since is None:
        length = _length_since(reports.start - max(_DAY, reports.end - reports.start))
        hint = f"`fleetscore failed --since {length}` lists those of older windows, too"
    _print(session, reports, blob_paths.FAILURES_FILE, shown, "failed devices", hint)
    if session.output in (Format.TABLE, Format.WIDE):
        table = reports.fleet.window_tables(reports.windows, blob_paths.EMPTY_FILE)
        devices = sorted(set(table["Device"]))
        if devices:
            console(error=True).print(_without_readings(devices, "this window" if since is None else "a window"))


def _without_readings(devices: list[str], when: str) -> str:
    named = ", ".join(map(printable, devices[:MAX_NAMED]))
    more = f" and {len(devices) - MAX_NAMED:,} more" if len(devices) > MAX_NAMED else ""
    text = f"{len(devices):,} device{'s' * (len(devices) != 1)} had no readings in {when}: {named}{more}"
    return f"{text}; check the ingestion of the readings, {device_command('device', devices[0])} shows one"


def _print(
    session: Session, reports: _Reports, file: str, shown: tuple[str, ...], what: str, next_step: str = ""
) -> None:
    """Print the rows of a file of the reports, or that there are none, with a next step."""
    fleet, windows, start, end, listed_since = reports
    frame = fleet.window_tables(windows, file)
    frame["Window"] = [f"{one:%Y-%m-%dT%H:%MZ}" for one in frame["Window"]]
    frame["Length"] = [format_duration(one) for one in frame["Length"]]
    rows = [_with_message(one) for one in frame.astype(object).where(frame.notna(), None).to_dict("records")]
    span = f"{start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
    empty = f"no {what} from {span}" + (f"; {next_step}" if next_step else "")
    if not windows:
        end_of_run = "which is written at the end of a run"
        if not listed_since:
            raise NotFound(f"window {Window(start, end).column} has no report, {end_of_run}; name another --window")
        newest = fleet.newest_window()
        text = f"no window from {span} has a report, {end_of_run}"
        empty = f"{text}; `fleetscore {COMMANDS[file]} --since {_length_since(newest.start)}` lists the newest one, too"
    window = Column("WINDOW", lambda row: f"{row['Window']}/{row['Length']}", wide=True)
    session.print(Table([window, *columns(*shown)], rows, "Device", empty))


def _with_message(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row; the message of a device without predictions is a sentence where the report has none."""
    if row.get("Message") or row.get("Outcome") not in MESSAGES:
        return dict(row)
    return {**row, "Message": MESSAGES[row["Outcome"]]}


def _length_since(time: datetime) -> str:
    """Return the value of --since with which a command lists the windows from a time on, also an hour from now."""
    passed = datetime.now(UTC) + timedelta(hours=1) - time
    return "24h" if passed < _DAY else f"{-(-passed // _DAY)}d"


def _open_reports(session: Session, window: str | None, since: str | None) -> _Reports:
    """Open the reports of the windows that a command lists: those of --window or --since, or the newest one."""
    fleet = session.open_fleet()
    if window is not None and since is not None:
        raise UsageInvalid("--window and --since contradict each other; omit one of them")
    if since is not None:
        now, length = datetime.now(UTC), parse_duration(since)
        start = now - length if length < now - _FIRST_INSTANT else _FIRST_INSTANT
        return _Reports(fleet, fleet.windows_between(start, now), start, now, listed_since=True)
    found = fleet.newest_window() if window is None else fleet.to_window(window)
    windows = [found] if fleet.has_report(found) else []
    return _Reports(fleet, windows, found.start, found.end, listed_since=False)
