"""The test device of an installation check."""

from pathlib import Path

import numpy as np
import pytest

from device_scorer import readings
from device_scorer.errors import DataInvalid
from device_scorer.health.history import Tile, place_of
from device_scorer.settings import Settings
from device_scorer.simulation import check_device
from device_scorer.simulation.check_device import WINDOW, CheckDevice
from device_scorer.store.folder import FolderStore


def test_readings_are_60_of_which_one_is_an_anomaly() -> None:
    rows = list(readings.read_rows(check_device.readings_csv("helm-test"), on_bad=lambda *_: None))
    assert [row[0] for row in rows[:2]] == ["2000-01-01T00:00:00Z", "2000-01-01T00:01:00Z"]
    assert {(row[1], row[2]) for row in rows} == {("helm-test", "1")}
    outside = [minute for minute, row in enumerate(rows) if not 19.5 < row[5] < 20.5]
    assert (len(rows), outside) == (60, [30])
    assert [minute for minute, label in enumerate(check_device.expected_labels()) if label == b"1"] == [30]


def test_training_values_enclose_the_normal_readings() -> None:
    values = check_device.training_values()
    assert (values.min(), values.max()) == (19.5, 20.5)
    assert np.all((values[2:] > 19.5) & (values[2:] < 20.5))


def test_window_is_an_hour_of_the_year_2000() -> None:
    assert WINDOW.interval == "2000-01-01T00:00:00Z/2000-01-01T01:00:00Z"


def test_write_replaces_the_blobs_of_an_earlier_check(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    check = CheckDevice(store, Settings(), "helm-test")
    assert not check.has_model()
    check.write(b"an earlier bundle")
    store.write("predictions", f"{WINDOW.slug}/helm-test.csv", b"TS,Device,Tag,Val,Prediction,Score\n,,,,1,\n")
    assert check.read_labels() == [b"1"]
    check.write(b"bundle")
    assert (check.read_labels(), check.has_model()) == ([], True)
    names = [info.name for role in ("models", "data", "predictions") for info in store.list(role)]
    assert names == ["helm-test.joblib", "20000101T0000Z/helm-test.csv"]


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("models", "helm-test.joblib"),
        ("data", "20000101T0000Z/helm-test.csv"),
        ("predictions", f"{WINDOW.slug}/helm-test.csv"),
    ],
)
def test_blob_that_the_check_did_not_write_is_kept(tmp_path: Path, role: str, name: str) -> None:
    store = FolderStore(tmp_path)
    store.write(role, name, b"a real device's")
    with pytest.raises(DataInvalid, match=f"the {role} blob {name} was not written by this check and is kept"):
        CheckDevice(store, Settings(), "helm-test").write(b"bundle")
    blob = store.read(role, name)
    assert blob is not None
    assert blob.content == b"a real device's"


def test_report_remains_next_to_predictions_of_other_devices(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    names = [f"{WINDOW.slug}/_summary.json", f"{WINDOW.slug}/press-1.csv"]
    for name in names:
        store.write("predictions", name, b"content")
    CheckDevice(store, Settings(), "helm-test").delete()
    assert [info.name for info in store.list("predictions")] == names


def test_delete_removes_the_report_of_the_checks_window_only(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for name in (f"{WINDOW.slug}/_summary.json", "20180828T230000Z_20180829T000000Z/press-1.csv"):
        store.write("predictions", name, b"content")
    CheckDevice(store, Settings(), "helm-test").delete()
    assert [info.name for info in store.list("predictions")] == ["20180828T230000Z_20180829T000000Z/press-1.csv"]


@pytest.mark.parametrize(("other", "kept"), [("?", False), ("E", False), ("-", False), ("N", True), ("F", True)])
def test_history_of_the_checks_window_is_deleted_unless_another_device_has_readings(
    tmp_path: Path, other: str, *, kept: bool
) -> None:
    store = FolderStore(tmp_path)
    place = place_of("plant", WINDOW)
    assert place is not None
    store.write(
        "predictions", place.name, Tile(place).with_column(place.index, {"helm-test": "A", "press-1": other}).encode()
    )
    store.write("predictions", "_history/plant/PT3600S/2018-W35.csv.gz", b"another week")
    CheckDevice(store, Settings(), "helm-test").delete()
    names = {info.name for info in store.list("predictions", "_history/")}
    assert names == {"_history/plant/PT3600S/2018-W35.csv.gz", *([place.name] if kept else [])}
