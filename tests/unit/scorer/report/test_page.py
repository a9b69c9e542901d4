"""The HTML page."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from device_scorer.report import page
from device_scorer.report.charts import Point
from device_scorer.report.summary import Summary
from tests.testkit.scorer_report import (
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


@pytest.mark.fault("T9")
def test_ids_and_tags_are_escaped_in_the_page(tmp_path: Path) -> None:
    tag = "<script>alert(1)</script>"
    write_predictions(tmp_path, "a'b(1),$", {tag: "000111"})
    report(tmp_path)
    assert tag not in read_page(tmp_path)
    assert "&lt;script&gt;alert(1)" in read_page(tmp_path)
    assert "a&#x27;b(1),$" in read_page(tmp_path)


@pytest.mark.fault("T9")
def test_id_cannot_end_the_embedded_json() -> None:
    device = "</script><script>alert(1)</script>"
    summary = a_summary(1)
    hostile = replace(summary, devices=[replace(row, device=device) for row in summary.devices])
    embedded = re.search(r'id="devices">(.*?)</script>', page.render(hostile, {}).decode())
    assert embedded
    assert [row[0] for row in json.loads(embedded[1])] == [device]


def test_page_fetches_nothing(tmp_path: Path) -> None:
    write_predictions(tmp_path, "press-1", {"1": "000111"})
    report(tmp_path)
    assert not re.search(r"""(src|href)=|url\(|@import|https?:""", read_page(tmp_path))


def test_page_plots_8_devices_with_3_tags_each_and_lists_10_tags() -> None:
    assert (page.MAX_PLOTTED_DEVICES, page.MAX_PLOTTED_TAGS, page.MAX_LISTED_TAGS) == (8, 3, 10)


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
