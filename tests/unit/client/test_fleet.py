"""A fleet in a folder that the scorer's own commands wrote: reports, history, models and files of windows."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from fleetscore import Fleet, Window
from fleetscore.data import FleetLimits
from fleetscore.errors import ClusterUnavailable, DataInvalid, NotFound, UsageInvalid
from fleetscore.frames import TABLE_COLUMNS
from tests.unit.client.conftest import FIRST, LAST, make_folder


@pytest.fixture(scope="module")
def fleet(scored_folder: Path) -> Fleet:
    return Fleet.folder(scored_folder)


def test_anomalies_have_the_window_and_the_rows_of_its_report(fleet: Fleet) -> None:
    found = fleet.anomalies(datetime(2018, 8, 28, tzinfo=UTC), LAST.end)
    assert found[["Device", "Tag", "Anomalies"]].to_numpy().tolist() == [["press-2", "1", 1]] * 2
    assert found["Window"].tolist() == [FIRST.start, LAST.start]
    assert fleet.anomalies(LAST.end, LAST.end).empty
    for table in (fleet.anomalies, fleet.sensors, fleet.failures):
        assert table(LAST.end, LAST.end).columns.tolist() == table(FIRST.start, LAST.end).columns.tolist()
    assert fleet.incidents().columns.tolist() == ["Window", "Length", *TABLE_COLUMNS["_incidents.csv"]]


def test_history_has_a_letter_per_device_and_window(fleet: Fleet) -> None:
    found = fleet.history(FIRST.start, LAST.end)
    assert found.index.tolist() == ["press-1", "press-2", "press-3"]
    assert found.columns.tolist() == [FIRST.start, LAST.start]
    assert list(found.T["press-3"]) == ["S", "E"]
    assert fleet.history(LAST.start, LAST.end).shape == (3, 1)
    assert fleet.history(LAST.end, LAST.end).shape == (0, 0)


def test_folder_has_the_history_of_a_fleet_of_any_name(scored_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(scored_folder, tmp_path / "mirror")
    history = tmp_path / "mirror/predictions/_history"
    (history / "default").rename(history / "plant")
    expected, found = Fleet.folder(scored_folder), Fleet.folder(tmp_path / "mirror")
    for series in (None, LAST):
        states = found.history(FIRST.start, LAST.end, series=series)
        assert len(states) == 3
        assert states.equals(expected.history(FIRST.start, LAST.end))


def limited(fleet: Fleet, **limits: int) -> Fleet:
    """Return a fleet with limits of its own."""
    return Fleet(fleet.layout, fleet.store, limits=FleetLimits(**limits))


def test_history_above_the_limit_is_rejected(fleet: Fleet) -> None:
    fleet = limited(fleet, history_states=5)
    assert fleet.history(LAST.start, LAST.end).shape == (3, 1)
    with pytest.raises(UsageInvalid, match="more than 5 states; ask for a shorter time"):
        fleet.history(FIRST.start, LAST.end)


def test_history_of_too_many_windows_is_rejected(fleet: Fleet) -> None:
    fleet = limited(fleet, history_windows=1)
    assert fleet.history(LAST.start, LAST.end).shape == (3, 1)
    with pytest.raises(UsageInvalid, match="more than 1 windows; ask for a shorter time"):
        fleet.history(FIRST.start, LAST.end)


def test_incidents_are_those_of_the_newest_window(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "store")
    fleet = Fleet.folder(folder)
    assert set(fleet.incidents()["State"]) == {"opened"}
    path = folder / "predictions" / LAST.slug / "_incidents.csv"
    path.write_text(path.read_text().replace(",opened,", ",closed,", 1))
    assert (len(fleet.incidents()), len(fleet.incidents(open_only=False))) == (2, 3)


def test_incidents_of_a_long_window_are_without_those_of_windows_within_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "store")
    day = Window(LAST.start, LAST.start + timedelta(days=1))
    shutil.copytree(folder / "predictions" / LAST.slug, folder / "predictions" / day.slug)
    (folder / "predictions" / day.slug / "_incidents.csv").write_text(f"{','.join(TABLE_COLUMNS['_incidents.csv'])}\n")
    fleet = Fleet.folder(folder)
    assert (fleet.newest_window(), len(fleet.incidents())) == (day, 0)
    assert len(fleet.window_tables([LAST], "_incidents.csv")) == 3


def test_tables_of_windows_of_several_lengths_have_the_length_of_each(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "store")
    quarter = Window(LAST.start, LAST.start + timedelta(minutes=15))
    shutil.copytree(folder / "predictions" / LAST.slug, folder / "predictions" / quarter.slug)
    found = Fleet.folder(folder).anomalies(LAST.start, LAST.end)
    assert found["Window"].tolist() == [LAST.start, LAST.start]
    assert found["Length"].tolist() == [quarter.length, LAST.length]


@pytest.mark.parametrize("column", ["Window", "Length"])
@pytest.mark.parametrize("file", ["_anomalies.csv", "_failures.csv", "_incidents.csv", "_sensors.csv"])
def test_file_of_a_report_with_a_column_of_windows_is_invalid(tmp_path: Path, file: str, column: str) -> None:
    folder = make_folder(tmp_path / "store")
    (folder / "predictions" / LAST.slug / file).write_text(f"{column},{','.join(TABLE_COLUMNS[file])}\n")
    with pytest.raises(DataInvalid, match=f"{file} is invalid: it has a column {column}, .*; the next report of its"):
        Fleet.folder(folder).report_tables(FIRST.start, LAST.end, file)


def test_model_has_the_parameters_of_each_step(fleet: Fleet) -> None:
    found = fleet.model("press-1")
    assert found[["Tag", "Detector", "EvaluatedBy", "Problem"]].to_numpy().tolist() == [
        ["1", "StandardScaler -> OneClassSVM", "closed form", ""]
    ]
    assert found["Parameters"][0]["OneClassSVM"]["gamma"] == 0.01
    assert found.attrs["name"] == "press-1.joblib"


def test_model_that_cannot_be_read_is_an_error_with_the_reason(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "store")
    (folder / "models" / "press-1.joblib").write_bytes(b"cos\nsystem\n.")
    with pytest.raises(DataInvalid, match=r"model press-1\.joblib cannot be read: .*'os\.system'"):
        Fleet.folder(folder).model("press-1")
    with pytest.raises(NotFound, match="press-9 has no model"):
        Fleet.folder(folder).model("press-9")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_compact_writes_the_predictions_of_each_window_once(fleet: Fleet, tmp_path: Path, form: str) -> None:
    files = fleet.compact(FIRST.start, LAST.end, tmp_path / "out", form)
    assert [(one.window, one.devices, one.written) for one in files] == [(FIRST, 3, True), (LAST, 2, True)]
    read = pd.read_parquet if form == "parquet" else pd.read_csv
    found, expected = read(files[1].path), fleet.predictions(LAST)
    assert found["Device"].tolist() == expected["Device"].tolist()
    assert found["Score"].tolist() == expected["Score"].tolist()
    assert not any(one.written for one in fleet.compact(FIRST.start, LAST.end, tmp_path / "out", form))
    assert all(one.written for one in fleet.compact(FIRST.start, LAST.end, tmp_path / "out", form, replace=True))


def test_folder_has_no_cluster(fleet: Fleet) -> None:
    with pytest.raises(ClusterUnavailable, match="a folder has no runs"):
        fleet.runs()
