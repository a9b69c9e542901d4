from datetime import UTC, datetime

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scoring_operator.observability.metrics import Metrics
from scoring_operator.observability.probes import serve_probes
from tests.testkit.operator_process import free_port

ALLOWED = {"fleet", "schedule", "reason", "outcome", "verb", "code", "resource", "le"}


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Samples by their labels' values, these in the order of the labels' names."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in samples}


def a_fed_metrics() -> Metrics:
    metrics = Metrics()
    metrics.record_run(
        "default",
        "hourly",
        outcome="Complete",
        seconds=90,
        devices={"scored": 11, "failed": 1},
        reasons={"OOMKilled": 1},
    )
    metrics.record_complete_window("default", "hourly", end=at(5), anomalies=7, anomalous=2)
    metrics.set_load(active={"default": 3}, queued={"default": 1}, stalled={("default", "QuotaExceeded"): 1})
    metrics.track_engine_age(lambda: 0.5)
    metrics.count_request("POST", 429)
    metrics.track_watch_age("jobs", lambda: 1.5)
    metrics.track_leadership(lambda: True)
    return metrics


def at(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


@pytest.mark.fault("T14")
def test_no_metric_names_a_device_or_a_run() -> None:
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
        ("fleetscore_runs_total", {("default", "Complete", "hourly"): 1}),
        ("fleetscore_run_duration_seconds_sum", {("default", "hourly"): 90}),
        ("fleetscore_devices_total", {("default", "scored", "hourly"): 11, ("default", "failed", "hourly"): 1}),
        ("fleetscore_device_failures_total", {("default", "OOMKilled", "hourly"): 1}),
        ("fleetscore_last_window_anomalies", {("default", "hourly"): 7}),
        ("fleetscore_last_window_anomalous_devices", {("default", "hourly"): 2}),
        ("fleetscore_last_complete_window_timestamp_seconds", {("default", "hourly"): at(5).timestamp()}),
        ("fleetscore_active_jobs", {("default",): 3}),
        ("fleetscore_queued_runs", {("default",): 1}),
        ("fleetscore_stalled_runs", {("default", "QuotaExceeded"): 1}),
        ("fleetscore_api_requests_total", {("429", "POST"): 1}),
        ("fleetscore_watch_age_seconds", {("jobs",): 1.5}),
        ("fleetscore_lease_held", {(): 1}),
        ("fleetscore_engine_age_seconds", {(): 0.5}),
    ],
)
def test_what_is_told_is_shown(name: str, expected: dict[tuple[str, ...], float]) -> None:
    assert values(a_fed_metrics(), name) == expected


def test_an_earlier_window_that_completes_late_does_not_replace_the_latest() -> None:
    metrics = a_fed_metrics()
    metrics.record_complete_window("default", "hourly", end=at(4), anomalies=99, anomalous=99)
    assert values(metrics, "fleetscore_last_window_anomalies") == {("default", "hourly"): 7}
    metrics.record_complete_window("default", "hourly", end=at(6), anomalies=1, anomalous=1)
    assert values(metrics, "fleetscore_last_window_anomalies") == {("default", "hourly"): 1}


def test_a_trouble_that_has_passed_is_no_longer_shown() -> None:
    metrics = a_fed_metrics()
    metrics.set_load(active={}, queued={}, stalled={})
    assert values(metrics, "fleetscore_stalled_runs") == {}
    assert values(metrics, "fleetscore_active_jobs") == {}


async def test_the_probes_say_what_is_wrong() -> None:
    troubles = {"alive": "", "ready": "not listed yet"}
    metrics = Metrics()
    port = free_port()
    serving = serve_probes(port, metrics, liveness=lambda: troubles["alive"], readiness=lambda: troubles["ready"])
    async with serving, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(path) as answer:
                return answer.status, await answer.text()

        assert await ask("/healthz") == (200, "ok")
        assert await ask("/readyz") == (503, "not listed yet")
        troubles |= {"alive": "the watch is dead", "ready": ""}
        assert await ask("/healthz") == (503, "the watch is dead")
        assert await ask("/readyz") == (200, "ok")
        assert "fleetscore_lease_held" in (await ask("/metrics"))[1]
