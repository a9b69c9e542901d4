"""Tiles of a fleet's history, with the states of devices before or around a window."""

import gzip
from collections.abc import Mapping

from scoring_operator.api.scoringrun import Window
from scoring_operator.contract.history import TilePlace, place_of


def encode_tile(place: TilePlace, states: Mapping[str, str]) -> bytes:
    """Return the bytes of a tile, whose device ids need no quotes."""
    head = f"# fleet={place.fleet} length=PT{place.length}S first={place.first} windows={place.count}\nDevice,States\n"
    return gzip.compress((head + "".join(f"{device},{states[device]}\n" for device in states)).encode())


def tiles_before(window: Window, fleet: str = "default", **letters: str) -> dict[str, bytes]:
    """Return the tiles, by name, in which devices have these states in the windows before one, the last letter last."""
    place = place_of(fleet, window)
    assert place is not None
    left, end, tiles = dict(letters), place.index, {}
    while any(left.values()):
        states = {}
        for device, text in left.items():
            here = text[len(text) - end :] if end < len(text) else text
            here = here if end else ""
            left[device] = text[: len(text) - len(here)]
            states[device] = here.rjust(end, "?").ljust(place.count, "?")
        tiles[place.name] = encode_tile(place, states)
        place = place.previous
        end = place.index + 1
    return tiles
