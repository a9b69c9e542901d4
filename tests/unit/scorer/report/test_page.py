"""The HTML page."""

import json
import re
from pathlib import Path

import pytest

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report import page
from device_scorer.report.charts import Point
from device_scorer.report.statistics import DeviceStatistics, TagStatistics
from device_scorer.report.summary import AnomalyRule, Summary, build_row
from tests.testkit.scorer_report import (
    NEWEST,
    WINDOW,
    a_summary,
    read_page,
    report,
    write_predictions,
)


def series(summary: Summary) -> dict[str, dict[str, list[Point]]]:
    points = [Point(second, second % 7, second % 100 == 0) for second in range(3600)]
    return {
        row.device: dict.fromkeys(list(row.statistics.tags)[: page.MAX_PLOTTED_TAGS], points)
        for row in summary.anomalous[: page.MAX_PLOTTED_DEVICES]
    }


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "most"), [(12, 200_000), (10_000, 2_500_000), (25_000, 5_000_000)])
def test_page_size_is_bounded(devices: int, most: int) -> None:
    summary = a_summary(devices)
    assert len(page.render(summary, series(summary))) < most


def test_grid_of_a_large_fleet_omits_normal_devices_first() -> None:
    lines = a_summary(page.MAX_GRID_DEVICES + 2_000).devices
    left = {line.device for line in page.devices_in_grid(lines)}
    assert len(left) == page.MAX_GRID_DEVICES
    assert {page.cell_kind(line) for line in lines if line.device not in left} == {"good"}


@pytest.mark.parametrize(
    ("outcome", "anomalies", "kind"),
    [
        ("scored", 0, "good"),
        ("scored", 3, "anomalous"),
        ("scored", 5, "anomalous"),
        ("scored", 6, "elevated"),
        ("scored", 20, "elevated"),
        ("scored", 21, "severe"),
        ("scored", 30, "severe"),
        ("partial", 0, "partial"),
        ("partial", 30, "severe"),
    ],
)
def test_cell_kind_follows_outcome_and_share(outcome: str, anomalies: int, kind: str) -> None:
    statistics = DeviceStatistics({"1": TagStatistics(100, anomalies)}, NEWEST)
    assert page.cell_kind(build_row("d", DeviceOutcome(outcome), statistics, WINDOW, AnomalyRule())) == kind


@pytest.mark.parametrize(
    ("outcome", "kind"), [("failed", "failed"), ("empty", "no-readings"), ("notRun", "unknown"), ("missing", "unknown")]
)
def test_cell_kind_of_a_device_without_predictions_is_its_outcome(outcome: str, kind: str) -> None:
    assert page.cell_kind(build_row("d", DeviceOutcome(outcome), DeviceStatistics(), WINDOW, AnomalyRule())) == kind


@pytest.mark.fault("T9")
def test_ids_and_tags_are_escaped_in_the_page(tmp_path: Path) -> None:
    tag = "<script>alert(1)</script>"
    write_predictions(tmp_path, "a'b(1),$", {tag: "000111"})
    report(tmp_path)
    assert tag not in read_page(tmp_path)
    assert "&lt;script&gt;alert(1)" in read_page(tmp_path)
    assert "a&#x27;b(1),$" in read_page(tmp_path)


@pytest.mark.fault("T9")
def test_id_cannot_end_the_embedded_json(tmp_path: Path) -> None:
    device = "</script><script>alert(1)</script>"
    write_predictions(tmp_path, device, {"1": "000"})
    report(tmp_path)
    embedded = re.search(r'id="devices">(.*?)</script>', read_page(tmp_path))
    assert embedded
    assert json.loads(embedded[1]) == [[device, "scored", 3, 0]]


def test_page_fetches_nothing(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000111"})
    report(tmp_path)
    assert not re.search(r"""(src|href)=|url\(|@import|https?:""", read_page(tmp_path))


def test_limits() -> None:
    assert (page.MAX_GRID_DEVICES, page.MAX_PLOTTED_DEVICES, page.MAX_PLOTTED_TAGS) == (20_000, 8, 3)
    assert (page.MAX_LISTED_TAGS, page.ELEVATED_SHARE, page.SEVERE_SHARE) == (10, 0.05, 0.2)


def test_every_cell_kind_has_a_colour() -> None:
    style = page.render(a_summary(1), {}).decode()
    assert all(f".k-{kind} {{" in style for kind in page.CELL_KINDS)


def test_page_of_a_large_fleet_shows_the_number_of_omitted_devices() -> None:
    content = page.render(a_summary(20_003), {}).decode()
    assert "3 more devices without anomalies or failures are not shown." in content


def test_one_drawn_device_is_not_called_devices(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000111"})
    write_predictions(tmp_path, "press-2", {"1": "0" * 50 + "11"})
    report(tmp_path)
    assert "1 device with the largest share of anomalies" in read_page(tmp_path)
    assert "1 device has anomalies below this bound" in read_page(tmp_path)
    assert "press-2 (2)" in read_page(tmp_path)
