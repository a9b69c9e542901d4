"""Writing of simulated readings."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device_scorer.settings import Settings
from device_scorer.simulation.signals import SimulatedFleet
from device_scorer.simulation.writer import WrittenSimulation, write_simulation
from device_scorer.store.folder import FolderStore
from device_scorer.store.upload import UploadResult
from device_scorer.window import Window
from tests.testkit.scorer_command import files, scorer

RANGE = ("--end", "2018-08-29T00:00:00Z", "--hours", "3")
SMALL = ("simulate", "--devices", "4", "--tags", "2", *RANGE)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines()))[1:]


def test_one_blob_per_device_and_hour_is_written(tmp_path: Path) -> None:
    result = scorer(*SMALL, "--store", tmp_path)
    assert result.code == 0, result.err
    names = [name for name in files(tmp_path) if name.startswith("data/")]
    hours = ("20180828T2100Z", "20180828T2200Z", "20180828T2300Z")
    assert sorted(names) == sorted(f"data/{hour}/press-{device}.csv" for hour in hours for device in range(1, 5))
    content = rows((tmp_path / "data/20180828T2200Z/press-3.csv").read_text())
    assert len(content) == 240 * 2
    assert content[0][:3] == ["2018-08-28T22:00:00Z", "press-3", "1"]
    assert content[-1][:3] == ["2018-08-28T22:59:45Z", "press-3", "2"]


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b", "b"):
        assert scorer(*SMALL, "--store", tmp_path / folder).code == 0
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_truth_file_lists_existing_readings_of_the_last_hour(tmp_path: Path) -> None:
    scorer(*SMALL, "--store", tmp_path)
    truth = rows((tmp_path / "truth.csv").read_text())
    written = {
        tuple(row[:3]) for path in (tmp_path / "data/20180828T2300Z").iterdir() for row in rows(path.read_text())
    }
    assert truth
    assert {row[3] for row in truth} == {"shift", "spike"}
    assert {tuple(row[:3]) for row in truth} <= written


def test_shared_csv_has_the_same_readings(tmp_path: Path) -> None:
    scorer(*SMALL, "--store", tmp_path, "--csv", tmp_path / "all.csv")
    shared = sorted(rows((tmp_path / "all.csv").read_text()))
    assert shared == sorted(row for path in tmp_path.glob("data/*/*.csv") for row in rows(path.read_text()))


def test_partition_outside_the_window_has_no_blob(tmp_path: Path) -> None:
    window = Window(datetime(2018, 8, 28, 23, 30, tzinfo=UTC), datetime(2018, 8, 29, 0, 0, 10, tzinfo=UTC))
    fleet = SimulatedFleet(1, 1, 1, "press", 15, int(window.start.timestamp()), 1.0)
    store = FolderStore(tmp_path)
    written = write_simulation(
        store, Settings(), fleet, window, anomalies_from=window.end, truth_path=tmp_path / "truth.csv"
    )
    assert (written.readings, written.anomalies) == (121, 0)
    assert [info.name for info in store.list("data")] == ["20180828T2300Z/press-1.csv", "20180829T0000Z/press-1.csv"]
    assert (tmp_path / "truth.csv").read_text() == "TS,Device,Tag,Kind\n"


def test_result_names_the_first_conflict_and_counts_all(tmp_path: Path) -> None:
    def write(seed: int) -> WrittenSimulation:
        fleet = SimulatedFleet(seed, 3, 1, "press", 15, 0, 1.0)
        window = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
        return write_simulation(
            FolderStore(tmp_path),
            Settings(),
            fleet,
            window,
            anomalies_from=window.start,
            truth_path=tmp_path / "truth.csv",
        )

    first, other = write(1), write(2)
    assert (first.blobs, first.first_conflict) == ({UploadResult.WRITTEN: 3}, "")
    assert (other.blobs, other.first_conflict) == ({UploadResult.CONFLICT: 3}, "20180828T2300Z/press-1.csv")


def test_truth_file_that_cannot_be_written_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = scorer(*SMALL, "--store", tmp_path, "--truth", tmp_path / "file" / "truth.csv")
    assert (result.code, "cannot be written" in result.err) == (64, True)


@pytest.mark.parametrize("option", ["--truth", "--csv"])
def test_full_disk_of_a_file_is_transient_and_names_it(tmp_path: Path, option: str) -> None:
    result = scorer(*SMALL, "--store", tmp_path, option, "/dev/full")
    text = "/dev/full cannot be written: No space left on device; free space on the disk, or name another file"
    assert (result.code, result.err.count("\n")) == (75, 1)
    assert text in result.err
