import csv
from pathlib import Path

import pytest

from tests.testkit.scorer_command import files, scorer

RANGE = ("--end", "2018-08-29T00:00:00Z", "--hours", "3")
SMALL = ("simulate", "--devices", "4", "--tags", "2", *RANGE)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines()))[1:]


def test_it_writes_a_blob_per_device_and_hour(tmp_path: Path) -> None:
    said = scorer(*SMALL, "--store", tmp_path)
    assert said.code == 0, said.err
    names = [name for name in files(tmp_path) if name.startswith("data/")]
    hours = ("20180828T2100Z", "20180828T2200Z", "20180828T2300Z")
    assert sorted(names) == sorted(f"data/{hour}/press-{device}.csv" for hour in hours for device in range(1, 5))
    content = rows((tmp_path / "data/20180828T2200Z/press-3.csv").read_text())
    assert len(content) == 240 * 2
    assert content[0][:3] == ["2018-08-28T22:00:00Z", "press-3", "1"]
    assert content[-1][:3] == ["2018-08-28T22:59:45Z", "press-3", "2"]


def test_equal_arguments_give_equal_bytes_and_change_nothing(tmp_path: Path) -> None:
    for folder in ("a", "b", "b"):
        assert scorer(*SMALL, "--store", tmp_path / folder).code == 0
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_truth_names_readings_of_the_last_hour_that_exist(tmp_path: Path) -> None:
    scorer(*SMALL, "--store", tmp_path)
    truth = rows((tmp_path / "truth.csv").read_text())
    written = {
        tuple(row[:3]) for path in (tmp_path / "data/20180828T2300Z").iterdir() for row in rows(path.read_text())
    }
    assert truth
    assert {row[3] for row in truth} == {"shift", "spike"}
    assert {tuple(row[:3]) for row in truth} <= written


def test_the_shared_csv_holds_the_same_readings(tmp_path: Path) -> None:
    scorer(*SMALL, "--store", tmp_path, "--csv", tmp_path / "all.csv")
    shared = sorted(rows((tmp_path / "all.csv").read_text()))
    assert shared == sorted(row for path in tmp_path.glob("data/*/*.csv") for row in rows(path.read_text()))


def test_other_readings_in_the_store_are_left_alone_and_named(tmp_path: Path) -> None:
    scorer(*SMALL, "--store", tmp_path)
    before = files(tmp_path / "data")
    said = scorer(*SMALL, "--store", tmp_path, "--seed", "2")
    assert said.code == 65
    assert "20180828T2100Z/press-1.csv" in said.err
    assert files(tmp_path / "data") == before
    assert scorer(*SMALL, "--store", tmp_path, "--seed", "2", "--replace").code == 0
    assert files(tmp_path / "data") != before


@pytest.mark.parametrize(
    "wrong",
    [("--devices", "0"), ("--interval", "x"), ("--anomaly-rate", "2"), ("--prefix", "a b"), ("--start", "yesterday")],
    ids=" ".join,
)
def test_a_wrong_argument_is_wrong_usage(tmp_path: Path, wrong: tuple[str, str]) -> None:
    said = scorer(*SMALL, *wrong, "--store", tmp_path)
    assert said.code == 64
    assert "Traceback" not in said.err
