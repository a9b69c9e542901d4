"""The summary of a window."""

from pathlib import Path

import pytest

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.statistics import DeviceFigures
from device_scorer.report.summary import (
    DEFAULT_STALE_AFTER,
    AnomalyRule,
    Comparison,
    Summary,
    build_row,
    natural_sort_key,
)
from tests.testkit.scorer_report import BEFORE, WINDOW, add_models, read_summary, report, write_predictions


def test_stale_means_older_than_15_minutes() -> None:
    assert DEFAULT_STALE_AFTER.total_seconds() == 900


def test_comparison_has_new_recovered_and_missing_devices(tmp_path: Path) -> None:
    bad, good = {"1": "0" * 10 + "1" * 5}, {"1": "0" * 15}
    for device, before, now in (
        ("a", bad, bad),
        ("b", bad, good),
        ("c", good, bad),
        ("d", bad, None),
        ("e", None, bad),
    ):
        if before:
            write_predictions(tmp_path, device, before, slug=BEFORE)
        if now:
            write_predictions(tmp_path, device, now)
    report(tmp_path)
    previous = read_summary(tmp_path)["previous"]
    assert {key: previous[key] for key in ("known", "new", "recovered", "vanished")} == {
        "known": True,
        "new": {"count": 2, "devices": ["c", "e"]},
        "recovered": {"count": 1, "devices": ["b"]},
        "vanished": {"count": 1, "devices": ["d"]},
    }


def test_comparison_without_a_previous_window_is_empty(tmp_path: Path) -> None:
    write_predictions(tmp_path, "a", {"1": "111"})
    report(tmp_path)
    assert read_summary(tmp_path)["previous"]["new"] == {"count": 0, "devices": []}


def test_devices_with_old_or_no_readings_are_stale(tmp_path: Path) -> None:
    write_predictions(tmp_path, "fresh", {"1": "000"}, minute=59)
    write_predictions(tmp_path, "old", {"1": "000"}, minute=40)
    add_models(tmp_path, "silent")
    report(tmp_path)
    assert read_summary(tmp_path)["stale"] == {"count": 2, "devices": ["silent", "old"]}
    report(tmp_path, "--stale-after", "PT30M")
    assert read_summary(tmp_path)["stale"] == {"count": 1, "devices": ["silent"]}
    report(tmp_path, "--stale-after", "P99999999D")  # before the year 1
    assert read_summary(tmp_path)["stale"] == {"count": 1, "devices": ["silent"]}


def test_device_is_anomalous_by_share_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_ANOMALOUS_SHARE", "5%")
    monkeypatch.setenv("FLEETSCORE_ANOMALOUS_MIN_ROWS", "2")
    write_predictions(tmp_path, "just", {"1": ("0" * 19 + "1") * 2})
    write_predictions(tmp_path, "too-rare", {"1": "0" * 39 + "11"}, minute=58)
    write_predictions(tmp_path, "too-few", {"1": "1"})
    report(tmp_path)
    assert read_summary(tmp_path)["results"]["anomalousDevices"] == 1


def test_numbers_in_ids_are_sorted_by_value() -> None:
    assert sorted(["press-10", "press-2", "a", "press-2b"], key=natural_sort_key) == [
        "a",
        "press-2",
        "press-2b",
        "press-10",
    ]


@pytest.mark.parametrize(
    ("outcome", "complete"),
    [("scored", True), ("alreadyScored", True), ("empty", True), ("partial", False), ("failed", False)],
)
def test_window_is_complete_if_every_device_is_scored_or_empty(outcome: str, *, complete: bool) -> None:
    row = build_row("press-1", DeviceOutcome(outcome), DeviceFigures(), WINDOW, AnomalyRule())
    summary = Summary(WINDOW, AnomalyRule(), [row], Comparison(WINDOW, has_previous=False))
    assert summary.complete is complete


def test_devices_with_anomalies_below_the_rule_are_known() -> None:
    figures = {"a": DeviceFigures(100, 2), "b": DeviceFigures(100, 0), "c": DeviceFigures(100, 9)}
    rows = [build_row(device, DeviceOutcome("scored"), one, WINDOW, AnomalyRule()) for device, one in figures.items()]
    summary = Summary(WINDOW, AnomalyRule(), rows, Comparison(WINDOW, has_previous=False))
    assert [row.device for row in summary.below_rule] == ["a"]
    assert [row.device for row in summary.anomalous] == ["c"]
