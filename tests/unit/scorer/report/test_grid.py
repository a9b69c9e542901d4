"""The grid of devices."""

import pytest

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report import grid, page
from device_scorer.report.statistics import DeviceStatistics, TagStatistics
from device_scorer.report.summary import AnomalyRule, build_row
from tests.testkit.scorer_report import NEWEST, WINDOW, a_summary


def test_grid_has_20000_devices_and_shades_from_5_and_20_percent_of_anomalies() -> None:
    assert (grid.MAX_GRID_DEVICES, grid.ELEVATED_SHARE, grid.SEVERE_SHARE) == (20_000, 0.05, 0.2)


def test_grid_of_a_large_fleet_omits_normal_devices_first() -> None:
    lines = a_summary(grid.MAX_GRID_DEVICES + 2_000).devices
    left = {line.device for line in grid.devices_in_grid(lines)}
    assert len(left) == grid.MAX_GRID_DEVICES
    assert {grid.cell_kind(line) for line in lines if line.device not in left} == {"good"}


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
    assert grid.cell_kind(build_row("d", DeviceOutcome(outcome), statistics, WINDOW, AnomalyRule())) == kind


@pytest.mark.parametrize(
    ("outcome", "kind"), [("failed", "failed"), ("empty", "no-readings"), ("notRun", "unknown"), ("missing", "unknown")]
)
def test_cell_kind_of_a_device_without_predictions_is_its_outcome(outcome: str, kind: str) -> None:
    assert grid.cell_kind(build_row("d", DeviceOutcome(outcome), DeviceStatistics(), WINDOW, AnomalyRule())) == kind


def test_every_cell_kind_has_a_colour() -> None:
    style = page.render(a_summary(1), {}).decode()
    assert all(f".k-{kind} {{" in style for kind in grid.CELL_KINDS)
