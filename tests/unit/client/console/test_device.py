import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fleetscore import Fleet
from fleetscore.console import charts
from fleetscore.console.charts import MAX_COLUMNS
from fleetscore.console.device import device_context, downsample, tag_plots
from fleetscore.console.reader import MAX_PLOTTING, Reader, ReaderLimits
from fleetscore.contract import blob_paths
from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.windows import Window
from fleetscore.errors import NotFound
from fleetscore.store.base import Blob
from fleetscore.store.folder import FolderStore
from tests.testkit.console_fleet import HALL, WINDOW


def frame(**tags: list[float | None]) -> pd.DataFrame:
    rows = [
        {"TS": pd.Timestamp(WINDOW.start) + pd.Timedelta(minutes=minute), "Tag": tag, "Val": value, "Prediction": 0}
        for tag, values in tags.items()
        for minute, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_tags_with_anomalies_are_first_then_those_with_flags() -> None:
    readings = frame(a=[1.0, 2.0], b=[1.0, 2.0], c=[1.0, 9.0])
    readings.loc[readings["Val"] == 9.0, "Prediction"] = 1
    found, _ = tag_plots(readings, WINDOW, [{"Tag": "b", "Flag": "stuck"}, {"Tag": "gone", "Flag": "silent"}])
    assert [(one["tag"], one["rows"], one["anomalies"]) for one in found] == [
        ("c", 2, 1),
        ("b", 2, 0),
        ("gone", 0, 0),
        ("a", 2, 0),
    ]


@pytest.mark.parametrize("count", [3, 2000], ids=str)
def test_readings_without_a_number_or_time_are_counted_but_not_drawn(count: int) -> None:
    readings = frame(a=[1.0, None, float("inf"), *[2.0] * (count - 3)])
    readings.loc[3:, "TS"] = pd.NaT
    (found,), _ = tag_plots(readings, WINDOW, [])
    assert found["rows"] == count
    assert found["plot"].count(",") < 40
    assert "nan" not in found["plot"]


def many_readings(count: int = 100_000) -> pd.DataFrame:
    """Return readings of a tag in the order of time, with the columns that `downsample` takes."""
    values = [float(index % 7) for index in range(count)]
    position = [index / count for index in range(count)]
    return pd.DataFrame({"Tag": "a", "Position": position, "Val": values, "Anomalous": False})


def test_plot_keeps_the_extremes_of_each_column_of_pixels() -> None:
    readings = many_readings()
    readings.loc[54_321, "Val"], readings.loc[54_322, "Val"] = 1000.0, -1000.0
    kept = downsample(readings)
    assert len(kept) == 2 * MAX_COLUMNS
    assert {1000.0, -1000.0} <= set(kept["Val"])
    columns = (readings["Position"] * MAX_COLUMNS).astype(int)
    for side in ("min", "max"):
        expected = readings["Val"].groupby(columns).agg(side).tolist()
        assert kept["Val"].groupby((kept["Position"] * MAX_COLUMNS).astype(int)).agg(side).tolist() == expected


def test_plot_keeps_an_anomaly_of_each_column_of_pixels() -> None:
    readings = many_readings()
    readings.loc[::50, "Anomalous"] = True  # 2,000 anomalies, most of which are neither the lowest nor the highest
    columns = (readings["Position"] * MAX_COLUMNS).astype(int)
    kept = downsample(readings)
    assert set(columns[kept.index[kept["Anomalous"]]]) == set(columns[readings["Anomalous"]])
    assert len(kept) <= 4 * MAX_COLUMNS


def test_tag_with_few_readings_is_drawn_as_it_is() -> None:
    readings = many_readings(2 * MAX_COLUMNS)
    assert downsample(readings).equals(readings)
    assert downsample(readings[:0]).empty


def test_size_of_a_plot_does_not_follow_the_number_of_its_readings() -> None:
    start, sizes = pd.Timestamp(WINDOW.start), []
    for count in (10_000, 40_000):
        times = start + pd.to_timedelta([index * 3600 / count for index in range(count)], unit="s")
        values = [float(index % 101) for index in range(count)]
        (found,), _ = tag_plots(pd.DataFrame({"TS": times, "Tag": "a", "Val": values, "Prediction": 1}), WINDOW, [])
        sizes.append(len(found["plot"]))
    assert sizes[1] <= 1.05 * sizes[0]


def test_tags_above_the_limit_are_counted_and_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(charts, "line_chart", lambda *_, label, **__: drawn.append(label))
    tags: dict[str, list[float | None]] = {f"t{number:03}": [1.0] for number in range(29)}
    found, more = tag_plots(frame(**tags), WINDOW, [])
    assert (len(found), more, len(drawn)) == (24, 5, 24)


def test_predictions_that_are_too_large_are_named_and_not_read(folder: Path) -> None:
    name = blob_paths.prediction_name(FleetLayout().predictions_path, WINDOW, HALL)
    os.truncate(folder / "predictions" / name, 32 * 2**20 + 1)
    found = device_context(Reader(Fleet.folder(folder)), HALL, WINDOW)
    assert "is too large: it has 33,554,433 bytes of at most 33,554,432" in found["problem"]
    assert found["plots"] == []


class BusyStore(FolderStore):
    """A folder whose predictions are read by as many pages at the same time as may be plotted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lock, self._all_places = threading.Lock(), threading.Barrier(MAX_PLOTTING)
        self.in_work = self.most = 0

    def read(self, container: str, name: str, **options: Any) -> Blob | None:
        if "/_" in name or name.startswith("_"):
            return super().read(container, name, **options)
        with self._lock:
            self.in_work += 1
            self.most = max(self.most, self.in_work)
        self._all_places.wait(60)  # so the places are all taken at this moment
        with self._lock:
            self.in_work -= 1
        return super().read(container, name, **options)


def test_pages_beyond_the_limit_wait_until_others_are_plotted(folder: Path) -> None:
    store, pages = BusyStore(folder), 4 * MAX_PLOTTING
    reader = Reader(Fleet(FleetLayout(), store), ReaderLimits(plots_wait_seconds=60))
    with ThreadPoolExecutor(pages) as threads:
        found = list(threads.map(lambda _: len(device_context(reader, HALL, WINDOW)["plots"]), range(pages)))
    assert (found, store.most, MAX_PLOTTING) == ([2] * pages, 2, 2)


def test_page_that_waits_too_long_has_all_but_the_plots(folder: Path) -> None:
    assert ReaderLimits() == ReaderLimits(snapshot_seconds=15, runs_seconds=2, plots_wait_seconds=10)
    reader = Reader(Fleet.folder(folder), ReaderLimits(plots_wait_seconds=0.01))
    for _ in range(MAX_PLOTTING):
        reader.plotting.acquire()
    found = device_context(reader, HALL, WINDOW)
    assert "load this page again" in found["problem"]
    assert (found["plots"], len(found["incidents"]), found["window"]) == ([], 1, WINDOW)
    reader.plotting.release()
    assert len(device_context(reader, HALL, WINDOW)["plots"]) == 2
    assert len(device_context(reader, HALL, WINDOW)["plots"]) == 2


def test_length_of_a_tag_is_bounded() -> None:
    tags: dict[str, list[float | None]] = {"<" * 10_000: [1.0]}
    (found,), _ = tag_plots(frame(**tags), WINDOW, [])
    assert (found["tag"], found["plot"].count("&lt;")) == ("<" * 256, 256)


def test_window_at_the_end_of_the_calendar_has_no_newer_one(folder: Path) -> None:
    last = Window.parse("9999-12-31T23:00Z/59m")
    found = device_context(Reader(Fleet.folder(folder)), HALL, last)
    assert (found["window"], found["newer"], found["older"]) == (last, None, None)


def test_damaged_table_of_an_older_window_is_a_problem_next_to_the_plots(folder: Path) -> None:
    path = folder / "predictions" / blob_paths.report_name(WINDOW.previous(1), blob_paths.SENSORS_FILE)
    path.parent.mkdir()
    path.write_bytes(b"\xff")
    found = device_context(Reader(Fleet.folder(folder)), HALL, WINDOW.previous(1))
    assert "_sensors.csv is invalid" in found["problem"]


def test_newest_window_with_predictions_is_shown_first(folder: Path) -> None:
    found = device_context(Reader(Fleet.folder(folder)), HALL, None)
    assert (found["window"], found["older"], found["newer"]) == (WINDOW, WINDOW.previous(1), None)
    assert (found["kind"], len(found["plots"])) == ("predictions", 2)
    assert ("size", "7 bytes") in found["model"]


def test_readings_are_drawn_if_there_are_no_predictions(folder: Path) -> None:
    path = folder / "data" / f"{WINDOW.start:%Y%m%dT%H%MZ}" / "press-1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(f"TS,Device,Tag,Value\n{WINDOW.start:%Y-%m-%dT%H:%M:%SZ},press-1,temp,5.5\n")
    found = device_context(Reader(Fleet.folder(folder)), "press-1", WINDOW)
    assert (found["kind"], [one["tag"] for one in found["plots"]]) == ("readings", ["temp"])


def test_device_without_history_and_model_is_not_found(folder: Path) -> None:
    with pytest.raises(NotFound, match="no-such has no history and no model"):
        device_context(Reader(Fleet.folder(folder)), "no-such", None)


def test_window_of_years_without_predictions_costs_no_request(
    scored_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet.folder(scored_folder)
    monkeypatch.setattr(Fleet, "readings", None)
    found = device_context(Reader(fleet), "press-1", Window.parse("5000-01-01/P9000D"))
    assert "is too long for a plot of readings" in found["problem"]
