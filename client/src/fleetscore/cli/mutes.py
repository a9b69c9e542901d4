"""The commands `mute`, `unmute` and `mutes`: devices whose incidents are listed as muted for a time."""

import getpass
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from fleetscore.cli.output import Format, Table, columns, console, print_documents, printable
from fleetscore.cli.session import Session, with_session
from fleetscore.contract.blob_paths import MUTES_FILE
from fleetscore.contract.mutes import MAX_MUTES_BYTES, Mute, add_mute, parse_mutes, remove_mutes
from fleetscore.contract.windows import format_time, parse_duration, parse_time
from fleetscore.errors import NotFound, StorageUnavailable, UsageInvalid
from fleetscore.store.base import Store

MAX_ATTEMPTS = 5
DEFAULT_LENGTH = timedelta(days=1)
Devices = Annotated[str, typer.Argument(help="Id or glob of devices, such as 'hall3-*'.", metavar="DEVICES")]
_Result = TypeVar("_Result")

app = typer.Typer()


@app.command()
@with_session
def mute(
    session: Session,
    devices: Devices,
    *,
    why: Annotated[str, typer.Option("--why", help="The reason, for the readers of reports.")],
    for_: Annotated[str | None, typer.Option("--for", help="Length, such as 4h or 2d; a day by default.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="End, such as 2018-08-29T06:00Z.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Start; now by default.")] = None,
    who: Annotated[str | None, typer.Option("--who", help="The person; your user name by default.")] = None,
) -> None:
    """List the incidents of devices as muted for a time; reports still show them."""
    now = datetime.now(UTC).replace(microsecond=0)
    if for_ is not None and until is not None:
        raise UsageInvalid("--for and --until contradict each other; omit one of them")
    start = parse_time(from_) if from_ else now
    end = parse_time(until) if until else _end(start, parse_duration(for_) if for_ else DEFAULT_LENGTH)
    new = Mute(0, devices, start, end, why, _user() if who is None else who)
    store = session.open_fleet().store
    _change(store, lambda content: (add_mute(content, new, now), None))
    span = f"{printable(devices)} muted until {format_time(end)}, from the next report on"
    text = f"{span}; `fleetscore unmute {shlex.quote(devices)}` ends it"
    _print_result(session, [new], now, text)


@app.command()
@with_session
def unmute(
    session: Session,
    devices: Annotated[str | None, typer.Argument(help="The id or glob, as it was muted.", metavar="DEVICES")] = None,
    *,
    ended: Annotated[bool, typer.Option("--ended", help="Remove all mutes that have ended.")] = False,
) -> None:
    """Remove the mutes of an id or glob; all other lines of the file are kept."""
    if (devices is None) != ended:
        raise UsageInvalid("name the DEVICES of a mute, or use --ended; `fleetscore mutes` lists them")
    now = datetime.now(UTC)

    def matches(one: Mute) -> bool:
        return one.state(now) == "ended" if ended else one.devices == devices

    store = session.open_fleet().store
    removed = _change(store, lambda content: remove_mutes(content, matches))
    if not removed and not ended:
        covering = [one.devices for one in parse_mutes(_read(store)[0]) if devices and one.covers(devices)]
        hint = (
            f"it is muted as {', '.join(map(printable, covering[:3]))}" if covering else "`fleetscore mutes` lists them"
        )
        raise NotFound(f"no mute of {printable(devices)} exists; {hint}")
    _print_result(session, removed, now, f"{len(removed)} mute{'s' * (len(removed) != 1)} removed")


@app.command()
@with_session
def mutes(
    session: Session,
    *,
    device: Annotated[str | None, typer.Option("--device", "-d", help="Only the mutes of this device.")] = None,
) -> None:
    """List the mutes; invalid lines have the reason for which reports ignore them."""
    now = datetime.now(UTC)
    fleet = session.open_fleet()
    found = parse_mutes(_read(fleet.store)[0])
    rows = [_row(one, now) for one in found if device is None or one.covers(device)]
    shown = columns("Devices", "State", "From+", "Until", "Why", "Who", "Line#+", "Problem+")
    session.print(Table(list(shown), rows, "Devices", "no device is muted"))


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
        console().print(text, markup=False)
