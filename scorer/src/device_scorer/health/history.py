"""The history of a fleet: the state of each device in each window, as letters in tiles.

A tile has the windows of one length of one week; for windows of a day or longer, of one year. Its text is a comment
with the fleet, the length, the first window and the number of windows, then `Device,States` with a letter per window.
A report sets the column of its window and nothing else, so the order of reports does not matter. Equal tiles have equal
bytes.
"""

import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from device_scorer.contract.blob_paths import encode_id
from device_scorer.errors import BlobUnreadable, ScorerError
from device_scorer.window import Window

FAILED, EMPTY, PARTIAL, SENSOR, ANOMALOUS, NORMAL, NOT_RUN, UNKNOWN = "FEPSAN-?"
STATES = frozenset("FEPSAN-?")
HISTORY_FOLDER = "_history"
"""The folder of the histories in the container of predictions, with a folder per fleet."""

MAX_TILE_WINDOWS = 10_080
"""Windows of a tile: a week of windows of a minute. Shorter windows have no history."""

MAX_TILE_BYTES = 64 * 2**20
"""Size of a tile before compression: a week of hours of 250,000 devices has less."""

MAX_PACKED_BYTES = 32 * 2**20
_DAY = timedelta(days=1)
_COLUMNS = "Device,States"
_COMMENT = re.compile(
    r"# fleet=(?P<fleet>[^ \n]{1,400}) length=PT(?P<length>\d{1,10})S first=(?P<first>\d{1,12}) "
    r"windows=(?P<count>\d{1,6})"
)


@dataclass(frozen=True, slots=True)
class TilePlace:
    """The place of a window in the history.

    Attributes:
        fleet: The fleet's name.
        length: The length of the windows, in seconds.
        first: The start of the tile's first window, in seconds since the epoch.
        count: The number of windows of the tile.
        index: The index of the window in the tile.
        label: The week or year of the tile, such as 2018-W35 or 2018.
    """

    fleet: str
    length: int
    first: int
    count: int
    index: int
    label: str

    @property
    def name(self) -> str:
        """The name of the tile's blob."""
        return f"{HISTORY_FOLDER}/{encode_id(self.fleet)}/{self.series}/{self.label}.csv.gz"

    @property
    def series(self) -> str:
        """The length of the windows, and their offset if they are not aligned to it, such as PT3600S+1800S."""
        offset = self.first % self.length
        return f"PT{self.length}S" + (f"+{offset}S" if offset else "")

    @property
    def previous(self) -> "TilePlace":
        """The place of the last window before this tile."""
        start = datetime.fromtimestamp(self.first - self.length, UTC)
        return _place(self.fleet, Window(start, start + timedelta(seconds=self.length)))

    @property
    def following(self) -> "TilePlace":
        """The place of the first window after this tile."""
        start = datetime.fromtimestamp(self.first + self.count * self.length, UTC)
        return _place(self.fleet, Window(start, start + timedelta(seconds=self.length)))


class TileTooLarge(ScorerError):  # noqa: N818  see errors.py
    """A tile has more than MAX_TILE_BYTES."""


class TileDamaged(BlobUnreadable):
    """A tile's content is not that of its place."""


