import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleetscore import Fleet
from fleetscore.console.reader import Reader, ReaderLimits
from fleetscore.contract import blob_paths
from fleetscore.contract.fleets import FleetLayout
from fleetscore.errors import ClusterUnavailable, NotFound
from fleetscore.store.folder import FolderStore
from tests.testkit.console_fleet import HALL, WINDOW, tile


class CannedCluster:
    """A cluster with some runs."""

    namespace = "default"

    def __init__(self, *runs: dict[str, Any]) -> None:
        self._runs = runs

    def runs(self) -> list[dict[str, Any]]:
        return list(self._runs)


def run(name: str, hour: int, fleet: str = "default") -> dict[str, Any]:
    window = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
    return {"metadata": {"name": name}, "spec": {"window": window, "fleet": fleet}}


def test_runs_of_the_fleet_are_listed_the_newest_window_first(folder: Path) -> None:
    cluster: Any = CannedCluster(run("a", 1), run("b", 2), run("c", 3, "other"))
    reader = Reader(Fleet(FleetLayout(), FolderStore(folder), cluster))
    assert [one["metadata"]["name"] for one in reader.runs()] == ["b", "a"]
    assert reader.run("a")["spec"]["fleet"] == "default"
    with pytest.raises(NotFound, match="run c does not exist"):
        reader.run("c")


def test_folder_has_no_runs(folder: Path) -> None:
    reader = Reader(Fleet.folder(folder))
    assert reader.runs() == []
    for call in (reader.run, reader.jobs, reader.events):
        with pytest.raises(ClusterUnavailable, match="a folder has no runs"):
            call("x")


def test_snapshot_has_the_history_and_the_tables_of_its_newest_window(folder: Path) -> None:
    found = Reader(Fleet.folder(folder)).snapshot()
    assert found.window == WINDOW
    assert (len(found.history.states), found.history.count) == (3, 41)
    assert found.owners == {HALL: "<b>Ann</b>", "press-1": "Bob"}
    assert [row["Flag"] for row in found.sensors] == ["stuck"]


def test_windows_of_the_largest_series_are_shown(folder: Path) -> None:
    other = folder / "predictions/_history/default/PT900S/2018-W35.csv.gz"
    other.parent.mkdir()
    other.write_bytes(tile({"other": "N"}))
    assert "other" not in Reader(Fleet.folder(folder)).snapshot().history.states


def test_history_of_another_fleet_of_the_account_is_not_read(folder: Path) -> None:
    cluster: Any = CannedCluster()
    reader = Reader(Fleet(FleetLayout(name="other"), FolderStore(folder), cluster))
    assert reader.snapshot().window is None


def test_damaged_table_is_a_problem_and_the_history_is_shown(folder: Path) -> None:
    name = blob_paths.report_name(WINDOW, blob_paths.INCIDENTS_FILE)
    (folder / "predictions" / name).write_bytes(b"\xff\xfe")
    found = Reader(Fleet.folder(folder)).snapshot()
    assert len(found.problems) == 1
    assert "_incidents.csv is invalid" in found.problems[0]
    assert found.history.count == 41
    assert [row["Flag"] for row in found.sensors] == ["stuck"]


def test_missing_table_is_a_problem_and_not_an_empty_table(folder: Path) -> None:
    (folder / "predictions" / blob_paths.report_name(WINDOW, blob_paths.INCIDENTS_FILE)).unlink()
    (problem,) = Reader(Fleet.folder(folder)).snapshot().problems
    assert "_incidents.csv does not exist, so this page lacks its rows; the next report" in problem


