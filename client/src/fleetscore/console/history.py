"""The history of a fleet in memory: one letter per device and window, joined from the tiles of storage."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import translate

from fleetscore.contract.tiles import UNKNOWN, Tile
from fleetscore.contract.windows import Window

MAX_WINDOWS = 168


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
        # fnmatchcase keeps 32,768 patterns of its callers, which are any text here; re keeps 512.
        matches = re.compile(translate(pattern)).match
        return {
            device: states
            for device, states in self.states.items()
            if (not letter or states[-1] == letter)
            and (not pattern or matches(device))
            and (not owner or known.get(device) == owner)
        }


def known_part(tile: Tile, latest: datetime, max_windows: int = MAX_WINDOWS) -> Tile | None:
    """Return the last windows of a tile, up to the newest one with a known state; None without one.

    Args:
        tile: The tile.
        latest: The time after which a window cannot have begun; the states of later windows are left out.
        max_windows: The largest number of windows.
    """
    begun = max(0, (int(latest.timestamp()) - tile.first) // tile.length + 1)
    end = max((len(states[:begun].rstrip(UNKNOWN)) for states in tile.states.values()), default=0)
    start = max(0, end - max_windows)
    states = {device: letters[start:end] for device, letters in tile.states.items()}
    return Tile(tile.first + start * tile.length, tile.length, end - start, states) if end else None


def join_tiles(tiles: Iterable[Tile], max_windows: int = MAX_WINDOWS) -> History:
    """Return the history of the last windows up to the newest one with a known state.

    A history that is shorter than that begins with the first known state: earlier windows are not missing.

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
    count = (end - first) // newest.length
    if count <= max_windows:
        count = max((len(text.lstrip(UNKNOWN)) for text in states.values()), default=0)
    count = min(max_windows, count)
    kept = {device: states[device][-count:] for device in sorted(states)} if count else {}
    return History(end - count * newest.length, newest.length, count, kept)
