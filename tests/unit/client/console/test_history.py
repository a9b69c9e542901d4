import gzip
from datetime import timedelta

import pytest

from device_scorer.health import history as scorer_history
from device_scorer.window import Window as ScorerWindow
from fleetscore.console.history import MAX_WINDOWS, Tile, join_tiles, parse_tile
from fleetscore.errors import DataInvalid
from tests.testkit.console_fleet import COUNT, HOSTILE, START, tile

FIRST = int(START.timestamp())


def test_tile_of_the_scorer_is_read() -> None:
    place = scorer_history.place_of("hall 3", ScorerWindow(START, START + timedelta(hours=1)))
    assert place is not None
    written = scorer_history.Tile(place).with_column(2, {HOSTILE: "A", "press-1": "N"})
    found = parse_tile(written.encode(), "tile")
    assert (found.first, found.length, found.count) == (FIRST, 3600, COUNT)
    assert dict(found.states) == dict(written.states)


@pytest.mark.parametrize(
    "content",
    [
        b"text",
        gzip.compress(b"Device,States\n"),
        gzip.compress(b"# fleet=a length=PT0S first=0 windows=1\nDevice,States\na,N\n"),
        tile({"a": "N"})[:-9],
        tile({"a": "X"}),
        tile({"a": "N" * (COUNT + 1)}),
        gzip.compress(b"# fleet=a length=PT3600S first=0 windows=1\nDevice,States\n,N\n"),
        gzip.compress(b"\xff"),
    ],
    ids=["not gzip", "no comment", "no length", "cut", "unknown letter", "long line", "no device", "not UTF-8"],
)
def test_damaged_tile_is_invalid_and_named(content: bytes) -> None:
    with pytest.raises(DataInvalid, match=r"_history/t is invalid: .*; remove it"):
        parse_tile(content, "_history/t")


def test_history_ends_at_the_newest_known_window_and_spans_tiles() -> None:
    older = Tile(FIRST - COUNT * 3600, 3600, COUNT, {"a": "F" * COUNT})
    newer = Tile(FIRST, 3600, COUNT, {"b": "N?A".ljust(COUNT, "?")})
    found = join_tiles([older, newer])
    assert found.count == MAX_WINDOWS
    assert found.window(found.count - 1).start == START + timedelta(hours=2)
    assert found.states["a"] == "F" * (MAX_WINDOWS - 3) + "???"
    assert found.states["b"] == "?" * (MAX_WINDOWS - 3) + "N?A"
    assert found.columns[-1] == "?A"


def test_missing_week_between_tiles_is_unknown() -> None:
    older = Tile(FIRST - 4 * 3600, 3600, 2, {"a": "AF"})
    newer = Tile(FIRST, 3600, 2, {"a": "NN"})
    assert join_tiles([newer, older]).states == {"a": "AF??NN"}


def test_tiles_without_states_are_an_empty_history() -> None:
    assert join_tiles([Tile(FIRST, 3600, 2, {})]).columns == []


def test_devices_are_selected_by_state_glob_and_owner() -> None:
    found = join_tiles([Tile(FIRST, 3600, 2, {"a-1": "NA", "a-2": "NN", "b-1": "NA"})])
    assert list(found.select(letter="A")) == ["a-1", "b-1"]
    assert list(found.select(letter="A", pattern="a-*")) == ["a-1"]
    assert list(found.select(owners={"b-1": "Ann"}, owner="Ann")) == ["b-1"]
