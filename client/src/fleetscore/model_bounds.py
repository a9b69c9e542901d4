"""The bounds of the values that a model labels normal, found by scoring values between normal and anomalous ones.

A model has no bounds in its file: an SVM or a forest only labels values. Each round scores a grid of values of all tags
with the scorer's own program. The next round divides the gap between the last normal and the first anomalous value.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING

from fleetscore import scorer_program
from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.windows import Window
from fleetscore.frames import predictions_frame
from fleetscore.interrupts import temporary_folder

if TYPE_CHECKING:
    import pandas as pd

MAX_TAGS = 20
ROUNDS = 3
_POINTS = 60
_DOUBLINGS = range(-40, 31)
_DEVICE = "device"
_WINDOW = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))
_LAYOUT = FleetLayout(partition=timedelta(days=1))
_DATA_NAME, _MODEL_NAME = f"data/20200101T0000Z/{_DEVICE}.csv", f"models/{_DEVICE}.joblib"


@dataclass(frozen=True, slots=True)
class _Gap:
    """The values next to a bound: the last normal one, and the first anomalous one."""

    normal: float
    anomalous: float


def find_bounds(bundle: bytes, rows: "pd.DataFrame") -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest normal value of the tags with anomalies, at most MAX_TAGS of them.

    Args:
        bundle: The bundle of the device.
        rows: The predictions, as `frames.predictions_frame` returns them.

    Returns:
        The bounds of the interval of normal values around the median of the normal readings, by tag; NaN for a side
        without a bound. A tag without normal readings is missing.
    """
    tags = rows.loc[rows["Prediction"] == 1, "Tag"].drop_duplicates().head(MAX_TAGS)
    grids: dict[tuple[str, int], list[float]] = {}
    for tag in tags:
        values = rows.loc[rows["Tag"] == tag].dropna(subset=["Val"])
        normal = values.loc[values["Prediction"] == 0, "Val"].sort_values()
        if len(normal):
            start = float(normal.iloc[len(normal) // 2])
            reach = max(abs(float(values["Val"].max()) - start), abs(start - float(values["Val"].min())))
            for side in (-1, 1):
                grids[tag, side] = first_grid(start, side * (reach or abs(start) or 1.0))
    gaps: dict[tuple[str, int], _Gap] = {}
    for _ in range(ROUNDS if grids else 0):
        labels = _label(bundle, {tag: [*grids.get((tag, -1), ()), *grids.get((tag, 1), ())] for tag, _ in grids})
        gaps |= {key: gap for key, values in grids.items() if (gap := _first_gap(values, labels.get(key[0], {})))}
        grids = {key: _between(gap) for key, gap in gaps.items()}
    nan = float("nan")
    found = {tag for tag, _ in gaps}
    return {tag: tuple(gaps[tag, side].normal if (tag, side) in gaps else nan for side in (-1, 1)) for tag in found}  # type: ignore[misc]


def first_grid(start: float, reach: float) -> list[float]:
    """Return values from a normal one on, in one direction, the nearest first.

    Args:
        start: A normal value.
        reach: The distance of the farthest reading, negative for lower values. The grid extends beyond it.
    """
    near = (start + reach * step / _POINTS for step in range(_POINTS + 1))
    far = (start + reach * 2.0**power for power in _DOUBLINGS)
    return sorted((value for value in {*near, *far} if isfinite(value)), key=lambda value: abs(value - start))


def _between(gap: _Gap) -> list[float]:
    step = (gap.anomalous - gap.normal) / _POINTS
    return [gap.normal + step * number for number in range(_POINTS)] + [gap.anomalous]


def _first_gap(values: Sequence[float], labels: Mapping[float, int]) -> _Gap | None:
    """Return the first change from normal to anomalous along the values; None without one."""
    last: float | None = None
    for value in values:
        label = labels.get(value)
        if label == 1 and last is not None:
            return _Gap(last, value)
        last = value if label == 0 else last
    return None


def _label(bundle: bytes, values: Mapping[str, Iterable[float]]) -> dict[str, dict[float, int]]:
    """Return the label of each value by tag: 0 is normal, 1 an anomaly."""
    lines = ["TS,Device,Tag,Value"]
    ordered = {tag: list(dict.fromkeys(found)) for tag, found in values.items()}
    for tag, found in ordered.items():
        quoted = '"' + tag.replace('"', '""') + '"'
        lines += [
            f"{_WINDOW.start + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ},{_DEVICE},{quoted},{value!r}"
            for number, value in enumerate(found)
        ]
    with temporary_folder() as folder:
        for name, content in ((_MODEL_NAME, bundle), (_DATA_NAME, ("\n".join(lines) + "\n").encode())):
            path = folder / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        scorer_program.score(folder, _LAYOUT, _WINDOW, _DEVICE, list(ordered))
        path = folder / "predictions" / _WINDOW.slug / f"{_DEVICE}.csv"
        rows = predictions_frame(path.read_bytes(), path.name)
    numbers = (rows["TS"] - _WINDOW.start).dt.total_seconds().astype(int)
    labels: dict[str, dict[float, int]] = {tag: {} for tag in ordered}
    for tag, number, label in zip(rows["Tag"], numbers, rows["Prediction"], strict=True):
        labels[tag][ordered[tag][number]] = int(label)
    return labels
