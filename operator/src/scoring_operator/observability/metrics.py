"""The Prometheus metrics, by fleet, namespace, schedule, outcome and reason, never by device or run.

Counters start at zero in each process. Gauges of the last window are restored from the existing runs.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from scoring_operator.observability.health_metrics import RUN_LABELS, HealthMetrics, RunLabels

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the page, and no rule or panel uses them
_LOAD_LABELS = RUN_LABELS[:2]
_LAG_BUCKETS = (0.01, 0.1, 0.5, 1, 5, 15)
_DURATION_BUCKETS = (30, 60, 120, 300, 600, 1200, 1800, 2700, 3600, 7200, 14400)


class Metrics:
    """All metrics of one operator process.

    Attributes:
        health: The metrics of the health of fleets.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._runs = Counter(
            "fleetscore_runs", "Runs that ended, by outcome", (*RUN_LABELS, "outcome"), registry=registry
        )
        self._run_seconds = Histogram(
            "fleetscore_run_duration_seconds",
            "Duration of a run in seconds",
            RUN_LABELS,
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self._devices = Counter(
            "fleetscore_devices", "Devices of ended runs, by outcome", (*RUN_LABELS, "outcome"), registry=registry
        )
        self._failures = Counter(
            "fleetscore_device_failures",
            "Failed devices of ended runs, by reason",
            (*RUN_LABELS, "reason"),
            registry=registry,
        )
        self._anomalies = _window_gauge("anomalies", "Readings labelled as anomalies", registry)
        self._anomalous = _window_gauge("anomalous_devices", "Devices that count as anomalous", registry)
        self._last_complete_window = Gauge(
            "fleetscore_last_complete_window_timestamp_seconds",
            "End of the latest window that a run completed",
            RUN_LABELS,
            registry=registry,
        )
        self._window_devices = Gauge(
            "fleetscore_last_window_devices",
            "Devices of the latest window that a schedule's run ended, completely or not, by outcome",
            (*RUN_LABELS, "outcome"),
            registry=registry,
        )
        self._window_without_model = Gauge(
            "fleetscore_last_window_devices_without_model",
            "Devices with readings and without a model in the latest window that a schedule's run ended",
            RUN_LABELS,
            registry=registry,
        )
        self.health = HealthMetrics(registry)
        self._latest_complete: dict[RunLabels, datetime] = {}
        self._latest_ended: dict[RunLabels, datetime] = {}
        self._active = Gauge("fleetscore_active_jobs", "Jobs that have not ended", _LOAD_LABELS, registry=registry)
        self._queued = Gauge("fleetscore_queued_runs", "Queued runs", _LOAD_LABELS, registry=registry)
        self._stalled = Gauge(
            "fleetscore_stalled_runs", "Stalled runs, by reason", (*_LOAD_LABELS, "reason"), registry=registry
        )
        self._requests = Counter(
            "fleetscore_api_requests",
            "API server responses by verb and status code (0: no response)",
            ("verb", "code"),
            registry=registry,
        )
        self._controller_age = Gauge(
            "fleetscore_controller_age_seconds", "Seconds since the last reconcile loop iteration", registry=registry
        )
        self._is_leader = Gauge("fleetscore_lease_held", "1 if this operator is the leader", registry=registry)
        self._namespaces = Gauge(
            "fleetscore_namespace_available",
            "1 if ScoringRuns and Jobs of a watched namespace can be listed and watched",
            ("watched",),
            registry=registry,
        )
        self._loop_lag = Histogram(
            "fleetscore_event_loop_lag_seconds",
            "Time for which a ready task of the controller waited for its turn, measured twice a second",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self._watch_ages = Gauge(
            "fleetscore_watch_age_seconds",
            "Seconds since the last byte received from a watch",
            ("resource",),
            registry=registry,
        )

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

    def track_controller_age(self, age: Callable[[], float]) -> None:
        """Publish the seconds since the last reconcile loop iteration, evaluated at each scrape."""
        self._controller_age.set_function(age)

    def count_request(self, verb: str, code: int) -> None:
        """Count a response of the API server; status 429 means throttling, 0 no response."""
        self._requests.labels(verb, str(code)).inc()

    def track_watch_age(self, resource: str, age: Callable[[], float]) -> None:
        """Publish the seconds since the last byte of a watch, evaluated at each scrape."""
        self._watch_ages.labels(resource).set_function(age)

    def track_namespace(self, namespace: str, available: Callable[[], bool]) -> None:
        """Publish whether a watched namespace can be listed, evaluated at each scrape (empty: all namespaces)."""
        self._namespaces.labels(namespace).set_function(available)

    def record_loop_lag(self, seconds: float) -> None:
        """Count a measurement of the lag of the controller's event loop."""
        self._loop_lag.observe(seconds)

    def track_leadership(self, is_leader: Callable[[], bool]) -> None:
        """Publish whether this process is the leader, evaluated at each scrape."""
        self._is_leader.set_function(is_leader)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


def _window_gauge(name: str, description: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(
        f"fleetscore_last_window_{name}", f"{description} in the latest complete window", RUN_LABELS, registry=registry
    )
