from pathlib import Path

import pytest
from demo import dataset
from demo.errors import DemoError

from device_scorer.window import parse_instant

HEADER = "TS,Device,Tag,Value\n"


@pytest.mark.parametrize(
    ("newest", "start"),
    [
        ("2018-08-29T03:12:30Z", "2018-08-29T02:00:00Z"),
        ("2018-08-29T02:59:45Z", "2018-08-29T02:00:00Z"),
        ("2018-08-29T02:58:59Z", "2018-08-29T01:00:00Z"),
        ("2018-08-29T00:00:00Z", "2018-08-28T23:00:00Z"),
    ],
    ids=["into the next hour", "up to its last minute", "not full yet", "over midnight"],
)
def test_last_full_hour_is_the_last_hour_full_of_readings(newest: str, start: str) -> None:
    assert dataset.last_full_hour(parse_instant(newest)).start == parse_instant(start)


def test_window_is_parsed_from_start_and_end() -> None:
    assert dataset.parse_window("2018-08-28T23:00:00Z/2018-08-29T00:00:00Z").slug == "20180828T230000Z_20180829T000000Z"


@pytest.mark.parametrize("text", ["2018-08-28T23:00:00Z", "noon/midnight", "2018-08-29T00:00:00Z/2018-08-28T23:00:00Z"])
def test_invalid_window_is_rejected_with_its_text(text: str) -> None:
    with pytest.raises(DemoError, match="WINDOW"):
        dataset.parse_window(text)


def a_dump(path: Path, hours: int) -> Path:
    rows = [
        f"2026-03-02T{hour:02}:{minute:02}:30Z,pump-1,1,{minute * 7 % 60}\n"  # a value that only increases is a counter
        for hour in range(hours)
        for minute in range(60)
    ]
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.mark.slow
def test_readings_before_the_last_full_hour_are_for_training(tmp_path: Path) -> None:
    prepared = dataset.import_readings(
        tmp_path, a_dump(tmp_path / "dump.csv", hours=3), train_on_all=False, window=None
    )
    assert prepared.window.interval == "2026-03-02T02:00:00Z/2026-03-02T03:00:00Z"
    assert prepared.devices == ("pump-1",)
    assert prepared.truth is None


@pytest.mark.slow
def test_readings_only_within_the_window_require_train_all(tmp_path: Path) -> None:
    dump = a_dump(tmp_path / "dump.csv", hours=1)
    with pytest.raises(DemoError, match="TRAIN=all"):
        dataset.import_readings(tmp_path, dump, train_on_all=False, window=None)
    assert dataset.import_readings(tmp_path, dump, train_on_all=True, window=None).devices == ("pump-1",)


def test_missing_or_invalid_csv_file_is_rejected_by_name(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"none\.csv: there is no such file"):
        dataset.import_readings(tmp_path, tmp_path / "none.csv", train_on_all=False, window=None)
    (tmp_path / "page.csv").write_text("<html>\n")
    with pytest.raises(DemoError, match="no reading in it could be placed"):
        dataset.import_readings(tmp_path, tmp_path / "page.csv", train_on_all=False, window=None)
