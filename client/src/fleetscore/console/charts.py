"""Charts as inline SVG and PNG, drawn by the server, so that pages need no script.

The style sheet colours the SVG by class. Every text is escaped. A PNG has its colours in its palette.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from fleetscore.console.states import BY_LETTER, STATES

_WIDTH = 640
MAX_COLUMNS = _WIDTH // 2
"""Number of columns of a line chart: with its lowest and its highest reading, each has a point per pixel."""


@dataclass(frozen=True, slots=True)
class Point:
    """A reading.

    Attributes:
        position: The time in the window, from 0 to 1.
        value: The value.
        anomalous: True for an anomaly.
    """

    position: float
    value: float
    anomalous: bool = False


def state_strip(states: str, *, cell: int = 4) -> Markup:
    """Return the states of a device in a row, the newest last.

    Args:
        states: A letter per window.
        cell: The width of a window, in units of the SVG.
    """
    paths: dict[str, list[str]] = {}
    at = 0
    while at < len(states):
        end = at + 1
        while end < len(states) and states[end] == states[at]:
            end += 1
        paths.setdefault(states[at], []).append(f"M{at * cell},0h{(end - at) * cell}v12H{at * cell}z")
        at = end
    drawn = "".join(f'<path class="s-{BY_LETTER[key].name}" d="{"".join(path)}"/>' for key, path in paths.items())
    counts = ", ".join(f"{states.count(one.letter)} {one.text}" for one in STATES if one.letter in paths)
    width = len(states) * cell
    return _markup(
        f'<svg class="strip" viewBox="0 0 {width} 12" width="{width}" height="12" preserveAspectRatio="none" role="img"'
        f' aria-label="last {len(states)} windows: {counts}">{drawn}</svg>'
    )


def calendar(cells: Sequence[tuple[str, str]], *, columns: int, rows: Sequence[str]) -> Markup:
    """Return a grid of windows.

    Args:
        cells: The CSS class and the text of each window, row by row; an empty class for no window.
        columns: The number of windows of a row.
        rows: The label of each row.
    """
    drawn = []
    for index, (name, text) in enumerate(cells):
        if name:
            row, column = divmod(index, columns)
            drawn.append(
                f'<rect class="c-{name}" x="{74 + column * 16}" y="{row * 16}" width="14" height="14">'
                f"<title>{escape(text)}</title></rect>"
            )
    labels = "".join(f'<text x="0" y="{row * 16 + 11}">{escape(label)}</text>' for row, label in enumerate(rows))
    width = 74 + columns * 16
    return _markup(
        f'<svg class="calendar" viewBox="0 0 {width} {len(rows) * 16}" width="{width}" height="{len(rows) * 16}" '
        f'role="img" aria-label="coverage by window">{labels}{"".join(drawn)}</svg>'
    )


def column_chart(counts: Sequence[int], *, first: str, last: str, label: str) -> Markup:
    """Return a column chart of counts over time; its largest count is a label.

    Args:
        counts: The counts.
        first: The label of the left end.
        last: The label of the right end.
        label: The description for screen readers.
    """
    highest = max(counts, default=0)
    step = _WIDTH / max(len(counts), 1)
    bars = "".join(
        f"M{index * step:.1f},110v-{max(1.0, count / highest * 95):.1f}h{max(step - 1, 0.8):.1f}V110z"
        for index, count in enumerate(counts)
        if count
    )
    return _markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} 126" role="img" aria-label="{escape(label)}">'
        f'<path class="bars" d="{bars}"/><path class="axis" d="M0,110.5h{_WIDTH}"/>'
        f'{_ends(first, last)}<text x="{_WIDTH}" y="10" class="end">at most {highest:,}</text></svg>'
    )


def line_chart(points: Iterable[Point], *, first: str, last: str, label: str) -> Markup:
    """Return a line chart of the readings of a tag: dots for anomalies, and a band of all other readings.

    Args:
        points: The readings, in any order; each is drawn, so `device.downsample` bounds them.
        first: The label of the left end.
        last: The label of the right end.
        label: The description for screen readers.
    """
    ordered = sorted(points, key=lambda point: point.position)
    if not ordered:
        return _markup('<p class="placeholder">no readings</p>')
    low, high = min(one.value for one in ordered), max(one.value for one in ordered)
    span = (high / 2 - low / 2) or 1.0  # the difference of two readings may be too large for a number

    def y(value: float) -> float:
        return 104 - (value / 2 - low / 2) / span * 88

    normal = [one.value for one in ordered if not one.anomalous]
    band = ""
    if 0 < len(normal) < len(ordered):
        top, bottom = y(max(normal)), y(min(normal))
        band = f'<path class="band" d="M0,{top:.1f}h{_WIDTH}V{bottom:.1f}H0z"/>'
    places = [f"{one.position * _WIDTH:.1f},{y(one.value):.1f}" for one in ordered]
    dots = dict.fromkeys(f"M{place}h0" for place, one in zip(places, ordered, strict=True) if one.anomalous)
    return _markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} 126" role="img" aria-label="{escape(label)}">'
        f'<path class="axis" d="M0,110.5h{_WIDTH}"/>{band}<polyline points="{" ".join(places)}"/>'
        f'<path class="dots" d="{"".join(dots)}"/>{_ends(first, last)}'
        f'<text x="{_WIDTH}" y="10" class="end">{low:g} to {high:g}</text></svg>'
    )


def heat_map(rows: Sequence[str], *, dark: bool) -> bytes:
    """Return a PNG with a pixel per device and window.

    Args:
        rows: The letters of each device, all of the same number; at least one row.
        dark: True for the colours of the dark page.
    """
    table = bytes(
        next((index for index, one in enumerate(STATES) if ord(one.letter) == code), len(STATES) - 1)
        for code in range(256)
    )
    palette = b"".join(one.dark if dark else one.light for one in STATES)
    pixels = b"".join(b"\0" + row.encode().translate(table) for row in rows)
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", palette), (b"IDAT", zlib.compress(pixels, 3)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _ends(first: str, last: str) -> str:
    return f'<text x="0" y="123">{escape(first)}</text><text x="{_WIDTH}" y="123" class="end">{escape(last)}</text>'


def _markup(html: str) -> Markup:
    """Return HTML of this module, whose texts from outside are escaped."""
    return Markup(html)  # noqa: S704
