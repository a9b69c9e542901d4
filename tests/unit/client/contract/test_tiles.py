"""The client's reader of the tiles that the scorer writes."""

import gzip
from datetime import UTC, datetime, timedelta

import pytest

from device_scorer.health import history
from device_scorer.window import Window
from fleetscore.contract import tiles, windows
from fleetscore.errors import DataInvalid, TooLarge

START = datetime(2018, 8, 28, 23, tzinfo=UTC)


def a_tile(length: timedelta = timedelta(hours=1)) -> tuple[str, bytes, int]:
    """Return the name of a tile, its content, and the index of the window at START."""
    place = history.place_of("plant/1", Window(START, START + length))
    assert place is not None
    tile = history.Tile(place).with_column(place.index, {"press-1": "A", 'a,"b': "N"})
    return place.name, tile.encode(), place.index


def test_letters_meanings_are_those_of_the_scorer() -> None:
    assert tiles.STATES.keys() == history.STATES


@pytest.mark.parametrize("hours", [1, 24, 36], ids=str)
def test_tile_of_the_scorer_is_read(hours: int) -> None:
    name, content, _ = a_tile(timedelta(hours=hours))
    assert name.startswith(tiles.history_prefix("plant/1"))
    assert tiles.overlaps(name, START, START + timedelta(hours=1))
    tile = tiles.parse_tile(content, name)
    found = dict(tiles.states_between(tile, START, START + timedelta(seconds=1)))
    assert found == {START: {"press-1": "A", 'a,"b': "N"}}


def test_tiles_outside_of_the_span_are_not_read() -> None:
    name, _, _ = a_tile()
    assert not tiles.overlaps(name, START + timedelta(days=9), START + timedelta(days=10))
    assert not tiles.overlaps(name, START - timedelta(days=9), START - timedelta(days=8))
    assert not any(tiles.overlaps(one, START, START) for one in ("a/2018-W99.csv.gz", "a/0000-W01.csv.gz", "a/b"))


def test_tile_of_too_many_devices_is_rejected() -> None:
    assert tiles.MAX_DEVICES == 250_000
    name, content, _ = a_tile()
    assert len(tiles.parse_tile(content, name, max_devices=2).states) == 2
    with pytest.raises(DataInvalid, match="more than 1 devices; remove it"):
        tiles.parse_tile(content, name, max_devices=1)


@pytest.mark.parametrize("minutes", [0, 30])
@pytest.mark.parametrize("hours", [0.25, 1, 24, 36], ids=str)
def test_tile_of_a_window_has_the_label_of_its_series(hours: float, minutes: int) -> None:
    start = START + timedelta(minutes=minutes)
    window = Window(start, start + timedelta(hours=hours))
    place = history.place_of("plant/1", window)
    assert place is not None
    assert place.name.split("/")[-2] == tiles.series_label(windows.Window(start, window.end))


def test_largest_series_is_chosen_without_damaged_tiles() -> None:
    listed = [("h/PT900S/2018-W01.csv.gz", 5), ("h/PT3600S/2018-W02.csv.gz", 4), ("h/PT3600S/2018-W01.csv.gz", 4)]
    found = tiles.largest_series([*listed, ("h/PT60S/2018-W01.csv.gz.damaged-1", 99)])
    assert found == ["h/PT3600S/2018-W01.csv.gz", "h/PT3600S/2018-W02.csv.gz"]
    assert tiles.largest_series([]) == []


HEAD = b"# fleet=default length=PT3600S first=0 windows=2\nDevice,States\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEAD,
        gzip.compress(HEAD.replace(b"first=0", b"first=999999999999")),
        gzip.compress(HEAD)[:-9],
        gzip.compress(HEAD) + gzip.compress(b"press-1,AA\n"),
        gzip.compress(HEAD) + b"rest",
        gzip.compress(b"Device,States\n"),
        gzip.compress(HEAD.replace(b"windows=2", b"windows=0")),
        gzip.compress(HEAD.replace(b"3600", b"0")),
        gzip.compress(HEAD + b"press-1,A\n"),
        gzip.compress(HEAD + b"press-1,AX\n"),
        gzip.compress(HEAD + b",AA\n"),
        gzip.compress(HEAD + b"\xff,AA\n"),
    ],
    ids=[
        "empty",
        "plain",
        "late",
        "cut",
        "parts",
        "rest",
        "comment",
        "no-windows",
        "no-length",
        "short",
        "letter",
        "no-device",
        "bytes",
    ],
)
def test_damaged_tile_is_rejected_with_its_name(content: bytes) -> None:
    with pytest.raises(DataInvalid, match=r"h/2018-W01 is invalid: .*; remove it"):
        tiles.parse_tile(content, "h/2018-W01")


def test_number_of_listed_tiles_is_bounded() -> None:
    listed = [(f"_history/default/PT{number}S/2018-W01.csv.gz", 1) for number in range(10_001)]
    assert tiles.largest_series(listed[:10_000]) == [max(listed)[0]]
    with pytest.raises(TooLarge, match="the history has more than 10,000 blobs; remove those below _history/"):
        tiles.largest_series(listed)


def test_tile_above_the_limit_is_rejected() -> None:
    assert tiles.MAX_TILE_BYTES == 64 * 2**20
    plain = HEAD + b"press-1,AA\n" * 200
    assert tiles.parse_tile(gzip.compress(plain), "h/2018-W01", max_bytes=len(plain)).states == {"press-1": "AA"}
    with pytest.raises(DataInvalid, match="larger than 1,000 bytes"):
        tiles.parse_tile(gzip.compress(plain), "h/2018-W01", max_bytes=1000)
