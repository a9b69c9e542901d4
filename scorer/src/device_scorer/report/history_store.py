"""The tiles of the history in storage: a change of one column that no other report can undo, and reading."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from device_scorer.errors import BlobUnreadable
from device_scorer.health.history import (
    HISTORY_FOLDER,
    MAX_PACKED_BYTES,
    UNKNOWN,
    Tile,
    TileDamaged,
    TilePlace,
    decode_tile,
)
from device_scorer.health.incidents import History
from device_scorer.health.mutes import MAX_MUTES_BYTES, Mutes, parse_mutes
from device_scorer.health.spells import is_settled
from device_scorer.store.base import Blob, Store, md5_hex
from device_scorer.store.conditional_write import write_if_unchanged
from device_scorer.window import Window

MAX_TILES = 53
"""Number of tiles that are read for incidents: a year of weeks. An older incident begins with the first of them."""

MAX_LETTERS = 20_000_000
"""Number of states in memory above which no earlier tile is read: 14 MB for a week of hours of 100,000 devices."""

MUTES_FILE = "_mutes.csv"
_TILE_NAME = re.compile(HISTORY_FOLDER + r"/[^/]+/[^/]+/\d{4}(-W\d{2})?\.csv\.gz")


@dataclass(frozen=True)
class HistoryStore:
    """The history of a fleet in a store.

    Attributes:
        store: The store.
        problems: Receives a sentence for each damaged file.
        sleep: A function that waits between attempts, for a number of seconds.
    """

    store: Store
    problems: list[str] = field(default_factory=list)
    sleep: Callable[[float], None] = time.sleep

    def set_column(self, place: TilePlace, letters: Mapping[str, str]) -> Tile:
        """Set the states of one window and return the tile. A damaged tile is stored under another name first.

        Args:
            place: The place of the window.
            letters: The letter of each device.

        Raises:
            StorageUnavailable: Other reports changed the tile too often.
            TileTooLarge: The fleet has too many devices for its number of windows.
        """

        def change() -> tuple[Tile, bytes | None, str | None]:
            tile, blob = self._read(place)
            changed = tile.with_column(place.index, letters)
            content = changed.encode()
            if blob is None:
                return changed, content, None
            return changed, None if blob.content == content else content, blob.etag

        return write_if_unchanged(self.store, place.name, change, sleep=self.sleep)

    def load(self, tile: Tile, close_after: int) -> History:
        """Return the history up to the window of a tile's place, as far back as incidents need it.

        Earlier tiles are read while a spell may have begun before the first window. The windows of a missing tile are
        unknown and change nothing, so tiles before it are read too.

        Args:
            tile: The tile of the window.
            close_after: The number of normal windows that end a spell.
        """
        place = tile.place
        states = {device: text[: place.index + 1] for device, text in tile.states.items()}
        first, count = place.first, place.index + 1
        truncated, oldest = True, ""
        for number in range(MAX_TILES):
            if all(is_settled(text[:-1], close_after) for text in states.values()):
                truncated = False
                break
            if number == MAX_TILES - 1 or count * len(states) > MAX_LETTERS:
                break
            place = place.previous
            earlier, blob = self._read(place)
            if blob is None:
                oldest = oldest or self._oldest_name(place)
                if oldest >= place.name:
                    truncated = False
                    break
            blank = UNKNOWN * place.count
            now = UNKNOWN * count
            states = {
                device: earlier.states.get(device, blank) + states.get(device, now)
                for device in states.keys() | earlier.states.keys()
            }
            first, count = place.first, count + place.count
        return History(states, first, place.length, truncated)

    def load_mutes(self, window: Window) -> Mutes:
        """Return the mutes that apply in a window."""
        try:
            blob = self.store.read("predictions", MUTES_FILE, max_bytes=MAX_MUTES_BYTES)
        except BlobUnreadable as error:
            return Mutes((), [f"{error}; no device is muted"])
        return Mutes() if blob is None else parse_mutes(blob.content, window)

    def _oldest_name(self, place: TilePlace) -> str:
        """Return the name of the oldest tile of the place's series, at most the place's own. Names sort by time."""
        prefix = f"{place.name.rpartition('/')[0]}/"
        names = (info.name for info in self.store.list("predictions", prefix, with_metadata=False))
        return min([place.name, *filter(_TILE_NAME.fullmatch, names)])

    def _read(self, place: TilePlace) -> tuple[Tile, Blob | None]:
        """Return the tile, empty if it is missing or damaged, and its blob."""
        try:
            blob = self.store.read("predictions", place.name, max_bytes=MAX_PACKED_BYTES)
            return (Tile(place), None) if blob is None else (decode_tile(blob.content, place), blob)
        except TileDamaged as error:
            assert blob is not None  # noqa: S101  only its content can be damaged
            self._set_aside(place, blob, str(error))
        except BlobUnreadable as error:
            info = self.store.head("predictions", place.name)
            self._add_problem(f"{error}; the history of its windows begins again")
            blob = None if info is None else Blob(b"", info.etag)
        return Tile(place), blob

    def _set_aside(self, place: TilePlace, blob: Blob, error: str) -> None:
        name = f"{place.name.removesuffix('.csv.gz')}.damaged-{md5_hex(blob.content)[:12]}.csv.gz"
        self.store.write("predictions", name, blob.content)
        self._add_problem(f"{error}; it is stored as {name}, and the history of its windows begins again")

    def _add_problem(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
