"""The command `device`: the state of one device, and what to do next."""

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from fleetscore.cli.mutes import active_mutes
from fleetscore.cli.next_steps import fold_text, option_of, score_again
from fleetscore.cli.output import Format, console, print_documents, printable, with_program
from fleetscore.cli.session import RESULTS, DeviceArgument, Session, examples, with_session
from fleetscore.contract import blob_paths
from fleetscore.contract.tiles import STATES, UNKNOWN
from fleetscore.contract.windows import Window, format_time
from fleetscore.errors import DataInvalid, NotFound
from fleetscore.fleet import Fleet
from fleetscore.store.base import Blob
from fleetscore.texts import device_command

STRIP_WINDOWS = 48
WIDE_STRIP_WINDOWS = 168
MAX_LISTED = 10
MAX_LINE_CHARS = 80
_LETTERS_OF_ANOMALIES, _LETTERS_OF_FAILURES = "A", "FP"

app = typer.Typer()


@app.command("device", rich_help_panel=RESULTS, epilog=examples("fleetscore device press-7"))
@with_session
def show_device(session: Session, device: DeviceArgument) -> None:
    """Show the last windows of a device, its incidents, sensors, mutes and model, and the next step."""
    fleet = session.open_fleet()
    count = WIDE_STRIP_WINDOWS if session.output is not Format.TABLE else STRIP_WINDOWS
    found = device_document(fleet, device, count, session.store)
    found["next"] = [with_program(step) for step in found["next"]]  # before long lines are folded
    if session.output in (Format.JSON, Format.YAML):
        print_documents(found, session.output)
    elif session.output is Format.NAME:
        print(device)
    else:
        console().print("\n".join(describe_device(found, wide=session.output is Format.WIDE)))


def device_document(fleet: Fleet, device: str, count: int, store: Path | None = None) -> dict[str, Any]:
    """Return what storage has about a device.

    Args:
        fleet: The fleet.
        device: The device's id.
        count: The largest number of windows.
        store: The folder of the fleet; None for a cluster's.

    Raises:
        NotFound: The fleet does not know the device; the text names similar ids.
    """
    import pandas as pd  # noqa: PLC0415  it takes longer to import than most commands

    newest = fleet.newest_window()
    history = fleet.history(newest.previous(count - 1).start, newest.end, series=newest)
    letters = history.loc[[device]].to_numpy()[0] if device in history.index else []
    starts = [format_time(start) for start in pd.DatetimeIndex(history.columns).to_pydatetime()]
    windows = dict(zip(starts, map(str, letters), strict=False))
    model = fleet.store.read("models", blob_paths.model_name(fleet.layout.models_path, device))
    if model is None and not windows:
        similar = difflib.get_close_matches(device, [str(one) for one in history.index], 3)
        hint = f"similar ids: {', '.join(map(printable, similar))}" if similar else "check the id and --fleet"
        raise NotFound(f"{printable(device)} has neither a model nor a state in the last {count} windows; {hint}")
    if windows:
        windows.setdefault(format_time(newest.start), UNKNOWN)
    incidents = _rows(fleet, newest, blob_paths.INCIDENTS_FILE, device)
    found = {
        "device": device,
        "fleet": fleet.layout.name,
        "newestWindow": newest.column,
        "windows": [{"start": start, "state": letter} for start, letter in windows.items()],
        "incidents": incidents,
        "sensors": _rows(fleet, newest, blob_paths.SENSORS_FILE, device),
        "mutes": active_mutes(fleet.store, device),
        "model": _model(fleet, device, model),
    }
    has_model, muted = model is not None, bool(found["mutes"])
    steps = next_steps(device, newest, list(windows.values()), incidents, has_model=has_model, muted=muted, store=store)
    return {**found, "next": steps}


def next_steps(
    device: str,
    newest: Window,
    letters: Sequence[str],
    incidents: Sequence[Mapping[str, Any]],
    *,
    has_model: bool,
    muted: bool,
    store: Path | None = None,
) -> list[str]:
    """Return sentences about what to do next, the most useful first.

    Args:
        device: The device's id.
        newest: The newest window.
        letters: The states of the last windows, the newest last.
        incidents: The rows of the incidents of the device.
        has_model: True if it has a model.
        muted: True if it is muted now.
        store: The folder of the fleet; None for a cluster's.
    """
    last = letters[-1] if letters else "?"
    steps = []
    replay = device_command("replay", device, f" --window {option_of(newest)}")
    if not has_model:
        steps.append(f"train a model: `device-scorer train`; without one, {device} cannot be scored")
    elif last in _LETTERS_OF_FAILURES:
        again = score_again(store, newest, device) if store else "`fleetscore retry`"
        steps.append(f"see the reason: `fleetscore failed`; then score the device again: {again}")
    elif last == "E":
        steps.append("check the connection of the device: storage has no readings of the newest window")
    elif last in _LETTERS_OF_ANOMALIES:
        steps.append(f"see why: {replay}")
    elif last == "S":
        steps.append(f"check the sensors; see {replay}")
    elif last in "-?":
        steps.append(f"score it: {score_again(store, newest, device)}")
    if not muted and any(row.get("State") != "closed" for row in incidents):
        steps.append(f"during maintenance: {device_command('mute', device, ' --for 4h --why REASON')}")
    return steps


