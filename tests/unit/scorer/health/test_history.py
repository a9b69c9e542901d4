"""Tiles of the history."""

import gzip
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_scorer.health.history import (
    MAX_PACKED_BYTES,
    MAX_TILE_BYTES,
    MAX_TILE_WINDOWS,
    STATES,
    Tile,
    TileDamaged,
    TilePlace,
    decode_tile,
    place_of,
)
from device_scorer.window import FIRST_START, LAST_END, MAX_LENGTH, Window

HOUR = timedelta(hours=1)
START = datetime(2018, 8, 27, tzinfo=UTC)  # a Monday


def a_place(start: datetime = START, length: timedelta = HOUR, fleet: str = "plant") -> TilePlace:
    place = place_of(fleet, Window(start, start + length))
    assert place is not None
    return place


@pytest.mark.parametrize(
    ("start", "length", "name", "index", "count"),
    [
        (START, HOUR, "_history/plant/PT3600S/2018-W35.csv.gz", 0, 168),
        (START + 167 * HOUR, HOUR, "_history/plant/PT3600S/2018-W35.csv.gz", 167, 168),
        (START + 168 * HOUR, HOUR, "_history/plant/PT3600S/2018-W36.csv.gz", 0, 168),
        (START + HOUR / 2, HOUR, "_history/plant/PT3600S+1800S/2018-W35.csv.gz", 0, 168),
        (START, 24 * HOUR, "_history/plant/PT86400S/2018.csv.gz", 238, 365),
        (START, HOUR / 60, "_history/plant/PT60S/2018-W35.csv.gz", 0, 10_080),
        (datetime(2018, 12, 31, tzinfo=UTC), HOUR, "_history/plant/PT3600S/2019-W01.csv.gz", 0, 168),
        (START, 7 * HOUR, "_history/plant/PT25200S+18000S/2018-W35.csv.gz", 0, 24),
    ],
)
def test_window_has_its_place(start: datetime, length: timedelta, name: str, index: int, count: int) -> None:
    place = a_place(start, length)
    assert (place.name, place.index, place.count) == (name, index, count)
    assert place.first + place.index * place.length == int(start.timestamp())


@pytest.mark.parametrize("length", [HOUR, timedelta(days=1), MAX_LENGTH])
def test_first_and_last_windows_have_a_place_and_neighbours(length: timedelta) -> None:
    for start in (FIRST_START, LAST_END - length):
        place = place_of("plant", Window(start, start + length))
        assert place is not None
        assert place.previous.first < int(start.timestamp()) < place.following.first
        assert decode_tile(Tile(place).encode(), place) == Tile(place)


def test_window_of_seconds_has_no_place() -> None:
    assert place_of("plant", Window(START, START + timedelta(seconds=30))) is None


def test_place_before_a_tile_is_the_last_window_of_the_previous_one() -> None:
    previous = a_place().previous
    assert (previous.label, previous.index, previous.count) == ("2018-W34", 167, 168)
    assert previous.first + previous.count * 3600 == a_place().first


def test_tile_is_text_that_any_language_reads() -> None:
    tile = Tile(a_place()).with_column(3, {"press-2": "A", 'a,"b': "N"})
    lines = gzip.decompress(tile.encode()).decode().splitlines()
    assert lines[:2] == ["# fleet=plant length=PT3600S first=1535328000 windows=168", "Device,States"]
    assert lines[2] == f'"a,""b",???N{"?" * 164}'
    assert lines[3] == f"press-2,???A{'?' * 164}"


LETTERS = st.dictionaries(st.sampled_from(["a", "b,c", 'd"', "e'"]), st.sampled_from(sorted(STATES)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 167), LETTERS), max_size=8), st.randoms())
def test_order_and_repetition_of_reports_do_not_change_the_bytes(
    columns: list[tuple[int, dict[str, str]]], dice: random.Random
) -> None:
    last = dict(columns)  # the last report of a window wins

    def write(reports: list[tuple[int, dict[str, str]]]) -> bytes:
        tile = Tile(a_place())
        for index, letters in reports:
            tile = decode_tile(tile.with_column(index, letters).encode(), a_place())
        return tile.encode()

    shuffled = [*last.items(), *last.items()]
    dice.shuffle(shuffled)
    assert write(columns) == write(shuffled)


def test_device_that_is_missing_in_a_report_is_unknown_in_its_window() -> None:
    tile = Tile(a_place()).with_column(0, {"a": "N", "b": "N"}).with_column(0, {"a": "F"})
    assert tile.states == {"a": "F" + "?" * 167}


def test_tile_of_another_place_is_damaged() -> None:
    content = Tile(a_place()).with_column(0, {"a": "N"}).encode()
    for place in (a_place(fleet="other"), a_place(START + 168 * HOUR), a_place(length=HOUR / 2)):
        with pytest.raises(TileDamaged):
            decode_tile(content, place)


@pytest.mark.parametrize(
    "rows", ["a,N\n", f"a,{'X' * 168}\n", f"a,{'N' * 168}\na,{'N' * 168}\n", "\n", f",{'N' * 168}\n"]
)
def test_tile_with_an_invalid_line_is_damaged(rows: str) -> None:
    head = "# fleet=plant length=PT3600S first=1535328000 windows=168\nDevice,States\n"
    assert decode_tile(gzip.compress(head.encode()), a_place()).states == {}
    with pytest.raises(TileDamaged):
        decode_tile(gzip.compress((head + rows).encode()), a_place())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=6), st.integers(0, 120))
def test_changed_bytes_are_a_tile_or_damaged(noise: bytes, at: int) -> None:
    content = Tile(a_place()).with_column(0, {"a": "N", "b": "A"}).encode()
    try:
        tile = decode_tile(content[:at] + noise + content[at + len(noise) :], a_place())
    except TileDamaged:
        return
    assert all(len(states) == 168 and set(states) <= STATES for states in tile.states.values())


def test_bomb_is_damaged() -> None:
    with pytest.raises(TileDamaged, match="too large"):
        decode_tile(gzip.compress(bytes(MAX_TILE_BYTES + 1)), a_place())


def test_tile_has_at_most_10080_windows_64_mib_and_32_mib_compressed() -> None:
    assert (MAX_TILE_WINDOWS, MAX_TILE_BYTES, MAX_PACKED_BYTES) == (10_080, 67_108_864, 33_554_432)
