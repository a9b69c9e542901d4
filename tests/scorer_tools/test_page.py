import random
import uuid
from datetime import UTC, datetime

import pytest

from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report import page
from device_scorer.report.charts import Point, device_grid, downsample, line_chart
from device_scorer.report.statistics import DeviceStatistics, TagStatistics
from device_scorer.report.summary import AnomalyRule, DeviceRow, Summary, build_row, compare_windows, summary_json
from device_scorer.window import Window

WINDOW = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
NEWEST = int(WINDOW.end.timestamp()) - 30
OUTCOMES = ["scored"] * 15 + ["partial", "empty", "failed", "notRun", "missing"]


def a_line(device: str, dice: random.Random) -> DeviceRow:
    outcome = dice.choice(OUTCOMES)
    tags = {}
    if outcome in ("scored", "partial"):
        tags = {
            f"a long tag's name {tag}": TagStatistics(240, dice.choice([0, 0, 9]), "t", "t", "t", "1", -1)
            for tag in range(5)
        }
    reason = "ModelInvalid" if outcome == "failed" else ""
    digest = DeviceStatistics(tags, NEWEST - dice.choice([0, 0, 1800]), {dice.randrange(60): 9})
    return build_row(device, DeviceOutcome(outcome, reason, "m" * 200 if reason else ""), digest, WINDOW, AnomalyRule())


def a_summary(devices: int) -> Summary:
    dice = random.Random(1)  # noqa: S311 (a made-up fleet)
    lines = [a_line(str(uuid.UUID(int=dice.getrandbits(128))), dice) for _ in range(devices)]
    return Summary(WINDOW, AnomalyRule(), lines, compare_windows(lines, {}, WINDOW, AnomalyRule()))


def plots(summary: Summary) -> dict[str, dict[str, list[Point]]]:
    points = [Point(second, second % 7, second % 100 == 0) for second in range(3600)]
    return {
        line.device: dict.fromkeys(list(line.statistics.tags)[: page.MAX_PLOTTED_TAGS], points)
        for line in summary.anomalous[: page.MAX_PLOTTED_DEVICES]
    }


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "most"), [(12, 200_000), (10_000, 2_500_000), (25_000, 5_000_000)])
def test_the_page_stays_small_however_large_the_fleet(devices: int, most: int) -> None:
    summary = a_summary(devices)
    assert len(page.render(summary, plots(summary))) < most


def test_the_summary_stays_small_however_large_the_fleet() -> None:
    assert len(summary_json(a_summary(5_000))) < 32_768


def test_a_fleet_beyond_the_grid_loses_normal_devices_first() -> None:
    lines = a_summary(page.MAX_GRID_DEVICES + 2_000).devices
    left = {line.device for line in page.devices_in_grid(lines)}
    assert len(left) == page.MAX_GRID_DEVICES
    assert {page.cell_kind(line) for line in lines if line.device not in left} == {"good"}


@pytest.mark.parametrize(
    ("outcome", "anomalies", "kind"),
    [
        ("scored", 0, "good"),
        ("scored", 3, "a1"),
        ("scored", 10, "a2"),
        ("scored", 30, "a3"),
        ("partial", 0, "partial"),
        ("partial", 30, "a3"),
    ],
)
def test_a_squares_kind_follows_outcome_and_share(outcome: str, anomalies: int, kind: str) -> None:
    digest = DeviceStatistics({"1": TagStatistics(100, anomalies)}, NEWEST)
    assert page.cell_kind(build_row("d", DeviceOutcome(outcome), digest, WINDOW, AnomalyRule())) == kind


@pytest.mark.parametrize(
    ("outcome", "kind"), [("failed", "failed"), ("empty", "silent"), ("notRun", "gone"), ("missing", "gone")]
)
def test_a_device_without_predictions_has_the_kind_of_its_outcome(outcome: str, kind: str) -> None:
    assert page.cell_kind(build_row("d", DeviceOutcome(outcome), DeviceStatistics(), WINDOW, AnomalyRule())) == kind


def test_the_grid_has_one_square_per_device() -> None:
    drawn = device_grid(["good"] * 30 + ["failed"] * 4)
    assert drawn.count("h8v8h-8z") == 34
    assert drawn.count("<path") == 2


def test_thinning_a_series_keeps_every_peak_and_few_points() -> None:
    points = [Point(at / 10, 1000.0 if at in (777, 20_001) else at % 10, False) for at in range(36_000)]
    kept = downsample(points, 3600)
    assert len(kept) <= 480
    assert sum(point.value == 1000 for point in kept) == 2
    assert kept == sorted(kept, key=lambda point: point.offset_seconds)


def test_a_flat_series_is_drawn() -> None:
    assert "polyline" in line_chart([Point(0, 5, False), Point(9, 5, True)], seconds=10, first="a", last="b", label="c")
