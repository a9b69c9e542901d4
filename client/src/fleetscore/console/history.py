"""The history of a fleet in memory: one letter per device and window, from the tiles that reports write. Pure.

A tile is gzip: a comment with its fleet, length, first window and number of windows, the line `Device,States`, and a
line per device. Other clients can write a tile, so its size and its lines are checked.
"""

import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from fleetscore.console.states import BY_LETTER
from fleetscore.contract.windows import Window
from fleetscore.errors import DataInvalid

MAX_PACKED_BYTES = 32 * 2**20
MAX_TILE_BYTES = 64 * 2**20
MAX_WINDOWS = 168
UNKNOWN = "?"
_COMMENT = re.compile(r"# fleet=\S+ length=PT(?P<length>\d{1,8})S first=(?P<first>\d{1,12}) windows=(?P<count>\d{1,5})")
_COLUMNS = "Device,States"
_LETTERS = frozenset(BY_LETTER)


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


@dataclass(frozen=True, slots=True)
class History:
    """The states of the devices in the last windows.

    Attributes:
        first: The start of the first window, in seconds since the epoch.
        length: The length of a window, in seconds.
        count: The number of windows.
        states: The letters of each device in the order of the ids, one per window.
    """

    first: int = 0
    length: int = 3600
    count: int = 0
    states: Mapping[str, str] = field(default_factory=dict)

    @property
    def windows(self) -> list[Window]:
        """The windows, the oldest first."""
        return [self.window(index) for index in range(self.count)]

    def window(self, index: int) -> Window:
        """Return the window at an index."""
        start = datetime.fromtimestamp(self.first + index * self.length, UTC)
        return Window(start, start + timedelta(seconds=self.length))

    @property
    def columns(self) -> list[str]:
        """The letters of all devices, one text per window."""
        text = "".join(self.states.values())
        return [text[index :: self.count] for index in range(self.count)]

    def select(
        self, *, letter: str = "", pattern: str = "", owners: Mapping[str, str] | None = None, owner: str = ""
    ) -> dict[str, str]:
        """Return the states of some devices.

        Args:
            letter: The state in the last window; empty for any.
            pattern: A glob of device ids; empty for any.
            owners: The owner by device.
            owner: The owner of the devices; empty for any.
        """
        known = owners or {}
        return {
            device: states
            for device, states in self.states.items()
            if (not letter or states[-1] == letter)
            and (not pattern or fnmatchcase(device, pattern))
            and (not owner or known.get(device) == owner)
        }


def parse_tile(content: bytes, name: str) -> Tile:
    """Return the tile of a blob.

    Args:
        content: The blob, which other clients can write.
        name: The name of the blob, for messages.

    Raises:
        DataInvalid: The blob is not a tile.
    """
    text = _unpack(content, name)
    comment, _, rest = text[:1000].partition("\n")
    match = _COMMENT.fullmatch(comment)
    if match is None or not f"{rest}\n".startswith(f"{_COLUMNS}\n"):
        raise DataInvalid(f"{name} is invalid: its first lines are not those of a history; remove it")
    first, length, count = (int(match[key]) for key in ("first", "length", "count"))
    if not length or not count:
        raise DataInvalid(f"{name} is invalid: its windows have no length; remove it")
    states = {}
    for line in _lines(text, len(comment) + len(_COLUMNS) + 2):
        device, letters = _split(line)
        if not device or len(letters) != count or not _LETTERS.issuperset(letters):
            raise DataInvalid(f"{name} is invalid: a line is not a device with {count} states; remove it")
        states[sys.intern(device)] = letters
    return Tile(first, length, count, states)


def join_tiles(tiles: Iterable[Tile], max_windows: int = MAX_WINDOWS) -> History:
    """Return the history of the last windows up to the newest one with a known state.

    Args:
        tiles: The tiles of one length, in any order; those that overlap an earlier one are not used.
        max_windows: The largest number of windows.
    """
    ordered = sorted((one for one in tiles if one.states), key=lambda tile: tile.first, reverse=True)
    if not ordered:
        return History()
    newest = ordered[0]
    end = newest.first + newest.length * max(len(states.rstrip(UNKNOWN)) for states in newest.states.values())
    states = {device: text[: (end - newest.first) // newest.length] for device, text in newest.states.items()}
    first = newest.first
    for tile in ordered[1:]:
        gap = (first - tile.first) // tile.length - tile.count
        if (end - first) // newest.length >= max_windows or gap < 0 or tile.length != newest.length:
            break
        gap = min(gap, max_windows)
        blank, now = UNKNOWN * tile.count, UNKNOWN * ((end - first) // tile.length)
        between = UNKNOWN * gap
        states = {
            device: tile.states.get(device, blank) + between + states.get(device, now)
            for device in states.keys() | tile.states.keys()
        }
        first -= (gap + tile.count) * tile.length
    count = min(max_windows, (end - first) // newest.length)
    kept = {device: states[device][-count:] for device in sorted(states)} if count else {}
    return History(end - count * newest.length, newest.length, count, kept)


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


def _unpack(content: bytes, name: str) -> str:
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(content, MAX_TILE_BYTES)
        if not unpacker.eof:
            raise DataInvalid(f"{name} is invalid: it is cut or larger than {MAX_TILE_BYTES:,} bytes; remove it")
        return plain.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise DataInvalid(f"{name} is invalid: {error}; remove it") from error
