"""The commands `mute`, `unmute` and `mutes`: devices whose incidents are listed as muted for a time."""

import getpass
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from fleetscore.cli.output import Format, Table, columns, console, print_documents, printable
from fleetscore.cli.session import LENGTH_FORMS, MAINTENANCE, TIME_FORMS, Session, examples, with_session
from fleetscore.contract.blob_paths import MUTES_FILE
from fleetscore.contract.mutes import MAX_MUTES_BYTES, Mute, add_mute, parse_mutes, remove_mutes
from fleetscore.contract.windows import format_time, parse_duration, parse_time
from fleetscore.errors import FleetscoreError, NotFound, StorageUnavailable, UsageInvalid
from fleetscore.fleet import Fleet
from fleetscore.store.base import Store
from fleetscore.texts import device_command

MAX_ATTEMPTS = 20
DEFAULT_LENGTH = timedelta(days=1)
Devices = Annotated[str, typer.Argument(metavar="DEVICES", help="Id or glob of devices, such as press-7 or 'hall3-*'.")]
_Result = TypeVar("_Result")

app = typer.Typer()


@app.command(rich_help_panel=MAINTENANCE, epilog=examples("fleetscore mute 'hall3-*' --for 4h --why 'new valve'"))
@with_session
def mute(
    session: Session,
    devices: Devices,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the readers of reports.")],
    for_: Annotated[
        str | None, typer.Option("--for", metavar="LENGTH", help=f"Length: {LENGTH_FORMS}; by default 1d.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help=f"End: {TIME_FORMS}; by default the start and the length."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Start, in the same form; by default the next window to report."),
    ] = None,
    who: Annotated[
        str | None, typer.Option("--who", metavar="NAME", help="The person; by default your user name.")
    ] = None,
) -> None:
    """List the incidents of devices as muted for a time; reports still show them."""
    now = datetime.now(UTC).replace(microsecond=0)
    if for_ is not None and until is not None:
        raise UsageInvalid("--for and --until contradict each other; omit one of them")
    start = parse_time(from_) if from_ else now
    end = parse_time(until) if until else _end(start, parse_duration(for_) if for_ else DEFAULT_LENGTH)
    fleet = session.open_fleet()
    new = Mute(0, devices, start if from_ else _next_report(fleet, now), end, why, _user() if who is None else who)

    def add(content: bytes) -> tuple[bytes, Mute]:
        longer = add_mute(content, new, now)
        return longer, parse_mutes(longer)[-1]

    written = _change(fleet.store, add)
    _warn_if_unknown(fleet, written)
    span = f"{printable(written.devices)} muted until {format_time(end)}, from the next report on"
    text = f"{span}; {device_command('unmute', written.devices)} ends it"
    _print_result(session, [written], now, text)


@app.command(rich_help_panel=MAINTENANCE, epilog=examples("fleetscore unmute 'hall3-*'"))
@with_session
def unmute(
    session: Session,
    devices: Annotated[
        str | None,
        typer.Argument(metavar="DEVICES", help="The id or glob, as it was muted; required by default."),
    ] = None,
    *,
    ended: Annotated[
        bool, typer.Option("--ended", help="Remove all mutes that have ended, in place of those of DEVICES.")
    ] = False,
) -> None:
    """Remove the mutes of an id or glob; all other lines of the file are kept."""
    if (devices is None) != ended:
        raise UsageInvalid("name the DEVICES of a mute, or use --ended; `fleetscore mutes` lists them")
    now = datetime.now(UTC)

    def matches(one: Mute) -> bool:
        return one.state(now) == "ended" if ended else one.devices == devices

    devices = devices and devices.strip()  # as each field of the file
    store = session.open_fleet().store
    removed = _change(store, lambda content: remove_mutes(content, matches))
    if not removed and not ended:
        covering = [one.devices for one in parse_mutes(_read(store)[0]) if devices and one.covers(devices)]
        hint = (
            f"it is muted as {', '.join(map(printable, covering[:3]))}" if covering else "`fleetscore mutes` lists them"
        )
        raise NotFound(f"no mute of {printable(devices)} exists; {hint}")
    _print_result(session, removed, now, f"{len(removed)} mute{'s' * (len(removed) != 1)} removed")


