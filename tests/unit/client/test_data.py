"""The stored data of a fleet in a folder that the scorer's own commands wrote."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from fleetscore import Fleet, Window
from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.windows import Time
from fleetscore.data import MAX_PAGE_BYTES, MAX_TABLE_BYTES, FleetLimits
from fleetscore.errors import NotFound, TooLarge, UsageInvalid
from fleetscore.store.folder import FolderStore
from tests.testkit import scorer_fleet
from tests.unit.client.conftest import DEVICES, FIRST, LAST, make_folder


@pytest.fixture(scope="module")
def fleet(scored_folder: Path) -> Fleet:
    return Fleet.folder(scored_folder)


def test_devices_and_windows_are_listed(fleet: Fleet) -> None:
    assert list(fleet.devices()) == list(DEVICES)
    assert fleet.windows() == [LAST, FIRST]
    assert fleet.newest_window() == LAST


def test_window_is_listed_only_with_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    for slug in (FIRST.slug, LAST.slug, "20181399T220000Z_20180828T230000Z", "other"):
        (folder / "predictions" / slug).mkdir(parents=True)
    (folder / "predictions" / FIRST.slug / "_summary.json").write_text("{}")
    fleet = Fleet.folder(folder)
    assert (fleet.windows(), fleet.newest_window()) == ([FIRST], FIRST)


def test_window_without_a_report_is_known_only_with_predictions(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "store")
    (folder / "predictions" / FIRST.slug / "_summary.json").unlink()
    (folder / "predictions" / "20180828T210000Z_20180828T220000Z").mkdir()
    fleet = Fleet.folder(folder)
    assert fleet.windows_without_report("2018-08-28", "2018-08-29") == [FIRST]
    assert fleet.windows_without_report(LAST.start, LAST.end) == []


def test_windows_are_listed_without_listing_their_blobs(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(type(fleet.store), "list")
    monkeypatch.delattr(type(fleet.store), "names")
    assert fleet.windows() == [LAST, FIRST]


def test_store_without_a_report_has_no_newest_window(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="has no report of a window; it is written at the end of a run"):
        Fleet.folder(tmp_path).newest_window()


def test_number_of_windows_that_are_listed_or_searched_is_bounded(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="predictions of more than 1 windows; delete the folders of old windows"):
        Fleet(fleet.layout, fleet.store, limits=FleetLimits(windows=1)).windows()
    for slug in (FIRST.slug, LAST.slug):
        (tmp_path / "predictions" / slug).mkdir(parents=True)
    (tmp_path / "predictions" / FIRST.slug / "_summary.json").write_text("{}")
    limits = FleetLimits(windows=2, without_report=1)
    with pytest.raises(NotFound, match=r"no report of the newest 1 windows; .*--window names an older one"):
        Fleet(FleetLayout(), FolderStore(tmp_path), limits=limits).newest_window()


def test_fleet_without_limits_of_its_own_lists_years_of_windows() -> None:
    assert FleetLimits() == FleetLimits(100_000, 1000, history_windows=100_000, history_states=20_000_000)
    assert (MAX_TABLE_BYTES, MAX_PAGE_BYTES) == (256 * 2**20, 32 * 2**20)


def test_partitions_of_a_window_have_one_limit_together(fleet: Fleet, tmp_path: Path) -> None:
    size = len(fleet.reading_blobs("press-2", LAST)[0].content)
    assert len(fleet.readings("press-2", LAST, max_bytes=size)) == 6
    with pytest.raises(TooLarge, match=f"at most {size - 1:,}"):
        fleet.readings("press-2", LAST, max_bytes=size - 1)
    for hour in (22, 23):
        (tmp_path / f"data/20180828T{hour}00Z").mkdir(parents=True)
        (tmp_path / f"data/20180828T{hour}00Z/press-1.csv").write_bytes(b"x" * 10)
    two_hours = Window(FIRST.start, LAST.end)
    assert len(Fleet.folder(tmp_path).reading_blobs("press-1", two_hours, max_bytes=20)) == 2
    with pytest.raises(TooLarge, match="it has 10 bytes of at most 9"):
        Fleet.folder(tmp_path).reading_blobs("press-1", two_hours, max_bytes=19)


def test_predictions_have_one_row_per_reading_of_the_named_devices(fleet: Fleet) -> None:
    assert len(fleet.predictions(LAST)) == 11
    spike = fleet.predictions("2018-08-28T23:00Z", devices=["press-2"])
    assert spike["Prediction"].tolist() == [0, 0, 0, 0, 0, 1]
    assert spike["Val"].tolist()[-1] == 99.0
    frames = list(fleet.iter_predictions(LAST.start, LAST.end, devices=["press-2", "press-9"]))
    assert [len(frame) for frame in frames] == [6]


def test_predictions_of_a_span_are_one_frame_per_device_and_window(fleet: Fleet) -> None:
    assert [len(frame) for frame in fleet.iter_predictions(FIRST.start, LAST.end)] == [5, 6, 5, 5, 6]


def test_predictions_of_an_unknown_device_are_not_found(fleet: Fleet) -> None:
    with pytest.raises(NotFound, match="press-9 has no predictions in 2018-08-28T23:00Z/1h"):
        fleet.predictions(LAST, devices=["press-9"])


def test_readings_are_those_that_the_scorer_read(fleet: Fleet) -> None:
    assert fleet.readings("press-2", LAST)["Value"].tolist() == [str(value) for value in (*scorer_fleet.NORMAL, 99.0)]
    with pytest.raises(NotFound, match="press-9 has no readings"):
        fleet.readings("press-9", LAST)


def test_devices_are_named_by_a_text_a_series_or_an_index(fleet: Fleet) -> None:
    for devices in ("press-2", pd.Series(["press-2"], dtype="category"), pd.Index(["press-2"]), iter(["press-2"])):
        assert len(fleet.predictions(LAST, devices)) == 6
    assert len(list(fleet.iter_predictions(FIRST.start, LAST.end, "press-2"))) == 2
    assert list(fleet.predictions(LAST, []).columns) == ["TS", "Device", "Tag", "Val", "Prediction", "Score"]


@pytest.mark.parametrize("devices", [[""], [7], [pd.NA], pd.Series([None])], ids=["empty", "number", "na", "none"])
def test_value_that_is_not_a_device_is_rejected(fleet: Fleet, devices: list[str]) -> None:
    with pytest.raises(UsageInvalid, match=r"device id .* is invalid"):
        fleet.predictions(LAST, devices)


def test_times_have_any_form_and_zone(fleet: Fleet) -> None:
    naive = LAST.start.replace(tzinfo=None)
    for start in (naive, pd.Timestamp(naive), "2018-08-28 23:00", "2018-08-29T01:00+02:00"):
        assert [len(frame) for frame in fleet.iter_predictions(start, "2018-08-29")] == [5, 6]
        assert len(fleet.predictions(start)) == 11
        assert fleet.history(start, "2018-08-29").columns.tolist() == [LAST.start]
    with pytest.raises(UsageInvalid, match=r"is before its start .*; swap them"):
        next(fleet.iter_predictions("2018-08-29", naive))


@pytest.mark.parametrize("start", ["9999-12-31T23:00Z", datetime(9999, 12, 31, 23, tzinfo=UTC)])
def test_start_alone_at_the_end_of_the_calendar_is_rejected(fleet: Fleet, start: Time) -> None:
    with pytest.raises(UsageInvalid, match=r"9999-12-31T23:00:00\+00:00' is invalid: it ends after the year 9999"):
        fleet.to_window(start)


def test_start_alone_has_the_length_of_the_stored_window(tmp_path: Path) -> None:
    quarter = Window(LAST.start, LAST.start + timedelta(minutes=15))
    (tmp_path / "predictions" / quarter.slug).mkdir(parents=True)
    fleet = Fleet.folder(tmp_path)
    assert fleet.to_window("2018-08-28T23:00Z") == quarter
    assert fleet.to_window("2018-08-28T22:00Z") == FIRST
    (tmp_path / "predictions" / Window(LAST.start, LAST.start + timedelta(minutes=30)).slug).mkdir()
    with pytest.raises(UsageInvalid, match=r"is ambiguous: storage has .*/30m, .*/15m; add a length"):
        fleet.to_window(LAST.start)
