"""The history and the incidents of consecutive reports."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.health.settings import IncidentSettings
from device_scorer.report.health_keeper import HealthKeeper
from device_scorer.report.statistics import DeviceFigures
from device_scorer.report.summary import AnomalyRule, Comparison, Coverage, Summary, build_row
from device_scorer.store.folder import FolderStore
from device_scorer.window import Window
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_report import (
    BEFORE,
    SLUG,
    WINDOW,
    read_page,
    read_summary,
    read_table,
    report,
    run_state,
    write_predictions,
)

PREVIOUS = ("--window-start", "2018-08-28T22:00:00Z", "--window-end", "2018-08-28T23:00:00Z")


def test_two_anomalous_windows_open_an_incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_INCIDENTS", '{"fleet": "plant", "owners": [{"devices": "press-*", "name": "Ann"}]}')
    for slug in (BEFORE, SLUG):
        write_predictions(tmp_path, "press-1", {"1": "000111"}, slug=slug)
    assert scorer("report", "--store", tmp_path, *PREVIOUS).code == 0
    report(tmp_path)
    report(tmp_path)
    (line,) = read_table(tmp_path, "_incidents.csv")
    assert (line["Device"], line["Cause"], line["State"], line["Since"], line["Owner"]) == (
        *("press-1", "machine", "opened"),
        *("2018-08-28T22:00:00Z", "Ann"),
    )
    assert read_summary(tmp_path)["incidents"]["opened"] == 1
    assert "machine incident since 2018-08-28T22:00:00Z" in read_page(tmp_path)
    assert (tmp_path / "predictions" / "_history" / "plant" / "PT3600S" / "2018-W35.csv.gz").exists()


def test_damaged_history_does_not_end_the_report(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000111"})
    path = tmp_path / "predictions" / "_history" / "default" / "PT3600S" / "2018-W35.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cut")
    result = report(tmp_path)
    assert "the history of its windows begins again" in result.err
    assert read_summary(tmp_path)["problems"]


def test_invalid_settings_are_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_INCIDENTS", '{"openAfter": 0}')
    result = scorer("report", "--store", tmp_path, *PREVIOUS)
    assert result.code == 64
    assert "openAfter" in result.err


def test_window_of_seconds_has_no_history(tmp_path: Path) -> None:
    window = Window(WINDOW.start, WINDOW.start + timedelta(seconds=30))
    summary = Summary(window, AnomalyRule(), [], Comparison(window, has_previous=False))
    health = HealthKeeper(FolderStore(tmp_path), IncidentSettings(), window).assess(summary)
    assert "have no history" in health.problems[0]


@pytest.mark.parametrize("ahead", [1, 200], ids=["same-tile", "next-tile"])
def test_window_in_the_future_does_not_make_the_present_one_old(tmp_path: Path, ahead: int) -> None:
    def report_at(hours: int, now: datetime) -> bool:
        span = timedelta(hours=hours)
        window = Window(WINDOW.start + span, WINDOW.end + span)
        row = build_row("press-1", DeviceOutcome("empty"), DeviceFigures(), window, AnomalyRule())
        summary = Summary(window, AnomalyRule(), [row], Comparison(window, has_previous=False))
        keeper = HealthKeeper(FolderStore(tmp_path), IncidentSettings(), window, now=lambda: now)
        return keeper.assess(summary).newest

    assert report_at(ahead, WINDOW.end)
    assert report_at(0, WINDOW.end)
    assert not report_at(0, WINDOW.end + timedelta(hours=ahead))


def test_history_above_64_mib_does_not_end_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_DATA_PARTITION", "PT1M")
    devices = [f"press-{number}" for number in range(6700)]  # a week of minutes is 10,080 letters a device
    progress = {"outcomes": {"empty": "0-6699"}, "reasons": {}}
    minute = ("--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-28T23:01:00Z")
    result = scorer("report", "--store", tmp_path, *minute, *run_state(tmp_path, devices, progress))
    assert (result.code, "the history is not written" in result.err) == (0, True)
    summary = tmp_path / "predictions" / "20180828T230000Z_20180828T230100Z" / "_summary.json"
    assert "67,108,864 bytes; use longer windows" in json.loads(summary.read_text())["problems"][0]
    assert not (tmp_path / "predictions" / "_history").exists()


def test_flags_that_do_not_fit_into_digests_are_a_problem_of_the_window(tmp_path: Path) -> None:
    figures = DeviceFigures(240, left_out_flags=(1, 0, 0, 40, 0, 0, 9))
    rows = [build_row(f"press-{one}", DeviceOutcome("scored"), figures, WINDOW, AnomalyRule()) for one in (1, 2)]
    summary = Summary(WINDOW, AnomalyRule(), rows, Comparison(WINDOW, has_previous=False))
    keeper = HealthKeeper(FolderStore(tmp_path), IncidentSettings(), WINDOW)
    (problem,) = keeper.assess(summary).problems
    assert problem.startswith("82 flags of faulty sensors of 2 devices are not listed, the first device is press-1:")


def test_damaged_digests_and_records_are_problems_of_the_window(tmp_path: Path) -> None:
    coverage = Coverage(damaged_digests=["press-7", "press-9"])
    comparison = Comparison(WINDOW, has_previous=False)
    summary = Summary(WINDOW, AnomalyRule(), [], comparison, coverage=coverage)
    keeper = HealthKeeper(FolderStore(tmp_path), IncidentSettings(), WINDOW, damaged_records=["_runs/u/a.json"])
    digests, records = keeper.assess(summary).problems
    assert digests.startswith("2 digests are invalid, the first is of press-7;")
    assert records.startswith("1 outcome record is invalid, the first is _runs/u/a.json;")
