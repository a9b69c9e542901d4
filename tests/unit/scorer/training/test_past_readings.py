"""Reading of the past readings of a device."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import joblib
import pytest

from device_scorer.quality import parse_quality
from device_scorer.settings import Limits, Settings
from device_scorer.store.folder import FolderStore
from device_scorer.training.past_readings import list_readings, partition_overlaps, read_past_readings
from device_scorer.window import Window
from tests.testkit.scorer_command import files, scorer
from tests.testkit.scorer_training import texts, wave, write_readings

WINDOW = Window(datetime(2018, 8, 28, 22, tzinfo=UTC), datetime(2018, 8, 28, 23, tzinfo=UTC))


def test_only_readings_of_the_window_and_the_device_are_used(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave())}, "data/20180828T2100Z")
    write_readings(tmp_path, "press-1", {"1": ["900", "1000"]}, "data/20180828T2200Z")
    with (tmp_path / "data/20180828T2100Z/press-1.csv").open("a") as file:
        file.write("2018-08-28T21:00:00Z,press-10,1,5000\n2018-08-28T22:00:00Z,press-1,1,6000\n")
    assert scorer("train", "--store", tmp_path, "--end", "2018-08-28T22:00:00Z").code == 0
    model = joblib.load(tmp_path / "models/press-1.joblib")["1"]
    assert model.predict([[900.0]]).tolist() == [-1]
    assert model["scaler"].n_samples_seen_ == 200


def test_unusable_rows_and_files_are_counted_and_skipped(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": [*texts(wave()), "", "NaN", "inf", "broken"]})
    (tmp_path / "data/20180828T2300Z").mkdir()
    (tmp_path / "data/20180828T2300Z/press-1.csv").write_text("<html>\n")
    result = scorer("train", "--store", tmp_path)
    assert result.code == 0
    assert "4 unusable rows are skipped; the first: press-1, tag '1': Value is not a number: ''" in result.err
    assert "1 blob is skipped: 20180828T2300Z/press-1.csv" in result.err
    assert joblib.load(tmp_path / "models/press-1.joblib")["1"]["scaler"].n_samples_seen_ == 200


def test_unusable_rows_of_other_devices_and_times_are_not_counted(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    rows = ("2018-08-28T22:00:00Z,press-1,1,1", "2018-08-28T22:00:00Z,press-2,1,x", "2018-08-28T23:00:00Z,press-1,1,x")
    store.write("data", "20180828T2200Z/press-1.csv", "\n".join(("TS,Device,Tag,Value", *rows, "")).encode())
    past = read_past_readings(store, Settings(), "press-1", ["20180828T2200Z/press-1.csv"], WINDOW)
    assert (past.values["1"].tolist(), past.bad_rows, past.bad_sample) == ([1.0], 0, "")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("RUN", "Value is not a number: 'RUN'"),
        ('"60,65"', "Value has a decimal comma, it must be a point: '60,65'"),
    ],
)
def test_tag_without_a_usable_value_is_named_with_the_reason(tmp_path: Path, value: str, reason: str) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "state": [value] * 300})
    result = scorer("train", "--store", tmp_path, "--verbose")
    assert result.code == 0
    assert "press-1, tag 'state' gets no model: it has 0 usable readings" in result.err
    assert f"300 unusable rows are skipped; the first: press-1, tag 'state': {reason}" in result.err


def test_globs_select_devices(tmp_path: Path) -> None:
    for device in ("press-1", "press-2", "lathe-1"):
        write_readings(tmp_path, device, {"1": texts(wave())})
    assert scorer("train", "--store", tmp_path, "--device", "lathe-*", "--device", "press-2").code == 0
    assert sorted(files(tmp_path / "models")) == ["lathe-1.joblib", "press-2.joblib"]


@pytest.mark.parametrize(
    ("path", "name", "overlaps"),
    [
        (None, "20180828T2200Z/press-1.csv", True),
        (None, "20180828T2100Z/press-1.csv", False),
        (None, "20180828T2300Z/press-1.csv", False),
        ("{device}/{yyyy}.csv", "press-1/2017.csv", True),
        (None, "20181328T2200Z/press-1.csv", True),
    ],
    ids=["inside", "before", "after", "no start in the name", "no valid time"],
)
def test_partition_is_read_if_it_may_overlap_the_window(path: str | None, name: str, *, overlaps: bool) -> None:
    settings = Settings() if path is None else Settings(data_path=path)
    assert partition_overlaps(settings, "press-1", name, WINDOW) is overlaps


def test_partition_of_a_day_overlaps_each_of_its_hours() -> None:
    settings = Settings(data_partition=timedelta(days=1))
    assert partition_overlaps(settings, "press-1", "20180828T0000Z/press-1.csv", WINDOW)
    assert not partition_overlaps(settings, "press-1", "20180827T0000Z/press-1.csv", WINDOW)


def test_past_readings_have_values_by_tag_and_errors_by_blob(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    write_readings(tmp_path, "press-1", {"1": ["1", "2"], "2": ["3", "x"]})
    (name,) = list_readings(store, Settings(), ["*"])["press-1"]
    past = read_past_readings(store, Settings(), "press-1", [name], WINDOW)
    assert {tag: values.tolist() for tag, values in past.values.items()} == {"1": [1.0, 2.0], "2": [3.0]}
    assert (past.bad_rows, past.unreadable) == (1, {})
    too_small = Settings(limits=Limits(max_data_bytes=10))
    past = read_past_readings(store, too_small, "press-1", [name], WINDOW)
    assert (dict(past.values), list(past.unreadable)) == ({}, [name])


def test_rows_that_the_quality_rules_exclude_are_not_used(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    write_readings(tmp_path, "press-1", {"1": ["1", "-9999", "2"]})
    settings = Settings(quality=parse_quality('{"badValues": [-9999]}'))
    past = read_past_readings(store, settings, "press-1", ["20180828T2200Z/press-1.csv"], WINDOW)
    assert (past.values["1"].tolist(), past.bad_rows) == ([1.0, 2.0], 1)
