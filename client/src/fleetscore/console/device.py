"""The content of the page Device: plots of its tags in a window, its flags, its incidents and its strip."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fleetscore.console import charts
from fleetscore.console.charts import Point
from fleetscore.console.history import History
from fleetscore.console.reader import Reader, Row, Snapshot
from fleetscore.console.states import BY_LETTER
from fleetscore.contract import blob_paths
from fleetscore.contract.windows import Window
from fleetscore.errors import DataInvalid, NotFound

MAX_PLOTS = 24
MAX_MODEL_BYTES = 64 * 2**20


def device_context(reader: Reader, device: str, window: Window | None) -> dict[str, Any]:
    """Return the values of the page Device.

    Args:
        reader: The data of the console.
        device: The id of the device.
        window: The window of the plots; None for the newest one with predictions.

    Raises:
        NotFound: The history and the models have no such device.
    """
    snapshot = reader.snapshot()
    states = snapshot.history.states.get(device, "")
    model = _model_facts(reader, device)
    if not states and not model:
        raise NotFound(f"device {device[:200]} has no history and no model; the heat map lists the devices")
    chosen = window or _newest_scored(snapshot, states)
    return {
        "device": device,
        "states": states,
        "state": BY_LETTER[states[-1]] if states else None,
        "strip": charts.state_strip(states) if states else "",
        "since": _since(snapshot.history, states),
        "window": chosen,
        "newer": _neighbour(snapshot, chosen, -1),
        "older": _neighbour(snapshot, chosen, 1),
        "incidents": [row for row in snapshot.incidents if row.get("Device") == device],
        "model": model,
        **(_plots(reader, device, chosen) if chosen else {"plots": [], "kind": "", "problem": "", "more_tags": 0}),
    }


def tag_plots(frame: pd.DataFrame, window: Window, flags: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a plot per tag, those with anomalies and flags first, at most MAX_PLOTS.

    Args:
        frame: The predictions, or the readings with a column `Val`.
        window: The window.
        flags: The rows of `_sensors.csv` of the device.
    """
    by_tag: dict[str, list[Row]] = {}
    for row in flags:
        by_tag.setdefault(row.get("Tag", ""), []).append(row)
    seconds = window.length.total_seconds()
    start = pd.Timestamp(window.start)
    plots = []
    for tag, rows in frame.groupby("Tag", sort=True):
        usable = rows[pd.notna(rows["Val"])]
        position = ((usable["TS"] - start).dt.total_seconds() / seconds).clip(0, 1)
        labels = usable["Prediction"] == 1 if "Prediction" in usable else pd.Series(False, index=usable.index)
        anomalies = int(labels.sum())
        points = [
            Point(*values) for values in zip(position.tolist(), usable["Val"].tolist(), labels.tolist(), strict=True)
        ]
        label = f"{tag}: {len(rows):,} readings, {anomalies:,} anomalies"
        drawn = charts.line_chart(points, first=f"{window.start:%H:%M}", last=f"{window.end:%H:%M}", label=label)
        facts = {"tag": tag, "rows": len(rows), "anomalies": anomalies, "plot": drawn}
        plots.append({**facts, "flags": by_tag.pop(str(tag), [])})
    plots += [{"tag": tag, "rows": 0, "anomalies": 0, "plot": "", "flags": rows} for tag, rows in by_tag.items()]
    return sorted(plots, key=lambda one: (-one["anomalies"], not one["flags"], one["tag"]))


def _plots(reader: Reader, device: str, window: Window) -> dict[str, Any]:
    """Return the plots of the predictions; of the readings if the window has no predictions."""
    problem, kind, frame = "", "predictions", None
    try:
        frame = reader.fleet.predictions(window, [device])
    except NotFound:
        try:
            kind, frame = "readings", reader.fleet.readings(device, window)
            frame = frame[(frame["TS"] >= pd.Timestamp(window.start)) & (frame["TS"] < pd.Timestamp(window.end))]
            frame = frame.assign(Val=pd.to_numeric(frame["Value"], errors="coerce"))
        except (NotFound, DataInvalid) as error:
            problem = str(error)
    except DataInvalid as error:
        problem = str(error)
    flags = [row for row in reader.report_rows(window, blob_paths.SENSORS_FILE) if row.get("Device") == device]
    empty = pd.DataFrame({"TS": pd.to_datetime([], utc=True), "Tag": [], "Val": []})
    plots = tag_plots(empty if problem or frame is None else frame, window, flags)
    more = max(len(plots) - MAX_PLOTS, 0)
    return {"plots": plots[:MAX_PLOTS], "more_tags": more, "kind": "" if problem else kind, "problem": problem}


def _newest_scored(snapshot: Snapshot, states: str) -> Window | None:
    """Return the newest window in which the device has predictions; the newest window without one."""
    found = max((states.rfind(letter) for letter in "NASP"), default=-1)
    return snapshot.history.window(found) if found >= 0 else snapshot.window


def _neighbour(snapshot: Snapshot, window: Window | None, back: int) -> Window | None:
    """Return the window before or after a window, if the history has it."""
    history = snapshot.history
    if window is None or not history.count:
        return None
    found = window.previous(back)
    return found if history.window(0).start <= found.start <= history.window(history.count - 1).start else None


def _since(history: History, states: str) -> Window | None:
    """Return the first window of the unbroken sequence of the newest state."""
    if not states:
        return None
    return history.window(len(states.rstrip(states[-1])))


def _model_facts(reader: Reader, device: str) -> list[tuple[str, str]]:
    """Return the facts of the device's model that need no unpickling: its size and its metadata."""
    name = blob_paths.model_name(reader.fleet.layout.models_path, device)
    try:
        blob = reader.fleet.store.read("models", name, max_bytes=MAX_MODEL_BYTES)
    except DataInvalid as error:
        return [("problem", str(error))]
    if blob is None:
        return []
    return [("name", name), ("size", f"{blob.info.size:,} bytes"), *sorted(blob.info.metadata.items())[:20]]
