"""Charts of the report as inline SVG, drawn by hand. Pure.

Why no chart library: matplotlib would bring 30 MB into every scorer's image for one Job an hour, and a JavaScript one
200 KB or more into every page; bars, a line with dots and a grid of squares are some lines each. Colours are classes,
which the page's style sheet fills for light and dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, sqrt

CELL_SIZE = 10
_MAX_COLUMNS = 240  # columns of a series; each holds the lowest and highest value that falls into it
_WIDTH, _HEIGHT = 320.0, 84.0


@dataclass(frozen=True, slots=True)
class Point:
    """A reading to be drawn: seconds since the window's start, and whether it is an anomaly."""

    offset_seconds: float
    value: float
    anomalous: bool


def device_grid(cell_kinds: Sequence[str]) -> str:
    """A square per device in order, coloured by its kind: one path per kind, so that 10,000 squares are 150 KB."""
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
        f'aria-label="{len(cell_kinds)} devices" style="max-width:{min(1200, columns * 22)}px">{drawn}</svg>'
    )


def column_chart(counts: Sequence[int], *, first: str, last: str) -> str:
    """Counts over the window as columns, labelled at both ends and with the largest."""
    most = max(counts, default=0)
    if not most:
        return '<p class="none">none</p>'
    step = _WIDTH / len(counts)
    bars = "".join(
        f'<path d="M{index * step:.1f},70h{step - 1:.1f}v-{max(1.0, count / most * 60):.1f}h-{step - 1:.1f}z">'
        f"<title>{count:,}</title></path>"
        for index, count in enumerate(counts)
        if count
    )
    return (
        f'<svg class="columns" viewBox="0 0 {_WIDTH:.0f} 84" role="img" aria-label="anomalies over the window">'
        f'<g class="bad">{bars}</g><path class="axis" d="M0,70.5h{_WIDTH:.0f}"/>'
        f'<text x="0" y="81">{escape(first)}</text><text x="{_WIDTH:.0f}" y="81" class="end">{escape(last)}</text>'
        f'<text x="{_WIDTH:.0f}" y="8" class="end">at most {most:,}</text></svg>'
    )


def bar_chart(entries: Sequence[tuple[str, int, str]], *, kind: str = "bad") -> str:
    """Horizontal bars: (label, number, words behind it)."""
    most = max((number for _, number, _ in entries), default=0)
    drawn = "".join(
        f'<span title="{escape(label)}">{escape(label)}</span>'
        f'<i><b class="{kind}" style="width:{number / most * 100 if most else 0:.1f}%"></b></i><em>{escape(words)}</em>'
        for label, number, words in entries
    )
    return f'<div class="bars">{drawn}</div>'


def line_chart(points: Sequence[Point], *, seconds: float, first: str, last: str, label: str) -> str:
    """One tag's readings over the window: a line, its anomalies as dots on it."""
    values = [point.value for point in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def coordinates(point: Point) -> str:
        x = min(max(point.offset_seconds / seconds, 0.0), 1.0) * (_WIDTH - 8) + 4
        return f"{x:.1f},{64 - (point.value - low) / span * 48:.1f}"

    line = " ".join(coordinates(point) for point in downsample(points, seconds))
    dots = {coordinates(point): point for point in points if point.anomalous}
    drawn = "".join(f"M{spot}h0" for spot in list(dots)[: 2 * _MAX_COLUMNS])
    return (
        f'<svg class="series" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{escape(label)}">'
        f'<path class="axis" d="M0,70.5h{_WIDTH:.0f}"/><polyline points="{line}"/><path class="dots" d="{drawn}"/>'
        f'<text x="0" y="81">{escape(first)}</text><text x="{_WIDTH:.0f}" y="81" class="end">{escape(last)}</text>'
        f'<text x="{_WIDTH:.0f}" y="7" class="end">{low:g} to {high:g}</text></svg>'
    )


def downsample(points: Sequence[Point], seconds: float) -> list[Point]:
    """The points in order of time; of many, only the lowest and highest of each column, so that no peak is lost."""
    ordered = sorted(points, key=lambda point: point.offset_seconds)
    if len(ordered) <= 2 * _MAX_COLUMNS:
        return ordered
    kept: list[Point] = []
    column: list[Point] = []
    current = -1
    for point in ordered:
        at = int(point.offset_seconds / seconds * _MAX_COLUMNS)
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
    """The kinds of a grid that occur, with their numbers, in the order of `words`."""
    entries = (
        f'<span><i class="k-{kind}"></i>{text} <b>{counts[kind]:,}</b></span>'
        for kind, text in labels.items()
        if counts.get(kind)
    )
    return f'<p class="legend">{"".join(entries)}</p>'