@dataclass(frozen=True)
class Tile:
    """The states of a fleet in the windows of a tile.

    Attributes:
        place: The place of any of its windows.
        states: The letters of each device, one per window. Devices without a known state are missing.
    """

    place: TilePlace
    states: Mapping[str, str] = field(default_factory=dict)

    def with_column(self, index: int, letters: Mapping[str, str]) -> "Tile":
        """Return the tile with other states in one window.

        Args:
            index: The index of the window.
            letters: The letter of each device. Other devices are unknown in this window.
        """
        blank = UNKNOWN * self.place.count
        states: dict[str, str] = {}
        for device in self.states.keys() | letters.keys():
            old, letter = self.states.get(device, blank), letters.get(device, UNKNOWN)
            new = old if old[index] == letter else f"{old[:index]}{letter}{old[index + 1 :]}"
            if new != blank and "\n" not in device:
                states[device] = new
        return Tile(self.place, states)

    def encode(self) -> bytes:
        """Return the tile as gzip, the same bytes for equal tiles.

        Raises:
            TileTooLarge: The tile is larger than MAX_TILE_BYTES.
        """
        place = self.place
        fleet = encode_id(place.fleet)
        head = f"# fleet={fleet} length=PT{place.length}S first={place.first} windows={place.count}\n{_COLUMNS}\n"
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # gzip without a name and a time
        packed, size = [packer.compress(head.encode())], len(head)
        for device in sorted(self.states):
            line = f"{_quote(device)},{self.states[device]}\n".encode()
            packed.append(packer.compress(line))
            size += len(line)
        if size > MAX_TILE_BYTES:
            raise TileTooLarge(f"{place.name} would have more than {MAX_TILE_BYTES:,} bytes")
        return b"".join([*packed, packer.flush()])


def place_of(fleet: str, window: Window) -> TilePlace | None:
    """Return the place of a window in the history, or None if the window is too short to have one.

    Args:
        fleet: The fleet's name.
        window: The window.
    """
    place = _place(fleet, window)
    return place if place.count <= MAX_TILE_WINDOWS else None


def decode_tile(content: bytes, place: TilePlace) -> Tile:
    """Return the tile of a blob.

    Args:
        content: The content of the blob, which other clients may have changed.
        place: The place of a window of the tile.

    Raises:
        TileDamaged: The content is another one.
    """
    text = _unpack(content)
    comment, _, columns = text[:1000].partition("\n")
    match = _COMMENT.fullmatch(comment)
    at = len(comment) + len(_COLUMNS) + 2
    expected = (encode_id(place.fleet), str(place.length), str(place.first), str(place.count))
    same = match is not None and match.group("fleet", "length", "first", "count") == expected
    if not same or not f"{columns}\n".startswith(f"{_COLUMNS}\n"):
        raise TileDamaged(f"{place.name} has another first line than a tile of its name")
    states: dict[str, str] = {}
    for line in _lines(text, at):
        device, letters = _split(line)
        if device in states or not device or len(letters) != place.count or not STATES.issuperset(letters):
            raise TileDamaged(f"{place.name} has a line that is not a device with {place.count} states")
        states[sys.intern(device)] = letters
    return Tile(place, states)


def _quote(device: str) -> str:
    """Return the id as a field of a CSV. Line breaks are not possible in one."""
    return '"' + device.replace('"', '""') + '"' if "," in device or '"' in device else device


def _lines(text: str, at: int) -> Iterator[str]:
    """Yield the lines after a position, one at a time: a tile may have 60 MB."""
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        yield text[at:end]
        at = end + 1


def _split(line: str) -> tuple[str, str]:
    field, _, text = line.rpartition(",")
    if field.startswith('"') and field.endswith('"') and len(field) > 1:
        field = field[1:-1].replace('""', '"')
    return field, text


def _unpack(content: bytes) -> str:
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(content, MAX_TILE_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            raise TileDamaged("the history is damaged: it is cut or too large")
        return plain.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise TileDamaged(f"the history is damaged: {error}") from error


def _place(fleet: str, window: Window) -> TilePlace:
    start, length = window.start, window.end - window.start
    if length < _DAY:
        begin = datetime(start.year, start.month, start.day, tzinfo=UTC) - timedelta(days=start.weekday())
        end = begin + timedelta(days=7)
        year, week, _ = start.isocalendar()
        label = f"{year:04d}-W{week:02d}"
    else:
        begin, end = datetime(start.year, 1, 1, tzinfo=UTC), datetime(start.year + 1, 1, 1, tzinfo=UTC)
        label = f"{start.year:04d}"
    seconds, at = int(length.total_seconds()), int(start.timestamp())
    index = (at - int(begin.timestamp())) // seconds
    first = at - index * seconds
    count = -((first - int(end.timestamp())) // seconds)
    return TilePlace(fleet, seconds, first, count, index, label)
