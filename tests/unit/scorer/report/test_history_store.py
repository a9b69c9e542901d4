"""Tiles of the history in a store."""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from device_scorer.errors import StorageUnavailable
from device_scorer.health.history import MAX_PACKED_BYTES, Tile, TilePlace, place_of
from device_scorer.report.history_store import MAX_LETTERS, MAX_TILES, HistoryStore
from device_scorer.store.base import Blob, BlobInfo
from device_scorer.store.folder import FolderStore
from device_scorer.window import Window
from tests.testkit.scorer_report import WINDOW


def place_at(hours: int) -> TilePlace:
    place = place_of("plant", Window(WINDOW.start + timedelta(hours=hours), WINDOW.end + timedelta(hours=hours)))
    assert place is not None
    return place


def a_history(folder: Path, store: FolderStore | None = None) -> HistoryStore:
    return HistoryStore(store or FolderStore(folder), sleep=lambda _: None)


def test_reports_in_any_order_write_the_same_bytes(tmp_path: Path) -> None:
    dice = random.Random(1)  # noqa: S311  simulated states
    columns = {hours: {device: dice.choice("NASEF") for device in "abc"} for hours in range(-30, 30)}
    contents = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        order = [*columns, *dice.choices(list(columns), k=20)]
        dice.shuffle(order)
        for hours in order:
            a_history(folder).set_column(place_at(hours), columns[hours])
        contents.append({path.name: path.read_bytes() for path in folder.rglob("*.csv.gz")})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 1


class RacingStore(FolderStore):
    """A store in which another report sets the column of another window before each of some writes."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder)
        self.folder, self.left = folder, times

    def write(self, container: str, name: str, content: bytes, **more: Any) -> str | None:
        if self.left:
            self.left -= 1
            a_history(self.folder).set_column(place_at(self.left + 1), {"a": "F"})
        return super().write(container, name, content, **more)


def test_reports_at_the_same_time_lose_no_column(tmp_path: Path) -> None:
    tile = a_history(tmp_path, RacingStore(tmp_path, 5)).set_column(place_at(0), {"a": "N"})
    index = place_at(0).index
    assert tile.states["a"][index : index + 6] == "NFFFFF"


def test_tile_that_changes_all_the_time_is_a_transient_error(tmp_path: Path) -> None:
    store = RacingStore(tmp_path, 20)
    with pytest.raises(StorageUnavailable, match="changed by other reports 20 times"):
        a_history(tmp_path, store).set_column(place_at(0), {"a": "N"})


def test_threads_write_all_columns(tmp_path: Path) -> None:
    place = place_at(0)
    a_history(tmp_path).set_column(place, {"a": "N"})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda hours: a_history(tmp_path).set_column(place_at(hours), {"a": "A"}), range(1, 5)))
    # The folder store compares and renames without a lock, so some columns may be lost there, and never the file.
    assert a_history(tmp_path).set_column(place, {"a": "N"}).states["a"][place.index] == "N"


@pytest.mark.parametrize("content", [b"", b"cut", b"x" * (MAX_PACKED_BYTES + 1)])
def test_damaged_tile_is_set_aside_and_begun_again(tmp_path: Path, content: bytes) -> None:
    place = place_at(0)
    FolderStore(tmp_path).write("predictions", place.name, content)
    history = a_history(tmp_path)
    tile = history.set_column(place, {"a": "N"})
    assert list(tile.states) == ["a"]
    assert "begins again" in history.problems[0]
    kept = [path.read_bytes() for path in (tmp_path / "predictions").rglob("*.damaged-*") if ".meta" not in str(path)]
    assert kept == ([] if len(content) > MAX_PACKED_BYTES else [content])
    again = a_history(tmp_path)
    assert again.set_column(place, {"a": "N"}) == tile
    assert again.problems == []


def test_earlier_tiles_are_read_while_a_device_is_not_settled(tmp_path: Path) -> None:
    for hours, letter in ((-300, "A"), (-200, "A"), (0, "A")):
        a_history(tmp_path).set_column(place_at(hours), {"a": letter})
    history = a_history(tmp_path)
    past = history.load(history.set_column(place_at(0), {"a": "A"}), 2)
    assert past.states["a"].count("A") == 3
    assert not past.truncated
    assert past.start_of(len(past.states["a"]) - 1) == int(WINDOW.start.timestamp())


WEEK = 7 * 24


class ListedStore(FolderStore):
    """A store that keeps the names of tiles that were read and the prefixes that were listed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[str] = []
        self.prefixes: list[str] = []

    def read(self, container: str, name: str, **more: Any) -> Blob | None:
        if more.get("max_bytes") == MAX_PACKED_BYTES:
            self.asked.append(name)
        return super().read(container, name, **more)

    def list(self, container: str, prefix: str = "", **more: Any) -> Iterator[BlobInfo]:
        self.prefixes.append(prefix)
        return super().list(container, prefix, **more)