def test_storage_that_fails_later_leaves_the_last_snapshot_with_the_reason(folder: Path) -> None:
    reader = Reader(Fleet.folder(folder), ReaderLimits(snapshot_seconds=0))
    known = reader.snapshot()
    tile_path = folder / "predictions/_history/default/PT3600S/2018-W35.csv.gz"
    content = tile_path.read_bytes()
    tile_path.write_bytes(b"damaged")
    found = reader.snapshot()
    assert (found.history, found.incidents) == (known.history, known.incidents)
    (problem,) = found.problems
    assert re.search(r"2018-W35.csv.gz is invalid: .*; the figures below are those of \d{4}-.*Z$", problem)
    tile_path.write_bytes(content)
    assert reader.snapshot().problems == []


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"Devices,From,Until,Why,Who\npress-*,,,,\n", ()),
        (b"press-*,soon,,,\nx\n", ("has 2 invalid lines", "line 1: ", "line 2: it has 1 fields in place of 5")),
        (b"\xff\xfe\0\0\n" * 1000, ("has 1,000 invalid lines", "line 3: ")),
        (b"a" * (2**20 + 1), ("_mutes.csv is too large", "`fleetscore unmute --ended`")),
    ],
    ids=["good", "bad", "binary", "large"],
)
def test_damaged_file_of_mutes_is_a_problem_with_its_lines(
    folder: Path, content: bytes, texts: tuple[str, ...]
) -> None:
    (folder / "predictions" / blob_paths.MUTES_FILE).write_bytes(content)
    found = Reader(Fleet.folder(folder)).snapshot()
    text = " ".join(found.problems)
    assert [one for one in texts if one not in text] == []
    assert (bool(text), len(text) < 1500, "line 4" in text) == (bool(texts), True, False)
    assert found.history.count == 41


def test_table_of_many_columns_has_a_bounded_size(folder: Path) -> None:
    name = folder / "predictions" / blob_paths.report_name(WINDOW, blob_paths.INCIDENTS_FILE)
    columns = ",".join(f"{number:x}" for number in range(999))
    name.write_text(f"Device,{columns}\n" + "press-1\n" * 1000 + f"press-2,{'x' * 5000}\n")
    rows = Reader(Fleet.folder(folder)).snapshot().incidents
    assert (len(rows), len(rows[0]), rows[0]["Device"], rows[0]["0"]) == (1001, 16, "press-1", "")
    assert len(rows[-1]["0"]) == 1024


def test_damaged_tile_is_named_and_the_others_are_shown(folder: Path) -> None:
    tiles = folder / "predictions/_history/default/PT3600S"
    (tiles / "2018-W36.csv.gz").write_bytes(b"damaged")
    found = Reader(Fleet.folder(folder)).snapshot()
    assert (found.window, found.history.count) == (WINDOW, 41)
    assert [re.sub(" is invalid.*", "", one) for one in found.problems] == ["_history/default/PT3600S/2018-W36.csv.gz"]


def test_windows_of_the_future_do_not_hide_those_of_now(folder: Path) -> None:
    tiles = folder / "predictions/_history/default/PT3600S"
    for number in range(1, 13):
        (tiles / f"9998-W{number:02}.csv.gz").write_bytes(
            tile({"press-9": "A"}, first=datetime(9998, 1, 6, tzinfo=UTC))
        )
    hidden = tile({"press-9": "A"}, first=datetime(9998, 1, 6, tzinfo=UTC))
    (tiles / "2018-W37.csv.gz").write_bytes(hidden)  # the name and the content of a tile need not agree
    found = Reader(Fleet.folder(folder)).snapshot()
    assert (found.window, "press-9" in found.history.states) == (WINDOW, False)
    (problem,) = found.problems
    assert problem.startswith("12 files of the history begin after the time of this machine")


def test_rows_of_a_table_are_bounded(folder: Path) -> None:
    path = folder / "predictions" / blob_paths.report_name(WINDOW, blob_paths.INCIDENTS_FILE)
    path.write_text("Device\n" + "a\n" * 50_001)
    assert len(Reader(Fleet.folder(folder)).snapshot().incidents) == 50_000


def test_table_above_32_mebibytes_is_a_problem_and_not_read(folder: Path) -> None:
    path = folder / "predictions" / blob_paths.report_name(WINDOW, blob_paths.INCIDENTS_FILE)
    os.truncate(path, 32 * 2**20 + 1)
    found = Reader(Fleet.folder(folder)).snapshot()
    assert (found.incidents, len(found.sensors)) == ([], 1)
    (problem,) = found.problems
    assert "_incidents.csv is too large: it has 33,554,433 bytes of at most 33,554,432" in problem


def test_table_of_too_many_columns_is_rejected_before_it_is_parsed(folder: Path) -> None:
    (path,) = folder.glob("predictions/*/_incidents.csv")
    path.write_bytes(b"Id,Device" + b"," * 2**20 + b"\n")
    found = Reader(Fleet.folder(folder)).snapshot()
    assert found.incidents == []
    assert [problem.partition(" is invalid: ")[2][:30] for problem in found.problems] == [
        "a line has more than 1,048,576"
    ]
