"""Charts of the report as inline SVG.

There is no chart library: matplotlib would add 30 MB to the scorer's image, and a JavaScript library 200 KB or more to
every page. Bars, a line with dots and a grid of squares need a few lines each. Colours are CSS classes, which the
page's style sheet defines for light and dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, sqrt

from device_scorer.plurals import counted

CELL_SIZE = 10
"""Width and height of a device's cell of the grid, in units of the SVG; report.js has the same number."""

MAX_COLUMNS = 240
"""Number of columns of a line chart; each keeps the lowest and the highest value that falls into it."""

_WIDTH, _HEIGHT = 320.0, 84.0


@dataclass(frozen=True, slots=True)
class Point:
    """A reading to plot.

    Attributes:
        offset_seconds: The time since the window's start.
        value: The value.
        anomalous: True for an anomaly.
    """

    offset_seconds: float
    value: float
    anomalous: bool


def device_grid(cell_kinds: Sequence[str]) -> str:
    """Return a grid with one square per device, coloured by its kind.

    All squares of a kind are one path, so that 10,000 squares have 150 KB.

    Args:
        cell_kinds: The kind of each device, in the order of the devices.
    """
    if not cell_kinds:
        return ""
    columns = max(1, ceil(sqrt(len(cell_kinds) * 3)))
    paths: dict[str, list[str]] = {}
    for index, kind in enumerate(cell_kinds):
        row, column = divmod(index, columns)
        paths.setdefault(kind, []).append(f"M{column * CELL_SIZE},{row * CELL_SIZE}h8v8h-8z")
    drawn = "".join(f'<path class="k-{kind}" d="{"".join(squares)}"/>' for kind, squares in sorted(paths.items()))
    width, height = columns * CELL_SIZE, ceil(len(cell_kinds) / columns) * CELL_SIZE
    return (
        f'<svg class="grid" id="grid" data-columns="{columns}" viewBox="-1 -1 {width} {height}" role="img" '
        f'aria-label="{counted(len(cell_kinds), "device", "devices")}" '
        f'style="max-width:{min(1200, columns * 22)}px">{drawn}</svg>'
    )


def column_chart(counts: Sequence[int], *, first: str, last: str) -> str:
    """Return a column chart of counts over the window, with the largest count as a label.

    Args:
        counts: The counts, one per part of the window.
        first: The label of the left end.
        last: The label of the right end.
    """
    highest = max(counts, default=0)
    if not highest:
        return '<p class="placeholder">none</p>'
    step = _WIDTH / len(counts)
    bars = "".join(
        f'<path d="M{index * step:.1f},70h{step - 1:.1f}v-{max(1.0, count / highest * 60):.1f}h-{step - 1:.1f}z">'
        f"<title>{count:,}</title></path>"
        for index, count in enumerate(counts)
        if count
    )
    return (
        f'<svg class="columns" viewBox="0 0 {_WIDTH:.0f} 84" role="img" aria-label="anomalies over the window">'
        f'<g class="bad">{bars}</g><path class="axis" d="M0,70.5h{_WIDTH:.0f}"/>'
        f'<text x="0" y="81">{escape(first)}</text><text x="{_WIDTH:.0f}" y="81" class="end">{escape(last)}</text>'
        f'<text x="{_WIDTH:.0f}" y="8" class="end">at most {highest:,}</text></svg>'
    )


def bar_chart(entries: Sequence[tuple[str, int, str]], *, kind: str = "bad") -> str:
    """Return a chart of horizontal bars.

    Args:
        entries: A label, a number and a text per bar.
        kind: The CSS class of the bars.
    """
    highest = max((number for _, number, _ in entries), default=0) or 1
    drawn = "".join(
        f'<span title="{escape(label)}">{escape(label)}</span>'
        f'<i><b class="{kind}" style="width:{number / highest * 100:.1f}%"></b></i><em>{escape(text)}</em>'
        for label, number, text in entries
    )
    return f'<div class="bars">{drawn}</div>'


def line_chart(points: Sequence[Point], *, seconds: float, first: str, last: str, label: str) -> str:
    """Return a line chart of one tag's readings over the window, with dots for anomalies and a band of the others.

    Args:
        points: The readings; at least one.
        seconds: The length of the window.
        first: The label of the left end.
        last: The label of the right end.
        label: The description for screen readers.
    """
    values = [point.value for point in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def coordinates(point: Point) -> str:
        x = min(max(point.offset_seconds / seconds, 0.0), 1.0) * (_WIDTH - 8) + 4
        return f"{x:.1f},{64 - (point.value - low) / span * 48:.1f}"

    normal = [64 - (point.value - low) / span * 48 for point in points if not point.anomalous]
    band = ""
    if 0 < len(normal) < len(points):
        top, bottom = min(normal), max(normal)
        band = f'<path class="band" d="M4,{top:.1f}h{_WIDTH - 8:.0f}V{bottom:.1f}h-{_WIDTH - 8:.0f}z"/>'
    line = " ".join(coordinates(point) for point in downsample(points, seconds))
    anomalies = downsample([point for point in points if point.anomalous], seconds)
    drawn = "".join(dict.fromkeys(f"M{coordinates(point)}h0" for point in anomalies))
    return (
        f'<svg class="series" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{escape(label)}">'
        f'<path class="axis" d="M0,70.5h{_WIDTH:.0f}"/>{band}'
        f'<polyline points="{line}"/><path class="dots" d="{drawn}"/>'
        f'<text x="0" y="81">{escape(first)}</text><text x="{_WIDTH:.0f}" y="81" class="end">{escape(last)}</text>'
        f'<text x="{_WIDTH:.0f}" y="7" class="end">{low:g} to {high:g}</text></svg>'
    )


def downsample(points: Sequence[Point], seconds: float) -> list[Point]:
    """Return the points in order of time, at most two per column: the lowest and the highest, so that no peak is lost.

    Args:
        points: The points, in any order.
        seconds: The length of the window, which is divided into MAX_COLUMNS columns.
    """
    ordered = sorted(points, key=lambda point: point.offset_seconds)
    if len(ordered) <= 2 * MAX_COLUMNS:
        return ordered
    kept: list[Point] = []
    column: list[Point] = []
    current = -1
    for point in ordered:
        at = int(point.offset_seconds / seconds * MAX_COLUMNS)
        if at != current:
            kept += _extremes(column)
            column, current = [], at
        column.append(point)
    return kept + _extremes(column)


def _extremes(column: Sequence[Point]) -> list[Point]:
    if not column:
        return []
    low = min(column, key=lambda point: point.value)
    high = max(column, key=lambda point: point.value)
    return [low] if low is high else sorted([low, high], key=lambda point: point.offset_seconds)


def legend(counts: Mapping[str, int], labels: Mapping[str, str]) -> str:
    """Return the legend of a grid: the kinds that occur, with their counts.

    Args:
        counts: The number of devices by kind.
        labels: The text by kind, in the order of the legend.
    """
    entries = (
        f'<span><i class="k-{kind}"></i>{text} <b>{counts[kind]:,}</b></span>'
        for kind, text in labels.items()
        if counts.get(kind)
    )
    return f'<p class="legend">{"".join(entries)}</p>'