def describe_device(found: Mapping[str, Any], *, wide: bool) -> list[str]:
    """Return the lines about a device; each has at most 80 characters with short ids.

    Args:
        found: The result of `device_document`.
        wide: True for all columns of incidents, sensors and the model.
    """
    letters = "".join(one["state"] for one in found["windows"])
    lines = [f"{printable(found['device'])}  fleet {printable(found['fleet'])}"]
    if letters:
        first = found["windows"][0]["start"][:16]
        lines += ["", f"WINDOWS  {first}Z to {found['newestWindow']}", f"  {letters}"]
        lines.append("  " + ", ".join(f"{letter} {STATES[letter]}" for letter in dict.fromkeys(letters)))
    lines += _section("INCIDENTS", found["incidents"], ("Cause", "State", "Since", "Tags", "Owner", "Muted"), wide=wide)
    lines += _section("SENSORS", found["sensors"], ("Tag", "Flag", "Since", "Detail"), wide=wide)
    lines += _section("MUTED", found["mutes"], ("Devices", "Until", "Why", "Who"), wide=wide)
    lines += ["", "MODEL", *(f"  {line}" for line in _model_lines(found["model"], wide=wide))]
    if found["next"]:
        lines += ["", "NEXT", *(f"  {printable(step)}" for step in found["next"])]
    return lines if wide else [part for line in lines for part in _folded(line)]


def _folded(line: str) -> list[str]:
    """Return a line as lines of at most MAX_LINE_CHARS, except for long words and commands, which stay whole."""
    whole = len(line) <= MAX_LINE_CHARS or " " not in line.strip()
    return [line] if whole else fold_text(line, MAX_LINE_CHARS, "    ")


def _section(title: str, rows: Sequence[Mapping[str, Any]], keys: Sequence[str], *, wide: bool) -> list[str]:
    if not rows:
        return []
    lines = []
    for row in rows[:MAX_LISTED]:
        shown = [f"{key}={printable(row[key])}" for key in row if row[key] != ""] if wide else None
        lines.append("  " + "  ".join(shown or [text for key in keys if (text := printable(row.get(key, "")))]))
    more = [f"  {len(rows) - MAX_LISTED} more; -o json lists all"] if len(rows) > MAX_LISTED else []
    return ["", title, *lines, *more]


def _rows(fleet: Fleet, window: Window, file: str, device: str) -> list[dict[str, Any]]:
    frame = fleet.window_tables([window], file)
    own = frame[frame["Device"] == device].drop(columns=["Window", "Length"])
    texts = own.astype(object).where(own.notna(), "")
    return [{str(key): value for key, value in row.items()} for row in texts.astype(str).to_dict("records")]


def _model(fleet: Fleet, device: str, blob: Blob | None) -> dict[str, Any]:
    """Return the facts of a device's model; those in the file need the program of the scorer."""
    if blob is None:
        return {"name": blob_paths.model_name(fleet.layout.models_path, device), "exists": False}
    modified = blob.info.modified
    facts = {
        "name": blob.info.name,
        "exists": True,
        "bytes": blob.info.size,
        "written": format_time(modified) if modified else "",
        "ageDays": (datetime.now(UTC) - modified).days if modified else None,
    }
    try:
        frame = fleet.model(device)
    except (NotFound, DataInvalid) as error:
        return {**facts, "problem": str(error)}
    tags = frame[["Tag", "Detector", "SklearnVersion", "EvaluatedBy", "Problem"]].to_dict("records")
    return {**facts, "sklearn": sorted(set(frame["SklearnVersion"])), "tags": tags}


def _model_lines(model: Mapping[str, Any], *, wide: bool) -> list[str]:
    if not model["exists"]:
        return [f"none: {printable(model['name'])} does not exist"]
    lines = [
        f"{printable(model['name'])}, {model['bytes']:,} bytes, written {model['written'] or 'at an unknown time'}"
    ]
    if model["ageDays"] is not None:
        lines[0] += f" ({model['ageDays']} days ago)"
    if "problem" in model:
        return [*lines, printable(model["problem"])]
    unusable = [tag for tag in model["tags"] if tag["Problem"]]
    lines.append(f"tags: {len(model['tags'])}, unusable: {len(unusable)}; scikit-learn {', '.join(model['sklearn'])}")
    shown = model["tags"] if wide else unusable[:MAX_LISTED]
    return lines + [printable("  ".join([tag["Tag"], tag["Problem"] or tag["Detector"]])) for tag in shown]
