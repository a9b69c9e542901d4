"""The Prometheus metrics, by fleet, namespace, schedule, outcome and reason, never by device or run.

Counters start at zero in each process. Gauges of the last window are restored from the existing runs.
"""

from collections.abc import Mapping
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from scoring_operator.observability.health_metrics import RUN_LABELS, HealthMetrics, RunLabels
from scoring_operator.observability.process_metrics import ProcessMetrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the page, and no rule or panel uses them
_LOAD_LABELS = RUN_LABELS[:2]
_DURATION_BUCKETS = (30, 60, 120, 300, 600, 1200, 1800, 2700, 3600, 7200, 14400)


class Metrics:
    """All metrics of one operator process.

    Attributes:
        health: The metrics of the health of fleets.
        process: The metrics of the process itself.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()

        def counter(name: str, description: str, label: str) -> Counter:
            return Counter(f"fleetscore_{name}", description, (*RUN_LABELS, label), registry=registry)

        def gauge(name: str, description: str, labels: tuple[str, ...]) -> Gauge:
            return Gauge(f"fleetscore_{name}", description, labels, registry=registry)

        self._runs = counter("runs", "Runs that ended, by outcome", "outcome")
        self._run_seconds = Histogram(
            "fleetscore_run_duration_seconds",
            "Duration of a run in seconds",
            RUN_LABELS,
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self._devices = counter("devices", "Devices of ended runs, by outcome", "outcome")
        self._failures = counter("device_failures", "Failed devices of ended runs, by reason", "reason")
        self._anomalies = gauge(
            "last_window_anomalies", "Readings labelled as anomalies in the latest complete window", RUN_LABELS
        )
        self._anomalous = gauge(
            "last_window_anomalous_devices", "Devices that count as anomalous in the latest complete window", RUN_LABELS
        )
        self._last_complete_window = gauge(
            "last_complete_window_timestamp_seconds", "End of the latest window that a run completed", RUN_LABELS
        )
        self._window_devices = gauge(
            "last_window_devices",
            "Devices of the latest window that a schedule's run ended, completely or not, by outcome",
            (*RUN_LABELS, "outcome"),
        )
        self._window_without_model = gauge(
            "last_window_devices_without_model",
            "Devices with readings and without a model in the latest window that a schedule's run ended",
            RUN_LABELS,
        )
        self.health = HealthMetrics(registry)
        self._latest_complete: dict[RunLabels, datetime] = {}
        self._latest_ended: dict[RunLabels, datetime] = {}
        self._active = gauge("active_jobs", "Jobs that have not ended", _LOAD_LABELS)
        self._queued = gauge("queued_runs", "Queued runs", _LOAD_LABELS)
        self._stalled = gauge(
            "stalled_runs", "Runs with the condition Stalled or Waiting, by reason", (*_LOAD_LABELS, "reason")
        )
        self.process = ProcessMetrics(registry)

    def record_run(
        self,
        labels: RunLabels,
        *,
        outcome: str,
        seconds: float,
        devices: Mapping[str, int],
        reasons: Mapping[str, int],
    ) -> None:
        """Count a run that has ended; the caller calls this once per run.

        Args:
            labels: The labels of the run.
            outcome: Complete, Failed, Cancelled or Skipped.
            seconds: The duration of the run, in seconds.
            devices: The number of devices by outcome.
            reasons: The number of failed devices by reason.
        """
        self._runs.labels(*labels, outcome).inc()
        self._run_seconds.labels(*labels).observe(seconds)
        for device_outcome, count in devices.items():
            self._devices.labels(*labels, device_outcome).inc(count)
        for reason, count in reasons.items():
            self._failures.labels(*labels, reason).inc(count)

    def record_complete_window(self, labels: RunLabels, *, end: datetime, anomalies: int, anomalous: int) -> None:
        """Publish the results of a complete run, if its window is the latest one; repeated calls are allowed.

        Args:
            labels: The labels of the run.
            end: The end of the window.
            anomalies: The number of readings that are labelled as anomalies.
            anomalous: The number of anomalous devices.
        """
        if end < self._latest_complete.get(labels, end):
            return
        self._latest_complete[labels] = end
        self._last_complete_window.labels(*labels).set(end.timestamp())
        self._anomalies.labels(*labels).set(anomalies)
        self._anomalous.labels(*labels).set(anomalous)

    def record_ended_window(
        self, labels: RunLabels, *, end: datetime, devices: Mapping[str, int], without_model: int = 0
    ) -> None:
        """Publish the outcomes of a schedule's run, if its window is the latest one; repeated calls are allowed.

        Args:
            labels: The labels of the run.
            end: The end of the window.
            devices: The number of devices by outcome.
            without_model: The number of devices with readings and without a model.
        """
        if end < self._latest_ended.get(labels, end):
            return
        self._latest_ended[labels] = end
        for outcome, count in devices.items():
            self._window_devices.labels(*labels, outcome).set(count)
        self._window_without_model.labels(*labels).set(without_model)

    def set_load(
        self,
        *,
        active: Mapping[tuple[str, ...], int],
        queued: Mapping[tuple[str, ...], int],
        stalled: Mapping[tuple[str, ...], int],
    ) -> None:
        """Publish the current load.

        Args:
            active: The number of active Jobs, by fleet and namespace.
            queued: The number of queued runs, by fleet and namespace.
            stalled: The number of stalled runs, by fleet, namespace and reason.
        """
        for gauge, values in ((self._active, active), (self._queued, queued), (self._stalled, stalled)):
            gauge.clear()
            for labels, count in values.items():
                gauge.labels(*labels).set(count)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
