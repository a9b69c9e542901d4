"""The content of the page Device: plots of its tags in a window, its flags, its incidents and its strip."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pandas as pd

from fleetscore.console import charts
from fleetscore.console.charts import Point
from fleetscore.console.history import History
from fleetscore.console.reader import Reader, Row, Snapshot
from fleetscore.console.states import BY_LETTER
from fleetscore.contract import blob_paths
from fleetscore.contract.windows import Window
from fleetscore.errors import DataInvalid, NotFound, UsageInvalid
from fleetscore.frames import predictions_frame

MAX_PLOTS = 24
MAX_TAG_CHARS = 256
MAX_PLOTTED_LENGTH = timedelta(days=2)
"""Length of a window without predictions above which its readings are not plotted: each partition costs a request."""

MAX_PLOTTED_BYTES = 32 * 2**20
"""Size of the predictions that are plotted: 500,000 readings. Larger ones would need more memory than the console."""


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
        **(_plots_in_turn(reader, device, chosen) if chosen else _no_plots("")),
    }


def tag_plots(frame: pd.DataFrame, window: Window, flags: Sequence[Row]) -> tuple[list[dict[str, Any]], int]:
    """Return a plot per tag, those with anomalies and flags first, at most MAX_PLOTS, and the number of further tags.

    Args:
        frame: The predictions, or the readings with a column `Val`.
        window: The window.
        flags: The rows of `_sensors.csv` of the device.
    """
    by_tag: dict[str, list[Row]] = {}
    for row in flags:
        by_tag.setdefault(row.get("Tag", ""), []).append(row)
    labels = frame["Prediction"] == 1 if "Prediction" in frame else False
    frame = frame[["TS", "Tag", "Val"]].assign(Anomalous=labels)
    rows = {str(tag): count for tag, count in frame.groupby("Tag").size().items()}
    anomalies = {str(tag): int(count) for tag, count in frame.groupby("Tag")["Anomalous"].sum().items()}
    facts: list[dict[str, Any]] = [
        {"tag": tag, "rows": rows.get(tag, 0), "anomalies": anomalies.get(tag, 0), "flags": by_tag.get(tag, [])}
        for tag in rows.keys() | by_tag.keys()
    ]
    facts.sort(key=lambda one: (-one["anomalies"], not one["flags"], one["tag"]))
    shown = facts[:MAX_PLOTS]
    seconds = window.length.total_seconds()
    is_finite = frame["TS"].notna() & (frame["Val"].abs() < float("inf"))
    usable = frame[is_finite & frame["Tag"].isin([one["tag"] for one in shown])]
    position = ((usable["TS"] - pd.Timestamp(window.start)).dt.total_seconds() / seconds).clip(0, 1)
    points: dict[str, list[Point]] = {}
    drawn = downsample(usable.assign(Position=position))
    for tag, *values in zip(*(drawn[name].tolist() for name in ("Tag", "Position", "Val", "Anomalous")), strict=True):
        points.setdefault(tag, []).append(Point(*values))
    first, last = f"{window.start:%H:%M}", f"{window.end:%H:%M}"
    for one in shown:
        label = f"{one['tag'][:MAX_TAG_CHARS]}: {one['rows']:,} readings, {one['anomalies']:,} anomalies"
        plot = charts.line_chart(points.get(one["tag"], ()), first=first, last=last, label=label)
        one |= {"plot": plot if one["rows"] else "", "tag": one["tag"][:MAX_TAG_CHARS]}
    return shown, len(facts) - len(shown)


def downsample(readings: pd.DataFrame) -> pd.DataFrame:
    """Return the readings that a plot shows: of each tag and column, the lowest and the highest one.

    A plot needs no more points than pixels. The lowest and the highest reading of a column draw the same vertical line
    as all of its readings. This is the min-max part of M4 (Jugel et al., "M4: A Visualization-Oriented Time Series Data
    Aggregation", PVLDB 7(10), 2014). Anomalies have a lowest and a highest reading of their own, so each column with an
    anomaly keeps one. A tag with few readings keeps all of them.

    Args:
        readings: The columns Tag, Position (0 to 1), Val (finite) and Anomalous, with a unique index.
    """
    counts = readings.groupby("Tag")["Tag"].transform("size")
    few, many = readings[counts <= 2 * charts.MAX_COLUMNS], readings[counts > 2 * charts.MAX_COLUMNS]
    columns = (many["Position"] * charts.MAX_COLUMNS).astype("int64")
    groups = many["Val"].groupby([many["Tag"], columns, many["Anomalous"]])
    extremes = pd.concat([groups.idxmin(), groups.idxmax()]).drop_duplicates()
    found: pd.DataFrame = pd.concat([few, many.loc[extremes]])
    return found


def _no_plots(problem: str) -> dict[str, Any]:
    return {"plots": [], "kind": "", "problem": problem, "more_tags": 0}


def _plots_in_turn(reader: Reader, device: str, window: Window) -> dict[str, Any]:
    """Return the plots as soon as few other pages are plotted, and none with the reason if this takes too long."""
    if not reader.plotting.acquire(timeout=reader.limits.plots_wait_seconds):
        return _no_plots("the plots of other pages are in work; load this page again in some seconds")
    try:
        return _plots(reader, device, window)
    finally:
        reader.plotting.release()


def _plots(reader: Reader, device: str, window: Window) -> dict[str, Any]:
    """Return the plots of the predictions; of the readings if the window has no predictions."""
    problem, kind, frame = "", "predictions", None
    try:
        content = reader.predictions_csv(device, window, max_bytes=MAX_PLOTTED_BYTES)
        frame = predictions_frame(content, f"the predictions of {device}")
    except NotFound:
        try:
            kind, frame = "readings", _readings(reader, device, window)
        except (NotFound, DataInvalid) as error:
            problem = str(error)
    except DataInvalid as error:
        problem = str(error)
    try:
        flags = reader.sensor_rows(window, device)
    except DataInvalid as error:
        flags, problem = [], "; ".join(filter(None, (problem, str(error))))
    empty = pd.DataFrame({"TS": pd.to_datetime([], utc=True), "Tag": [], "Val": pd.Series(dtype="float64")})
    plots, more = tag_plots(empty if frame is None else frame, window, flags)
    return {"plots": plots, "more_tags": more, "kind": "" if frame is None else kind, "problem": problem}


def _readings(reader: Reader, device: str, window: Window) -> pd.DataFrame:
    """Return the readings of a device in a window, with a column Val. Raises DataInvalid above the limits."""
    if window.length > MAX_PLOTTED_LENGTH:
        raise DataInvalid(f"{window.column} has no predictions, and is too long for a plot of readings")
    frame = reader.fleet.readings(device, window, max_bytes=MAX_PLOTTED_BYTES)
    frame = frame[(frame["TS"] >= pd.Timestamp(window.start)) & (frame["TS"] < pd.Timestamp(window.end))]
    return frame.assign(Val=pd.to_numeric(frame["Value"], errors="coerce"))


def _newest_scored(snapshot: Snapshot, states: str) -> Window | None:
    """Return the newest window in which the device has predictions; the newest window without one."""
    found = max((states.rfind(letter) for letter in "NASP"), default=-1)
    return snapshot.history.window(found) if found >= 0 else snapshot.window


def _neighbour(snapshot: Snapshot, window: Window | None, back: int) -> Window | None:
    """Return the window before or after a window, if the history has it."""
    history = snapshot.history
    if window is None or not history.count:
        return None
    try:
        found = window.previous(back)
    except UsageInvalid:  # at the end of the calendar
        return None
    return found if history.window(0).start <= found.start <= history.window(history.count - 1).start else None


def _since(history: History, states: str) -> Window | None:
    """Return the first window of the unbroken sequence of the newest state."""
    if not states:
        return None
    return history.window(len(states.rstrip(states[-1])))


def _model_facts(reader: Reader, device: str) -> list[tuple[str, str]]:
    """Return the facts of the device's model that need no unpickling: its size and its metadata."""
    name = blob_paths.model_name(reader.fleet.layout.models_path, device)
    info = reader.fleet.store.info("models", name)
    if info is None:
        return []
    return [("name", name), ("size", f"{info.size:,} bytes"), *sorted(info.metadata.items())[:20]]
