import gzip
from datetime import UTC, datetime, timedelta

import pytest

from scoring_operator.api.scoringrun import Window
from scoring_operator.contract.history import TilePlace, place_of, read_tile, window_number
from scoring_operator.errors import InvalidHistory
from tests.testkit.history_tiles import encode_tile


def a_window(start: str = "2018-08-28T23:00:00", hours: float = 1) -> Window:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return Window(begin, begin + timedelta(hours=hours))


def a_place(start: str = "2018-08-28T23:00:00", hours: float = 1) -> TilePlace:
    place = place_of("presses", a_window(start, hours))
    assert place is not None
    return place


def a_tile(devices: int) -> bytes:
    return encode_tile(DAILY, {f"press-{at}": "F" * 365 for at in range(devices)})


DAILY = a_place("2018-01-03T00:00:00", 24)
HEAD = f"# fleet=presses length=PT86400S first={DAILY.first} windows=365\nDevice,States\n"


@pytest.mark.parametrize(
    ("start", "hours", "name", "index", "count"),
    [
        ("2018-08-28T23:00:00", 1, "_history/presses/PT3600S/2018-W35.csv.gz", 47, 168),
        ("2018-08-28T23:30:00", 1, "_history/presses/PT3600S+1800S/2018-W35.csv.gz", 47, 168),
        ("2018-01-03T00:00:00", 24, "_history/presses/PT86400S/2018.csv.gz", 2, 365),
        ("2020-12-31T00:00:00", 1, "_history/presses/PT3600S/2020-W53.csv.gz", 72, 168),
    ],
)
def test_window_has_its_place_in_the_tile_of_its_week_or_year(
    start: str, hours: float, name: str, index: int, count: int
) -> None:
    place = a_place(start, hours)
    assert (place.name, place.index, place.count) == (name, index, count)


def test_window_of_less_than_a_minute_has_no_place() -> None:
    assert place_of("presses", a_window(hours=1 / 60)) is not None
    assert place_of("presses", a_window(hours=0.5 / 60)) is None


def test_previous_tile_ends_where_this_one_begins() -> None:
    place = a_place().previous
    assert (place.name, place.index) == ("_history/presses/PT3600S/2018-W34.csv.gz", 167)


def test_windows_are_counted_since_the_epoch() -> None:
    assert window_number(a_window("1970-01-02T01:00:00")) == 25


def test_each_device_of_a_tile_has_its_states() -> None:
    lines = f'press-1,{"F" * 365}\n"a,""b",{"?" * 365}'
    assert dict(read_tile(gzip.compress((HEAD + lines).encode()), DAILY)) == {"press-1": "F" * 365, 'a,"b': "?" * 365}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no gzip", id="no gzip"),
        pytest.param(encode_tile(DAILY, {"press-1": "F" * 365})[:-9], id="cut"),
        pytest.param(encode_tile(DAILY, {}) + b"more", id="more"),
        pytest.param(gzip.compress(b""), id="no line"),
        pytest.param(gzip.compress(b"\n" + HEAD.encode()), id="another first line"),
        pytest.param(gzip.compress(HEAD.replace("presses", "fans").encode()), id="another fleet"),
        pytest.param(gzip.compress(HEAD.replace("Device,", "Name,").encode()), id="other columns"),
        pytest.param(encode_tile(DAILY, {"press-1": "F" * 364}), id="too few states"),
        pytest.param(encode_tile(DAILY, {"press-1": "f" * 365}), id="an unknown state"),
        pytest.param(encode_tile(DAILY, {"": "F" * 365}), id="no device"),
        pytest.param(gzip.compress(HEAD.encode() + b"\xff," + b"F" * 365 + b"\n"), id="no UTF-8"),
        pytest.param(gzip.compress(HEAD.encode() + b"x" * 2**20), id="a line of a mebibyte"),
    ],
)
def test_content_that_no_report_wrote_is_rejected(content: bytes) -> None:
    with pytest.raises(InvalidHistory):
        list(read_tile(content, DAILY))


def test_tile_is_not_unpacked_beyond_its_limit() -> None:
    with pytest.raises(InvalidHistory, match="too large"):
        list(read_tile(a_tile(devices=30), DAILY, max_bytes=10_000))
    assert len(list(read_tile(a_tile(devices=20), DAILY, max_bytes=10_000))) == 20