@app.command(rich_help_panel=MAINTENANCE, epilog=examples("fleetscore mutes --device press-7"))
@with_session
def mutes(
    session: Session,
    *,
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", metavar="ID", help="List only the mutes of this device; by default all."),
    ] = None,
) -> None:
    """List the mutes. `-o wide` has the reason for which reports ignore an invalid line."""
    now = datetime.now(UTC)
    fleet = session.open_fleet()
    found = parse_mutes(_read(fleet.store)[0])
    rows = [_row(one, now) for one in found if device is None or one.covers(device)]
    shown = columns("Devices", "State", "From+", "Until", "Why", "Who", "Line#+", "Problem+")
    session.print(Table(list(shown), rows, "Devices", "no device is muted"))


def _warn_if_unknown(fleet: Fleet, new: Mute) -> None:
    """Print a warning if no device with a model is muted. Without the right to list models there is no warning."""
    with suppress(FleetscoreError):
        if not any(map(new.covers, fleet.devices())):
            text = f"no device with a model matches {printable(new.devices)}; the ids are case-sensitive"
            console(error=True).print(f"warning: {text}")


def _next_report(fleet: Fleet, now: datetime) -> datetime:
    """Return the start of the next window to report, at most now: its report is made after now.

    A mute applies to windows, so one that began now would not apply to the windows that are over and not reported yet.
    """
    try:
        return min(now, fleet.newest_window().end)
    except FleetscoreError:  # no report yet, or no right to list the predictions
        return now


def _end(start: datetime, length: timedelta) -> datetime:
    try:
        return (start + length).astimezone(UTC)
    except OverflowError as error:
        raise UsageInvalid("--for is invalid: the end is after the year 9999; choose a shorter time") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no user name in a container
        return ""


def active_mutes(store: Store, device: str) -> list[dict[str, Any]]:
    """Return the rows of the mutes that apply to a device now."""
    now = datetime.now(UTC)
    found = parse_mutes(_read(store)[0])
    return [_row(one, now) for one in found if one.state(now) == "active" and one.covers(device)]


def _read(store: Store) -> tuple[bytes, str | None]:
    """Return the file of mutes and its ETag; empty without a file."""
    blob = store.read("predictions", MUTES_FILE, max_bytes=MAX_MUTES_BYTES)
    return (b"", None) if blob is None else (blob.content, blob.info.etag)


def _change(store: Store, change: Callable[[bytes], tuple[bytes, _Result]]) -> _Result:
    """Replace the file by the result of a function, if no other client has changed it meanwhile; otherwise repeat.

    Raises:
        StorageUnavailable: Other clients changed it MAX_ATTEMPTS times.
    """
    for _ in range(MAX_ATTEMPTS):
        content, etag = _read(store)
        new, result = change(content)
        if new == content or store.write("predictions", MUTES_FILE, new, if_match=etag):
            return result
    raise StorageUnavailable(f"{MUTES_FILE} was changed by other clients {MAX_ATTEMPTS} times; try again")


def _row(one: Mute, now: datetime) -> dict[str, Any]:
    return {
        "Devices": one.devices,
        "State": one.state(now),
        "From": format_time(one.start) if one.start else "",
        "Until": format_time(one.end) if one.end else "",
        "Why": one.why,
        "Who": one.who,
        "Line": one.line,
        "Problem": one.problem,
    }


def _print_result(session: Session, changed: list[Mute], now: datetime, text: str) -> None:
    if session.output in (Format.JSON, Format.YAML):
        print_documents([_row(one, now) for one in changed], session.output)
    elif session.output is Format.NAME:
        for one in changed:
            print(one.devices)
    else:
        console().print(text)
