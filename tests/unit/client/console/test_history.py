from datetime import timedelta

from fleetscore.console.history import join_tiles, known_part
from fleetscore.contract.tiles import Tile
from tests.testkit.console_fleet import COUNT, START

FIRST = int(START.timestamp())


def test_history_ends_at_the_newest_known_window_and_spans_tiles() -> None:
    older = Tile(FIRST - COUNT * 3600, 3600, COUNT, {"a": "F" * COUNT})
    newer = Tile(FIRST, 3600, COUNT, {"b": "N?A".ljust(COUNT, "?")})
    found = join_tiles([older, newer])
    assert found.count == 168
    assert found.window(found.count - 1).start == START + timedelta(hours=2)
    assert found.states["a"] == "F" * 165 + "???"
    assert found.states["b"] == "?" * 165 + "N?A"
    assert found.columns[-1] == "?A"


def test_windows_before_the_first_known_one_are_not_missing() -> None:
    young = Tile(FIRST, 3600, 6, {"a": "??N?A?", "b": "???N??"})
    found = join_tiles([young])
    assert (found.states, found.window(0).start) == ({"a": "N?A", "b": "?N?"}, START + timedelta(hours=2))
    assert join_tiles([young], max_windows=4).states == {"a": "?N?A", "b": "??N?"}


def test_missing_week_between_tiles_is_unknown() -> None:
    older = Tile(FIRST - 4 * 3600, 3600, 2, {"a": "AF"})
    newer = Tile(FIRST, 3600, 2, {"a": "NN"})
    assert join_tiles([newer, older]).states == {"a": "AF??NN"}


def test_known_part_ends_at_the_newest_known_window_that_has_begun() -> None:
    tile = Tile(FIRST, 3600, 6, {"a": "NAN?S?", "b": "N?????"})
    late = START + timedelta(hours=9)
    assert known_part(tile, late, 3) == Tile(FIRST + 2 * 3600, 3600, 3, {"a": "N?S", "b": "???"})
    assert known_part(tile, START + timedelta(hours=3)) == Tile(FIRST, 3600, 3, {"a": "NAN", "b": "N??"})
    assert known_part(tile, START - timedelta(seconds=1)) is None


def test_tiles_without_states_are_an_empty_history() -> None:
    assert join_tiles([Tile(FIRST, 3600, 2, {})]).columns == []


def test_devices_are_selected_by_state_glob_and_owner() -> None:
    found = join_tiles([Tile(FIRST, 3600, 2, {"a-1": "NA", "a-2": "NN", "b-1": "NA"})])
    assert list(found.select(letter="A")) == ["a-1", "b-1"]
    assert list(found.select(letter="A", pattern="a-*")) == ["a-1"]
    assert list(found.select(owners={"b-1": "Ann"}, owner="Ann")) == ["b-1"]
