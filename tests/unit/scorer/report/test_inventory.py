"""The inventory of models and readings."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from device_scorer.report.inventory import (
    MAX_LISTED_PARTITIONS,
    MAX_NAME_SAMPLES,
    NamePattern,
    predictions_pattern,
    take_inventory,
)
from device_scorer.settings import Settings
from device_scorer.store.base import md5_hex
from device_scorer.store.folder import FolderStore
from device_scorer.window import Window
from tests.testkit.scorer_report import WINDOW, add_models

TWO_HOURS = Window(WINDOW.start, WINDOW.end + timedelta(hours=1))


def add_readings(folder: Path, name: str, content: bytes = b"x") -> None:
    FolderStore(folder).write("data", name, content, overwrite=True)


def test_devices_without_a_model_are_known(tmp_path: Path) -> None:
    add_models(tmp_path, "press-1", "press#2")
    for device in ("press-1", "press%232", "press-3"):
        add_readings(tmp_path, f"20180828T2300Z/{device}.csv")
    inventory = take_inventory(FolderStore(tmp_path), Settings(folder=tmp_path), WINDOW)
    assert inventory.models == {"press-1", "press#2"}
    assert inventory.unmodelled_devices == ["press-3"]
    assert (inventory.has_readings("press-1"), inventory.has_readings("press-4")) == (True, False)


def test_etags_are_in_the_order_of_the_partitions(tmp_path: Path) -> None:
    add_readings(tmp_path, "20180828T2300Z/press-1.csv", b"later")
    add_readings(tmp_path, "20180829T0000Z/press-1.csv", b"a")
    add_readings(tmp_path, "20180829T0100Z/press-1.csv", b"not of the window")
    inventory = take_inventory(FolderStore(tmp_path), Settings(folder=tmp_path), TWO_HOURS)
    assert inventory.data_etags == {"press-1": f"{md5_hex(b'later')} {md5_hex(b'a')}"}


def test_partitions_under_one_prefix_are_separated(tmp_path: Path) -> None:
    for hour in ("22", "23"):
        add_readings(tmp_path, f"20180828/press-1/{hour}.csv", hour.encode())
    settings = Settings(folder=tmp_path, data_path="{yyyy}{MM}{dd}/{device}/{HH}.csv")
    inventory = take_inventory(FolderStore(tmp_path), settings, WINDOW)
    assert inventory.data_etags == {"press-1": md5_hex(b"23")}
    assert inventory.unknown_names == 0


def test_names_that_do_not_denote_a_device_are_counted(tmp_path: Path) -> None:
    add_models(tmp_path, "press-1")
    for name in ("press#1.joblib", "notes.txt", "_x.joblib"):
        (tmp_path / "models" / name).write_bytes(b"x")
    (tmp_path / "models" / "folder").touch()  # as tools for data lakes write a directory
    for number in range(30):
        add_readings(tmp_path, f"20180828T2300Z/press:{number}.csv")
    inventory = take_inventory(FolderStore(tmp_path), Settings(folder=tmp_path), WINDOW)
    assert inventory.unknown_names == 33
    assert len(inventory.unknown_name_samples) == MAX_NAME_SAMPLES == 20
    assert "models/press#1.joblib" in inventory.unknown_name_samples
    assert "data/20180828T2300Z/press:0.csv" in inventory.unknown_name_samples


def test_file_name_that_is_not_utf8_is_counted_and_has_a_printable_sample(tmp_path: Path) -> None:
    add_models(tmp_path, "press-1")
    (tmp_path / "models" / os.fsdecode(b"m\xfcller.joblib")).write_bytes(b"x")
    add_readings(tmp_path, os.fsdecode(b"20180828T2300Z/m\xfcller.csv"))
    inventory = take_inventory(FolderStore(tmp_path), Settings(folder=tmp_path), WINDOW)
    assert inventory.models == {"press-1"}
    assert inventory.unknown_names == 2
    assert list(inventory.unknown_name_samples) == [
        r"models/m\udcfcller.joblib",
        r"data/20180828T2300Z/m\udcfcller.csv",
    ]


@pytest.mark.parametrize("template", ["{device}/{yyyy}{MM}{dd}T{HH}.csv", "{yyyy}/all.csv"])
def test_readings_without_a_prefix_of_time_are_not_listed(tmp_path: Path, template: str) -> None:
    inventory = take_inventory(FolderStore(tmp_path), Settings(folder=tmp_path, data_path=template), WINDOW)
    assert inventory.data_etags is None
    assert inventory.has_readings("press-1") is None
    assert inventory.unmodelled_devices == []


def test_readings_of_more_than_48_partitions_are_not_listed(tmp_path: Path) -> None:
    assert MAX_LISTED_PARTITIONS == 48
    start = datetime(2018, 8, 1, tzinfo=UTC)
    found = [
        take_inventory(
            FolderStore(tmp_path), Settings(folder=tmp_path), Window(start, start + timedelta(hours=hours))
        ).data_etags
        for hours in (48, 49)
    ]
    assert found == [{}, None]


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("a/x.csv", "x"),
        ("a/x%23y.csv", "x#y"),
        ("a/x%20y.csv", None),
        ("a/%C3%96l.csv", None),
        (f"a/{'x' * 129}.csv", None),
        ("a/x/y.csv", None),
        ("a/.csv", None),
        ("a/x", None),
        ("a/_x.csv", None),
    ],
)
def test_pattern_returns_the_device_of_a_name_or_none(name: str, device: str | None) -> None:
    assert NamePattern("a/", ".csv").device(name) == device


def test_pattern_of_predictions_has_the_window() -> None:
    expected = NamePattern("20180828T230000Z_20180829T000000Z/", ".csv")
    assert predictions_pattern(Settings(), WINDOW) == expected
