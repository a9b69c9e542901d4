"""The JSON and CSV files of a report."""

import csv
import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.documents import (
    MAX_NAMED_DEVICES,
    MAX_TOP_DEVICES,
    anomalies_csv,
    empty_csv,
    failures_csv,
    summary_json,
)
from device_scorer.report.statistics import DeviceFigures, TagStatistics
from device_scorer.report.summary import AnomalyRule, Comparison, Coverage, DeviceRow, Summary, build_row
from tests.testkit.scorer_report import (
    SLUG,
    WINDOW,
    a_summary,
    read_page,
    read_summary,
    read_table,
    report,
    write_predictions,
)


def summary_of(*rows: DeviceRow, coverage: Coverage = Coverage()) -> Summary:  # noqa: B008  it is immutable
    return Summary(WINDOW, AnomalyRule(), rows, Comparison(WINDOW, has_previous=False), coverage=coverage)


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
            "First": "2018-08-28T23:57:00Z",
            "Last": "2018-08-28T23:58:00Z",
            "WorstTS": "2018-08-28T23:58:00Z",
            "WorstVal": "1.5",
            "WorstScore": "-0.250000000",
        }
    ]


def test_summary_names_the_20_worst_devices_and_50_of_each_list() -> None:
    assert (MAX_TOP_DEVICES, MAX_NAMED_DEVICES) == (20, 50)
    document = json.loads(summary_json(a_summary(5_000)))
    assert len(document["topAnomalies"]) == 20
    assert len(document["stale"]["devices"]) == 50
    assert document["stale"]["count"] > 50


def test_failure_message_is_one_line_of_the_csv() -> None:
    outcome = DeviceOutcome("failed", "DataInvalid", "two\nlines\rand a return")
    row = build_row("press-1", outcome, DeviceFigures(), WINDOW, AnomalyRule())
    summary = Summary(WINDOW, AnomalyRule(), [row], Comparison(WINDOW, has_previous=False))
    assert failures_csv(summary).splitlines()[1] == b"press-1,failed,DataInvalid,two lines and a return"


@pytest.mark.parametrize(
    ("tag", "value", "score", "cells"),
    [
        ("=1+1", "-1.5", -0.25, ["'=1+1", "-1.5", "-0.250000000"]),
        ("@SUM(A1)|x", "1", 0.0, ["'@SUM(A1)|x", "1", "0.000000000"]),
        ("a\rb", "1", -1e-12, ["a b", "1", "-1e-12"]),
        ("t", "1", -1e300, ["t", "1", "-1e+300"]),
    ],
)
def test_cells_of_anomalies_are_not_evaluated(tag: str, value: str, score: float, cells: list[str]) -> None:
    statistics = TagStatistics(5, 3, "t1", "t2", "t3", value, score)
    row = build_row("d", DeviceOutcome("scored"), DeviceFigures(5, 3, 0, {tag: statistics}), WINDOW, AnomalyRule())
    line = list(csv.reader(anomalies_csv(summary_of(row)).decode().splitlines()))[1]
    assert [line[1], line[7], line[8]] == cells


def test_empty_devices_are_listed_with_the_etags_of_their_readings() -> None:
    rows = [
        build_row(device, DeviceOutcome(outcome), DeviceFigures(), WINDOW, AnomalyRule())
        for device, outcome in (("a", "empty"), ("b", "empty"), ("c", "scored"))
    ]
    content = empty_csv(summary_of(*rows, coverage=Coverage(data_etags={"b": "1 2"})))
    assert content == b"Device,DataETags\na,\nb,1 2\n"


def test_summary_names_what_predictions_do_not_show() -> None:
    coverage = Coverage(["a"], ["b"], ["c"], ["d"], 3, ["models/x"])
    document = json.loads(summary_json(summary_of(coverage=coverage)))
    assert document["readingsWithoutModel"] == {"count": 1, "devices": ["a"], "rows": 0, "tags": []}
    assert document["vanishedModels"] == {"count": 1, "devices": ["b"]}
    assert document["readingsChangedAfterScoring"]["devices"] == ["c"]
    assert "IfChanged" in document["readingsChangedAfterScoring"]["cure"]
    assert document["unknownDevices"] == {"count": 1, "devices": ["d"]}
    assert document["unknownNames"] == {"count": 3, "names": ["models/x"]}