@pytest.mark.parametrize("weeks", [1, 2, 5])
def test_weeks_without_a_tile_end_no_incident(tmp_path: Path, weeks: int) -> None:
    letters = {-3: "N", -2: "N", -1: "A", 0: "A"}
    begin = place_at(-WEEK * (weeks + 1))
    for hours, letter in letters.items():
        a_history(tmp_path).set_column(replace(begin, index=begin.index + hours), {"a": letter})
    store = ListedStore(tmp_path)
    history = a_history(tmp_path, store)
    past = history.load(history.set_column(place_at(0), {"a": "A"}), 2)
    states = past.states["a"]
    assert (states.replace("?", ""), past.truncated) == ("NNAAA", False)
    assert past.start_of(len(states) - 1) == int(WINDOW.start.timestamp())
    assert past.start_of(states.index("A")) == int(WINDOW.start.timestamp()) - (WEEK * (weeks + 1) + 1) * 3600
    assert (len(store.prefixes), len(store.asked)) == (1, weeks + 2)


@pytest.mark.parametrize("others", [(), ("2018-W36.csv.gz", "2001-W01.damaged-1.csv.gz", "0", "2018-W01.csv.gz/x")])
def test_history_of_a_new_fleet_is_read_to_its_begin(tmp_path: Path, others: Sequence[str]) -> None:
    store = ListedStore(tmp_path)
    history = a_history(tmp_path, store)
    tile = history.set_column(place_at(0), {"a": "A"})
    for name in others:
        store.write("predictions", f"{tile.place.name.rpartition('/')[0]}/{name}", b"")
    store.asked.clear()
    past = history.load(tile, 2)
    assert (len(past.states["a"]), past.truncated) == (tile.place.index + 1, False)
    assert (len(store.asked), len(store.prefixes)) == (1, 1)


def test_tile_of_a_distant_time_is_read_up_to_the_limit(tmp_path: Path) -> None:
    store = ListedStore(tmp_path)
    history = a_history(tmp_path, store)
    tile = history.set_column(place_at(0), {"a": "A"})
    store.write("predictions", f"{tile.place.name.rpartition('/')[0]}/0001-W01.csv.gz", b"")
    store.asked.clear()
    assert history.load(tile, 2).truncated
    assert (len(store.asked), len(store.prefixes)) == (MAX_TILES - 1, 1)


@pytest.mark.parametrize(("devices", "truncated"), [(1984, False), (1985, True)])
def test_history_of_more_than_20_million_states_is_truncated(tmp_path: Path, devices: int, *, truncated: bool) -> None:
    end = datetime(2018, 8, 27, tzinfo=UTC)
    place = place_of("plant", Window(end - timedelta(minutes=1), end))
    assert place is not None
    store = ListedStore(tmp_path)
    tile = Tile(place, dict.fromkeys(map(str, range(devices)), "A" * 10_080))
    assert a_history(tmp_path, store).load(tile, 2).truncated is truncated
    assert len(store.asked) == (not truncated)


def test_settled_devices_need_one_tile(tmp_path: Path) -> None:
    for hours in (-200, -3, -2, 0):
        a_history(tmp_path).set_column(place_at(hours), {"a": "N"})
    history = a_history(tmp_path)
    past = history.load(history.set_column(place_at(0), {"a": "A"}), 2)
    assert len(past.states["a"]) == place_at(0).index + 1


def test_mutes_are_read(tmp_path: Path) -> None:
    assert a_history(tmp_path).load_mutes(WINDOW).mutes == ()
    FolderStore(tmp_path).write("predictions", "_mutes.csv", b"a,,,why,\nb\n")
    mutes = a_history(tmp_path).load_mutes(WINDOW)
    assert (mutes.reason("a"), len(mutes.problems)) == ("why", 1)
    FolderStore(tmp_path).write("predictions", "_mutes.csv", bytes(2**20 + 1), overwrite=True)
    assert "no device is muted" in a_history(tmp_path).load_mutes(WINDOW).problems[0]


def test_incidents_need_at_most_53_tiles_and_20_million_states() -> None:
    assert (MAX_TILES, MAX_LETTERS) == (53, 20_000_000)
