"""The sections about devices and readings that the predictions do not show."""

from pathlib import Path

from device_scorer.contract.outcome_message import RowCounts
from device_scorer.report.coverage_sections import coverage_sections, coverage_tiles
from device_scorer.report.statistics import DeviceStatistics
from device_scorer.report.summary import AnomalyRule, Comparison, Coverage, Summary
from device_scorer.report.totals import WindowTotals
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_report import WINDOW, add_models, read_page, read_summary, report, write_predictions


def a_summary(coverage: Coverage, totals: WindowTotals | None = None) -> Summary:
    comparison = Comparison(WINDOW, has_previous=False)
    return Summary(WINDOW, AnomalyRule(), [], comparison, totals or WindowTotals(), coverage=coverage)


def test_window_without_losses_has_no_section_and_tile() -> None:
    assert (coverage_sections(a_summary(Coverage())), coverage_tiles(a_summary(Coverage()))) == ("", [])


def test_every_loss_has_its_number_names_and_cure() -> None:
    totals = WindowTotals()
    totals.add(DeviceStatistics(unmodelled=(("<t>", 7),)), RowCounts(0, 0, 7, 0))
    summary = a_summary(Coverage(["<a>"], ["b"], ["c"], ["d"], 30, ["models/e"], large_records=2), totals)
    drawn = coverage_sections(summary)
    for text in (
        *("1 device sends readings", "&lt;a&gt;", "&lt;t&gt;", "IfChanged", "Restore or train them"),
        *("spelling", "30 names do not denote", "and 29 more", "%23", "2 outcome records are too large"),
    ):
        assert text in drawn
    assert [number for _, number, _ in coverage_tiles(summary)] == ["1", "7", "1", "1", "30"]
    assert all(alarm for *_, alarm in coverage_tiles(summary))


def test_devices_that_send_readings_without_a_model_are_shown(tmp_path: Path) -> None:
    add_models(tmp_path, "press-1")
    write_predictions(tmp_path, "press-1", {"1": "000"})
    for number in range(1, 4):
        FolderStore(tmp_path).write("data", f"20180828T2300Z/press-{number}.csv", b"")
    report(tmp_path)
    assert "2 devices send readings and have no model" in read_page(tmp_path)
    assert read_summary(tmp_path)["readingsWithoutModel"] == {
        "count": 2,
        "devices": ["press-2", "press-3"],
        "rows": 1,
        "tags": [],
    }
