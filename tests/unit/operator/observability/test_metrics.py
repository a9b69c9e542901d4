"""The metrics in Prometheus' text format."""

from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scoring_operator.observability.health_metrics import RunLabels
from scoring_operator.observability.metrics import Metrics
from tests.unit.operator.observability.samples import values

ALLOWED = {"fleet", "run_namespace", "schedule", "reason", "outcome", "verb", "code", "resource", "le"}
HOURLY = RunLabels("default", "n", "hourly")


def a_fed_metrics() -> Metrics:
    metrics = Metrics()
    metrics.record_run(
        HOURLY,
        outcome="Complete",
        seconds=90,
        devices={"scored": 11, "failed": 1},
        reasons={"OOMKilled": 1},
    )
    metrics.record_complete_window(HOURLY, end=at(5), anomalies=7, anomalous=2)
    metrics.set_load(
        active={("default", "n"): 3}, queued={("default", "n"): 1}, stalled={("default", "n", "QuotaExceeded"): 1}
    )
    metrics.process.track_controller_age(lambda: 0.5)
    metrics.process.count_request("POST", 429)
    metrics.process.track_watch_age("jobs", lambda: 1.5)
    metrics.process.track_leadership(lambda: True)
    return metrics


def at(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


@pytest.mark.fault("T14")
def test_metrics_have_no_label_of_a_device_or_a_run() -> None:
    families = [
        family
        for family in text_string_to_metric_families(a_fed_metrics().render().decode())
        if not family.name.startswith("process_")
    ]
    assert len(families) > 10
    assert all(family.name.startswith("fleetscore_") for family in families)
    assert {label for family in families for sample in family.samples for label in sample.labels} <= ALLOWED


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fleetscore_runs_total", {("default", "Complete", "n", "hourly"): 1}),
        ("fleetscore_run_duration_seconds_sum", {("default", "n", "hourly"): 90}),
        (
            "fleetscore_devices_total",
            {("default", "scored", "n", "hourly"): 11, ("default", "failed", "n", "hourly"): 1},
        ),
        ("fleetscore_device_failures_total", {("default", "OOMKilled", "n", "hourly"): 1}),
        ("fleetscore_last_window_anomalies", {("default", "n", "hourly"): 7}),
        ("fleetscore_last_window_anomalous_devices", {("default", "n", "hourly"): 2}),
        ("fleetscore_last_complete_window_timestamp_seconds", {("default", "n", "hourly"): at(5).timestamp()}),
        ("fleetscore_active_jobs", {("default", "n"): 3}),
        ("fleetscore_queued_runs", {("default", "n"): 1}),
        ("fleetscore_stalled_runs", {("default", "QuotaExceeded", "n"): 1}),
    ],
)
def test_published_value_is_rendered(name: str, expected: dict[tuple[str, ...], float]) -> None:
    assert values(a_fed_metrics(), name) == expected


def test_earlier_window_that_completes_late_does_not_replace_the_latest() -> None:
    metrics = a_fed_metrics()
    metrics.record_complete_window(HOURLY, end=at(4), anomalies=99, anomalous=99)
    assert values(metrics, "fleetscore_last_window_anomalies") == {("default", "n", "hourly"): 7}
    metrics.record_complete_window(HOURLY, end=at(6), anomalies=1, anomalous=1)
    assert values(metrics, "fleetscore_last_window_anomalies") == {("default", "n", "hourly"): 1}


def test_load_of_a_blocker_that_ended_is_removed() -> None:
    metrics = a_fed_metrics()
    metrics.set_load(active={}, queued={}, stalled={})
    assert values(metrics, "fleetscore_stalled_runs") == {}
    assert values(metrics, "fleetscore_active_jobs") == {}


def test_page_has_no_created_series() -> None:
    assert b"fleetscore_runs_total" in (page := a_fed_metrics().render())
    assert b"_created" not in page
