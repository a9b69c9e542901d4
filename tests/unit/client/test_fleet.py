"""A fleet in a folder that the scorer's own commands wrote."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetscore import Fleet, Window
from fleetscore.errors import ClusterUnavailable, NotFound
from tests.testkit import scorer_fleet
from tests.testkit.scorer_command import scorer

WINDOW = Window.parse(f"{scorer_fleet.START}/{scorer_fleet.END}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet of two devices, one of them with a spike, scored and reported."""
    path = tmp_path_factory.mktemp("fleet")
    for device, values in {
        "press-1": scorer_fleet.NORMAL,
        "press-2": (*scorer_fleet.NORMAL, scorer_fleet.SPIKE),
    }.items():
        (path / "models").mkdir(exist_ok=True)
        (path / "models" / f"{device}.joblib").write_bytes(scorer_fleet.bundle({"1": scorer_fleet.a_model()}))
        (path / "data" / scorer_fleet.PARTITION).mkdir(parents=True, exist_ok=True)
        content = scorer_fleet.readings(device, values=values)
        (path / "data" / scorer_fleet.PARTITION / f"{device}.csv").write_bytes(content)
    window = ["--window-start", scorer_fleet.START, "--window-end", scorer_fleet.END]
    assert scorer("score", "--store", str(path), *window, "press-1", "press-2").code == 0
    assert scorer("report", "--store", str(path), *window).code == 0
    return path


def test_devices_and_windows_are_listed(folder: Path) -> None:
    fleet = Fleet.folder(folder)
    assert list(fleet.devices()) == ["press-1", "press-2"]
    assert fleet.windows() == [WINDOW]


def test_predictions_have_one_row_per_reading_of_the_named_devices(folder: Path) -> None:
    fleet = Fleet.folder(folder)
    assert len(fleet.predictions(WINDOW)) == 11
    spike = fleet.predictions("2018-08-28T23:00Z", devices=["press-2"])
    assert spike["Prediction"].tolist() == [0, 0, 0, 0, 0, 1]
    assert spike["Val"].tolist()[-1] == 99.0
    frames = list(fleet.iter_predictions(WINDOW.start, WINDOW.end, devices=["press-2", "press-9"]))
    assert [len(frame) for frame in frames] == [6]


def test_predictions_of_an_unknown_device_are_not_found(folder: Path) -> None:
    with pytest.raises(NotFound, match="press-9 has no predictions in 2018-08-28T23:00Z/1h"):
        Fleet.folder(folder).predictions(WINDOW, devices=["press-9"])


def test_anomalies_have_the_window_and_the_rows_of_its_report(folder: Path) -> None:
    found = Fleet.folder(folder).anomalies(datetime(2018, 8, 28, tzinfo=UTC), WINDOW.end)
    assert found[["Device", "Tag", "Anomalies"]].to_numpy().tolist() == [["press-2", "1", 1]]
    assert found["Window"].tolist() == [WINDOW.start]
    assert Fleet.folder(folder).anomalies(WINDOW.end, WINDOW.end).empty


def test_readings_are_those_that_the_scorer_read(folder: Path) -> None:
    fleet = Fleet.folder(folder)
    assert fleet.readings("press-2", WINDOW)["Value"].tolist() == [str(value) for value in (*scorer_fleet.NORMAL, 99.0)]
    with pytest.raises(NotFound, match="press-9 has no readings"):
        fleet.readings("press-9", WINDOW)


def test_folder_has_no_cluster(folder: Path) -> None:
    with pytest.raises(ClusterUnavailable, match="a folder has no runs"):
        Fleet.folder(folder).runs()
