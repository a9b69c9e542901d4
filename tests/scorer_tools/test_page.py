import random
import uuid
from datetime import UTC, datetime

import pytest

from device_scorer.contract.run_state import Fate
from device_scorer.report import page
from device_scorer.report.charts import Point, grid, series, thinned
from device_scorer.report.statistics import Digest, TagDigest
from device_scorer.report.summary import Line, Rule, Summary, as_json, compare, line_of
from device_scorer.window import Window

WINDOW = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
NEWEST = int(WINDOW.end.timestamp()) - 30
OUTCOMES = ["scored"] * 15 + ["partial", "empty", "failed", "notRun", "missing"]


def a_line(device: str, dice: random.Random) -> Line:
    outcome = dice.choice(OUTCOMES)
    tags = {}
    if outcome in ("scored", "partial"):
        tags = {
            f"a long tag's name {tag}": TagDigest(240, dice.choice([0, 0, 9]), "t", "t", "t", "1", -1)
            for tag in range(5)
        }
    reason = "ModelInvalid" if outcome == "failed" else ""
    digest = Digest(tags, NEWEST - dice.choice([0, 0, 1800]), {dice.randrange(60): 9})
    return line_of(device, Fate(outcome, reason, "m" * 200 if reason else ""), digest, WINDOW, Rule())


def a_summary(devices: int) -> Summary:
    dice = random.Random(1)  # noqa: S311 (a made-up fleet)
    lines = [a_line(str(uuid.UUID(int=dice.getrandbits(128))), dice) for _ in range(devices)]
    return Summary(WINDOW, Rule(), lines, compare(lines, {}, WINDOW, Rule()))


def plots(summary: Summary) -> dict[str, dict[str, list[Point]]]:
    points = [Point(second, second % 7, second % 100 == 0) for second in range(3600)]
    return {
        line.device: dict.fromkeys(list(line.digest.tags)[: page.MOST_TAGS], points)
        for line in summary.anomalous[: page.MOST_PLOTTED]
    }


@pytest.mark.walk
@pytest.mark.parametrize(("devices", "most"), [(12, 200_000), (10_000, 2_500_000), (25_000, 5_000_000)])
def test_the_page_stays_small_however_large_the_fleet(devices: int, most: int) -> None:
    summary = a_summary(devices)
    assert len(page.render(summary, plots(summary))) < most


def test_the_summary_stays_small_however_large_the_fleet() -> None:
    assert len(as_json(a_summary(5_000))) < 32_768


def test_a_fleet_beyond_the_grid_loses_normal_devices_first() -> None:
    lines = a_summary(page.MOST_DEVICES + 2_000).lines
    left = {line.device for line in page.grid_lines(lines)}
    assert len(left) == page.MOST_DEVICES
    assert {page.kind_of(line) for line in lines if line.device not in left} == {"good"}


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
    digest = Digest({"1": TagDigest(100, anomalies)}, NEWEST)
    assert page.kind_of(line_of("d", Fate(outcome), digest, WINDOW, Rule())) == kind


@pytest.mark.parametrize(
    ("outcome", "kind"), [("failed", "failed"), ("empty", "silent"), ("notRun", "gone"), ("missing", "gone")]
)
def test_a_device_without_predictions_has_the_kind_of_its_outcome(outcome: str, kind: str) -> None:
    assert page.kind_of(line_of("d", Fate(outcome), Digest(), WINDOW, Rule())) == kind


def test_the_grid_has_one_square_per_device() -> None:
    drawn = grid(["good"] * 30 + ["failed"] * 4)
    assert drawn.count("h8v8h-8z") == 34
    assert drawn.count("<path") == 2


def test_thinning_a_series_keeps_every_peak_and_few_points() -> None:
    points = [Point(at / 10, 1000.0 if at in (777, 20_001) else at % 10, False) for at in range(36_000)]
    kept = thinned(points, 3600)
    assert len(kept) <= 480
    assert sum(point.value == 1000 for point in kept) == 2
    assert kept == sorted(kept, key=lambda point: point.at)


def test_a_flat_series_is_drawn() -> None:
    assert "polyline" in series([Point(0, 5, False), Point(9, 5, True)], seconds=10, first="a", last="b", label="c")
