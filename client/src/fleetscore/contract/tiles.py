"""The tiles of a fleet's history: one letter per device and window.

A tile has the windows of one length of a week; for windows of a day or longer, of a year. It is gzip: a comment with
its fleet, length, first window and number of windows, the line `Device,States`, and a line per device. Other clients
can write a tile, so its size and its lines are checked.
"""

import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleetscore.contract.blob_paths import HISTORY_PREFIX, encode_id
from fleetscore.contract.windows import Window
from fleetscore.errors import DataInvalid, TooLarge

STATES = {
    "A": "anomalous",
    "S": "faulty sensor",
    "F": "failed",
    "E": "no readings",
    "P": "partly scored",
    "N": "normal",
    "-": "not run",
    "?": "unknown",
}
"""The meaning of each letter."""

UNKNOWN = "?"
MAX_PACKED_BYTES = 32 * 2**20
MAX_TILE_BYTES = 64 * 2**20
MAX_DEVICES = 250_000
"""Number of lines above which a tile is not read: short lines of 64 MiB would need a gigabyte of memory."""

MAX_LISTED_TILES = 10_000
MAX_SECONDS = 253_402_300_799
"""The last second of the year 9999 since the epoch."""

_COMMENT = re.compile(r"# fleet=\S+ length=PT(?P<length>\d{1,8})S first=(?P<first>\d{1,12}) windows=(?P<count>\d{1,5})")
_COLUMNS = "Device,States"
_LABEL = re.compile(r"(?P<year>\d{4})(?:-W(?P<week>\d\d))?\.csv\.gz")


@dataclass(frozen=True, slots=True)
class Tile:
    """The states of devices in consecutive windows.

    Attributes:
        first: The start of the first window, in seconds since the epoch.
        length: The length of a window, in seconds.
        count: The number of windows.
        states: The letters of each device, one per window.
    """

    first: int
    length: int
    count: int
    states: Mapping[str, str]

    @property
    def end(self) -> int:
        """The end of the last window, in seconds since the epoch."""
        return self.first + self.length * self.count


def history_prefix(fleet: str) -> str:
    """Return the prefix of the names of a fleet's tiles."""
    return f"{HISTORY_PREFIX}{encode_id(fleet)}/"


def series_label(window: Window) -> str:
    """Return the last folder of the names of the tiles with a window: those of its length and offset."""
    length = int(window.length.total_seconds())
    offset = int(window.start.timestamp()) % length
    return f"PT{length}S{f'+{offset}S' * bool(offset)}"


def largest_series(tiles: Iterable[tuple[str, int]], label: str = "") -> list[str]:
    """Return the names of the tiles of the series with the most bytes, in order.

    A fleet has one series for each length and offset of its windows.

    Args:
        tiles: The names of blobs, and their sizes in bytes.
        label: The label of the series; empty for any.

    Raises:
        TooLarge: There are more than MAX_LISTED_TILES blobs.
    """
    series: dict[str, list[tuple[str, int]]] = {}
    for number, (name, size) in enumerate(tiles):
        folder, _, file = name.rpartition("/")
        if number == MAX_LISTED_TILES:
            text = f"the history has more than {MAX_LISTED_TILES:,} blobs"
            raise TooLarge(f"{text}; remove those below {name.partition('/')[0]}/ that no report has written")
        if _LABEL.fullmatch(file) and label in ("", folder.rpartition("/")[2]):
            series.setdefault(folder, []).append((name, size))
    found = max(series.values(), key=lambda one: (sum(size for _, size in one), one), default=[])
    return sorted(name for name, _ in found)


def overlaps(name: str, start: datetime, end: datetime) -> bool:
    """Return True if windows of a tile may begin in [start, end).

    Args:
        name: The name of the tile.
        start: The first instant, in UTC.
        end: The first instant after the windows, in UTC.
    """
    match = _LABEL.fullmatch(name.rpartition("/")[2])
    if match is None:
        return False
    try:
        if match["week"]:
            first = datetime.fromisocalendar(int(match["year"]), int(match["week"]), 1).replace(tzinfo=UTC)
            return first - timedelta(days=1) < end and start < first + timedelta(days=8)
        year = int(match["year"])
        return year <= end.year and start.year <= year + 1  # the first window of a year may begin in the year before
    except (ValueError, OverflowError):
        return False


def parse_tile(content: bytes, name: str, *, max_bytes: int = MAX_TILE_BYTES, max_devices: int = MAX_DEVICES) -> Tile:
    """Return the tile of a blob.

    Args:
        content: The blob, which other clients can write.
        name: The name of the blob, for messages.
        max_bytes: The largest size of the unpacked tile, in bytes.
        max_devices: The largest number of devices.

    Raises:
        DataInvalid: The blob is not a tile, or a larger one.
    """
    text = _unpack(content, name, max_bytes)
    comment, _, rest = text[:1000].partition("\n")
    match = _COMMENT.fullmatch(comment)
    if match is None or not f"{rest}\n".startswith(f"{_COLUMNS}\n"):
        raise DataInvalid(f"{name} is invalid: its first lines are not those of a history; remove it")
    first, length, count = (int(match[key]) for key in ("first", "length", "count"))
    if not length or not count or first + length * count > MAX_SECONDS:
        raise DataInvalid(f"{name} is invalid: its windows have no length, or end after the year 9999; remove it")
    states = {}
    for line in _lines(text, len(comment) + len(_COLUMNS) + 2):
        device, letters = _split(line)
        if not device or len(letters) != count or not STATES.keys() >= set(letters):
            raise DataInvalid(f"{name} is invalid: a line is not a device with {count} states; remove it")
        states[sys.intern(device)] = letters
        if len(states) > max_devices:
            raise DataInvalid(f"{name} is invalid: it has more than {max_devices:,} devices; remove it")
    return Tile(first, length, count, states)


def states_between(tile: Tile, start: datetime, end: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
    """Yield the start of each window of a tile that begins in [start, end), and the letter of each device in it."""
    for index in range(tile.count):
        begin = datetime.fromtimestamp(tile.first + index * tile.length, UTC)
        if start <= begin < end:
            yield begin, {device: letters[index] for device, letters in tile.states.items()}


def _lines(text: str, at: int) -> Iterator[str]:
    """Yield the lines after a position, one at a time: a tile can have 60 MB."""
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        yield text[at:end]
        at = end + 1


def _split(line: str) -> tuple[str, str]:
    name, _, letters = line.rpartition(",")
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        name = name[1:-1].replace('""', '"')
    return name, letters


def _unpack(content: bytes, name: str, max_bytes: int) -> str:
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(content, max_bytes)
        if not unpacker.eof or unpacker.unused_data:
            text = f"{name} is invalid: it is cut, has more than one part, or is larger than {max_bytes:,} bytes"
            raise DataInvalid(f"{text}; remove it")
        return plain.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise DataInvalid(f"{name} is invalid: {error}; remove it") from error
