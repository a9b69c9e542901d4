"""The summary of a window, and its JSON and CSV files."""

import csv
import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.statistics import DeviceStatistics
from device_scorer.report.summary import (
    DEFAULT_STALE_AFTER,
    MAX_NAMED_DEVICES,
    MAX_TOP_DEVICES,
    AnomalyRule,
    Comparison,
    Summary,
    build_row,
    failures_csv,
    natural_sort_key,
    summary_json,
)
from tests.testkit.scorer_report import (
    BEFORE,
    SLUG,
    WINDOW,
    a_summary,
    add_models,
    read_page,
    read_summary,
    read_table,
    report,
    write_predictions,
)


def test_summary_size_is_bounded() -> None:
    assert len(summary_json(a_summary(5_000))) < 32_768


def test_every_number_equals_a_count_of_the_predictions(tmp_path: Path) -> None:
    dice = random.Random(7)  # noqa: S311 (labels, not secrets)
    for device in range(1, 7):
        rare = "0" * (50 * device) + "1"
        write_predictions(
            tmp_path, f"press-{device}", {tag: "".join(dice.choices(rare, k=60)) for tag in ("1", "a,b", "3")}
        )
    report(tmp_path)

    texts = [path.read_text() for path in (tmp_path / "predictions" / SLUG).glob("press-*.csv")]
    rows = [row for text in texts for row in csv.DictReader(text.splitlines())]
    anomalies = [row for row in rows if row["Prediction"] == "1"]
    per_device = Counter(row["Device"] for row in rows)
    worst = Counter(row["Device"] for row in anomalies)
    anomalous = {device for device, count in worst.items() if count >= 3 and count >= per_device[device] * 0.01}
    assert 0 < len(anomalous) < 6
    assert anomalies
    assert read_summary(tmp_path)["results"] == {
        "rows": len(rows),
        "badRows": 12,
        "unscoredRows": 6,
        "anomalies": len(anomalies),
        "anomalousDevices": len(anomalous),
    }
    listed = {(row["Device"], row["Tag"]): int(row["Anomalies"]) for row in read_table(tmp_path, "_anomalies.csv")}
    assert listed == Counter((row["Device"], row["Tag"]) for row in anomalies)
    assert f"<b>{len(anomalies):,}</b>" in read_page(tmp_path)
    embedded = re.search(r'id="devices">(.*?)</script>', read_page(tmp_path))
    assert embedded
    assert json.loads(embedded[1]) == [
        [f"press-{n}", "scored", per_device[f"press-{n}"], worst[f"press-{n}"]] for n in range(1, 7)
    ]


def test_anomalies_csv_has_the_first_last_and_worst_anomaly(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"temp": "0110"})
    report(tmp_path)
    assert read_table(tmp_path, "_anomalies.csv") == [
        {
            "Device": "press-1",
            "Tag": "temp",
            "Rows": "4",
            "Anomalies": "2",
            "First": "2018-08-28T23:58:00Z",
            "Last": "2018-08-28T23:57:00Z",
            "WorstTS": "2018-08-28T23:58:00Z",
            "WorstVal": "1.5",
            "WorstScore": "-0.250000000",
        }
    ]


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


def test_device_is_anomalous_by_share_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_ANOMALOUS_SHARE", "5%")
    monkeypatch.setenv("FLEETSCORE_ANOMALOUS_MIN_ROWS", "2")
    write_predictions(tmp_path, "just", {"1": ("0" * 19 + "1") * 2})
    write_predictions(tmp_path, "too rare", {"1": "0" * 39 + "11"}, minute=58)
    write_predictions(tmp_path, "too-few", {"1": "1"})
    report(tmp_path)
    assert read_summary(tmp_path)["results"]["anomalousDevices"] == 1


def test_limits_of_lists() -> None:
    assert (MAX_TOP_DEVICES, MAX_NAMED_DEVICES) == (20, 50)
    assert DEFAULT_STALE_AFTER.total_seconds() == 900
    document = json.loads(summary_json(a_summary(5_000)))
    assert len(document["topAnomalies"]) == 20
    assert len(document["stale"]["devices"]) == 50
    assert document["stale"]["count"] > 50


def test_numbers_in_ids_are_sorted_by_value() -> None:
    assert sorted(["press-10", "press-2", "a", "press-2b"], key=natural_sort_key) == [
        "a",
        "press-2",
        "press-2b",
        "press-10",
    ]


def test_failure_message_is_one_line_of_the_csv() -> None:
    outcome = DeviceOutcome("failed", "DataInvalid", "two\nlines\rand a return")
    row = build_row("press-1", outcome, DeviceStatistics(), WINDOW, AnomalyRule())
    summary = Summary(WINDOW, AnomalyRule(), [row], Comparison(WINDOW, has_previous=False))
    assert failures_csv(summary).splitlines()[1] == b"press-1,failed,DataInvalid,two lines and a return"


@pytest.mark.parametrize(
    ("outcome", "complete"),
    [("scored", True), ("alreadyScored", True), ("empty", True), ("partial", False), ("failed", False)],
)
def test_window_is_complete_if_every_device_is_scored_or_empty(outcome: str, *, complete: bool) -> None:
    row = build_row("press-1", DeviceOutcome(outcome), DeviceStatistics(), WINDOW, AnomalyRule())
    summary = Summary(WINDOW, AnomalyRule(), [row], Comparison(WINDOW, has_previous=False))
    assert summary.complete is complete
