"""The gauges of the health of a fleet are those of the latest window, in whatever order windows are observed."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from scoring_operator.observability.health_metrics import ReportedWindow, RunLabels
from scoring_operator.observability.metrics import Metrics
from tests.unit.operator.observability.samples import values

LABELS = RunLabels("default", "n", "hourly")
END = datetime(2026, 1, 1, 11, tzinfo=UTC)


def a_window(hours: int, **figures: int) -> ReportedWindow:
    machine, stuck = figures.get("machine", 0), figures.get("stuck", 0)
    return ReportedWindow(
        END + timedelta(hours=hours),
        report=f"https://a/{hours}.html",
        incidents={"machine": machine, "fleet": 0},
        opened=figures.get("opened", 0),
        sensors={"stuck": stuck, "silent": 0},
        notify_problems=figures.get("problems", 0),
    )


def failed(hours: int) -> ReportedWindow:
    return ReportedWindow(END + timedelta(hours=hours))


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_gauges_are_those_of_the_latest_window_in_any_order(order: tuple[int, ...]) -> None:
    metrics = Metrics()
    windows = [a_window(0, machine=9, stuck=9, opened=9, problems=9), a_window(1, machine=2, stuck=3, opened=1), None]
    for at in order:
        metrics.health.record(LABELS, windows[at] or failed(2))
    prefix = "fleetscore_last_window_"
    incidents = {("machine", "default", "n", "hourly"): 2, ("fleet", "default", "n", "hourly"): 0}
    assert values(metrics, f"{prefix}open_incidents") == incidents
    sensors = {("stuck", "default", "n", "hourly"): 3, ("silent", "default", "n", "hourly"): 0}
    assert values(metrics, f"{prefix}flagged_sensors") == sensors
    assert values(metrics, f"{prefix}opened_incidents") == {LABELS: 1}
    assert values(metrics, f"{prefix}notify_problems") == {LABELS: 0}
    assert values(metrics, f"{prefix}report_failed") == {LABELS: 1}
    assert values(metrics, f"{prefix}report_info") == {(*LABELS, "https://a/1.html"): 1}


def test_later_report_ends_the_failure_of_an_earlier_one() -> None:
    metrics = Metrics()
    for window in (failed(1), a_window(2)):
        metrics.health.record(LABELS, window)
    assert values(metrics, "fleetscore_last_window_report_failed") == {LABELS: 0}


def test_schedules_have_gauges_of_their_own() -> None:
    metrics = Metrics()
    metrics.health.record(LABELS, a_window(1, opened=1))
    metrics.health.record(LABELS._replace(schedule="daily"), a_window(0, opened=2))
    found = {("default", "n", "hourly"): 1, ("default", "n", "daily"): 2}
    assert values(metrics, "fleetscore_last_window_opened_incidents") == found
