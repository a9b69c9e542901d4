"""The history of a fleet, which the scorer's report writes and the operator reads: a letter per device and window.

A tile has the windows of one length of one week; for windows of a day or longer, of one year. It is a gzip file. A
comment has the fleet, the length, the first window and the number of windows. The columns `Device,States` follow, with
a letter per window. Other clients may have changed a tile, so a reader bounds its size and rejects every deviation.

The scorer implements the rule in device_scorer.health.history; tests/contract compares the two.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scoring_operator.api.scoringrun import Window
from scoring_operator.contract.blob_paths import encode_id
from scoring_operator.errors import InvalidHistory

FAILED, NOT_RUN, UNKNOWN = "F-?"
STATES = "FEPSAN-?"
MAX_TILE_WINDOWS = 10_080  # a week of windows of a minute; shorter windows have no history
MAX_TILE_BYTES = 64 * 2**20  # before compression
MAX_PACKED_BYTES = 32 * 2**20

_BLOCK_BYTES = 2**18
_MAX_LINE_BYTES = MAX_TILE_WINDOWS + 4096
_DAY = timedelta(days=1)
_COLUMNS = b"Device,States"
_COMMENT = re.compile(
    rb"# fleet=(?P<fleet>[^ \n]{1,400}) length=PT(?P<length>\d{1,10})S first=(?P<first>\d{1,12}) "
    rb"windows=(?P<count>\d{1,6})"
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
        """The name of the tile's blob, in the container of predictions."""
        offset = self.first % self.length
        series = f"PT{self.length}S" + (f"+{offset}S" if offset else "")
        return f"_history/{encode_id(self.fleet)}/{series}/{self.label}.csv.gz"

    @property
    def previous(self) -> "TilePlace":
        """The place of the last window before this tile."""
        start = datetime.fromtimestamp(self.first - self.length, UTC)
        return _place(self.fleet, Window(start, start + timedelta(seconds=self.length)))


def place_of(fleet: str, window: Window) -> TilePlace | None:
    """Return the place of a window in the history, or None if the window is too short to have one.

    Args:
        fleet: The fleet's name.
        window: The window.
    """
    place = _place(fleet, window)
    return place if place.count <= MAX_TILE_WINDOWS else None


def window_number(window: Window) -> int:
    """Return the number of a window of its length since 1970-01-01T00:00:00Z."""
    return int(window.start.timestamp()) // int(window.length.total_seconds())


def read_tile(content: bytes, place: TilePlace, *, max_bytes: int = MAX_TILE_BYTES) -> Iterator[tuple[str, str]]:
    """Yield each device of a tile with its states, one letter per window.

    A damage may be found after some devices were yielded.

    Args:
        content: The content of the blob.
        place: The place of a window of the tile.
        max_bytes: The largest size before compression.

    Raises:
        InvalidHistory: The content is not the tile of this place.
    """
    lines = _unpacked_lines(content, place.name, max_bytes)
    match = _COMMENT.fullmatch(next(lines, b""))
    expected = (encode_id(place.fleet), str(place.length), str(place.first), str(place.count))
    same = match is not None and match.group("fleet", "length", "first", "count") == tuple(map(str.encode, expected))
    if not same or next(lines, b"") != _COLUMNS:
        raise InvalidHistory(f"{place.name} has another first line than a tile of its name")
    other = re.compile(rb"[^%s]" % re.escape(STATES.encode()))
    for line in lines:
        device, _, letters = line.rpartition(b",")
        if device.startswith(b'"') and device.endswith(b'"') and len(device) > 1:
            device = device[1:-1].replace(b'""', b'"')
        if not device or len(letters) != place.count or other.search(letters):
            raise InvalidHistory(f"{place.name} has a line that is not a device with {place.count} states")
        try:
            yield device.decode(), letters.decode()
        except UnicodeDecodeError as error:
            raise InvalidHistory(f"{place.name} is not UTF-8") from error


def _unpacked_lines(content: bytes, name: str, max_bytes: int) -> Iterator[bytes]:
    """Yield the lines of a compressed tile in blocks, so that a tile of 64 MiB needs little memory.

    Raises:
        InvalidHistory: The content is damaged or too large.
    """
    unpacker = zlib.decompressobj(31)
    packed, rest, size = content, b"", 0
    try:
        while not unpacker.eof:
            block = unpacker.decompress(packed, _BLOCK_BYTES)
            packed = unpacker.unconsumed_tail
            size += len(block)
            *lines, rest = (rest + block).split(b"\n")
            if size > max_bytes or len(rest) > _MAX_LINE_BYTES or not (block or packed or unpacker.eof):
                raise InvalidHistory(f"{name} is cut or too large")
            yield from lines
    except zlib.error as error:
        raise InvalidHistory(f"{name} is not gzip: {error}") from error
    if unpacker.unused_data:
        raise InvalidHistory(f"{name} has more than one part")
    if rest:
        yield rest


def _place(fleet: str, window: Window) -> TilePlace:
    start = window.start.astimezone(UTC)
    if window.length < _DAY:
        begin = datetime(start.year, start.month, start.day, tzinfo=UTC) - timedelta(days=start.weekday())
        end = begin + timedelta(days=7)
        year, week, _ = start.isocalendar()
        label = f"{year:04d}-W{week:02d}"
    else:
        begin, end = datetime(start.year, 1, 1, tzinfo=UTC), datetime(start.year + 1, 1, 1, tzinfo=UTC)
        label = f"{start.year:04d}"
    seconds, at = int(window.length.total_seconds()), int(start.timestamp())
    index = (at - int(begin.timestamp())) // seconds
    first = at - index * seconds
    count = -((first - int(end.timestamp())) // seconds)
    return TilePlace(fleet, seconds, first, count, index, label)
