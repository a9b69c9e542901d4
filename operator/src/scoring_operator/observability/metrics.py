"""What Prometheus may know: counts by fleet, schedule, outcome and reason. Never a device or a run by name.

What was counted before a restart is gone, as with every counter; what describes the last window is set again from the
runs themselves.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_RUN_LABELS = ("fleet", "schedule")
_DURATION_BUCKETS = (30, 60, 120, 300, 600, 1200, 1800, 2700, 3600, 7200, 14400)


class Metrics:
    """All metrics of one operator process; the engine and the edge tell it what happened."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._runs = Counter(
            "fleetscore_runs", "Runs that ended, by outcome", (*_RUN_LABELS, "outcome"), registry=registry
        )
        self._run_seconds = Histogram(
            "fleetscore_run_duration_seconds",
            "From start to end of a run",
            _RUN_LABELS,
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self._devices = Counter(
            "fleetscore_devices", "Devices of ended runs, by outcome", (*_RUN_LABELS, "outcome"), registry=registry
        )
        self._failures = Counter(
            "fleetscore_device_failures",
            "Failed devices of ended runs, by reason",
            (*_RUN_LABELS, "reason"),
            registry=registry,
        )
        self._anomalies = _window_gauge("anomalies", "Readings labelled as anomalies", registry)
        self._anomalous = _window_gauge("anomalous_devices", "Devices that count as anomalous", registry)
        self._last_complete_window = Gauge(
            "fleetscore_last_complete_window_timestamp_seconds",
            "End of the latest window that a run completed",
            _RUN_LABELS,
            registry=registry,
        )
        self._window_devices = Gauge(
            "fleetscore_last_window_devices",
            "Devices of the latest window that a schedule's run ended, completely or not, by outcome",
            (*_RUN_LABELS, "outcome"),
            registry=registry,
        )
        self._latest_complete: dict[tuple[str, str], datetime] = {}
        self._latest_ended: dict[tuple[str, str], datetime] = {}
        self._active = Gauge("fleetscore_active_jobs", "Jobs that have not ended", ("fleet",), registry=registry)
        self._queued = Gauge("fleetscore_queued_runs", "Runs that wait for another one", ("fleet",), registry=registry)
        self._stalled = Gauge(
            "fleetscore_stalled_runs", "Runs that cannot go on, by reason", ("fleet", "reason"), registry=registry
        )
        self._requests = Counter(
            "fleetscore_api_requests", "Answers of the API server (code 0: none)", ("verb", "code"), registry=registry
        )
        self._engine_age = Gauge(
            "fleetscore_engine_age_seconds", "Since the engine last looked around", registry=registry
        )
        self._is_leader = Gauge("fleetscore_lease_held", "1 where this operator is the active one", registry=registry)
        self._watch_ages = Gauge(
            "fleetscore_watch_age_seconds", "Since the last byte of a watch", ("resource",), registry=registry
        )

    def record_run(
        self,
        fleet: str,
        schedule: str,
        *,
        outcome: str,
        seconds: float,
        devices: Mapping[str, int],
        reasons: Mapping[str, int],
    ) -> None:
        """Count a run that has just ended; once per run.

        Args:
            fleet: Its fleet.
            schedule: Its schedule; empty for a run made by hand.
            outcome: Complete, Failed, Cancelled or Skipped.
            seconds: From its start to its end.
            devices: Number of devices by outcome.
            reasons: Number of failed devices by reason.
        """
        self._runs.labels(fleet, schedule, outcome).inc()
        self._run_seconds.labels(fleet, schedule).observe(seconds)
        for device_outcome, count in devices.items():
            self._devices.labels(fleet, schedule, device_outcome).inc(count)
        for reason, count in reasons.items():
            self._failures.labels(fleet, schedule, reason).inc(count)

    def record_complete_window(
        self, fleet: str, schedule: str, *, end: datetime, anomalies: int, anomalous: int
    ) -> None:
        """Say what a complete run found; may be said again of the same run, and counts for the latest window only."""
        if end < self._latest_complete.get((fleet, schedule), end):
            return
        self._latest_complete[fleet, schedule] = end
        self._last_complete_window.labels(fleet, schedule).set(end.timestamp())
        self._anomalies.labels(fleet, schedule).set(anomalies)
        self._anomalous.labels(fleet, schedule).set(anomalous)

    def record_ended_window(self, fleet: str, schedule: str, *, end: datetime, devices: Mapping[str, int]) -> None:
        """Say how the devices of a schedule's run ended; may be said again, and counts for the latest window only."""
        if end < self._latest_ended.get((fleet, schedule), end):
            return
        self._latest_ended[fleet, schedule] = end
        for outcome, count in devices.items():
            self._window_devices.labels(fleet, schedule, outcome).set(count)

    def set_load(
        self, *, active: Mapping[str, int], queued: Mapping[str, int], stalled: Mapping[tuple[str, str], int]
    ) -> None:
        """Say how things stand now: active Jobs and queued runs by fleet, stalled runs by fleet and reason."""
        for gauge, values in ((self._active, active), (self._queued, queued)):
            gauge.clear()
            for fleet, count in values.items():
                gauge.labels(fleet).set(count)
        self._stalled.clear()
        for (fleet, reason), count in stalled.items():
            self._stalled.labels(fleet, reason).set(count)

    def track_engine_age(self, age: Callable[[], float]) -> None:
        """Show since when the engine has not looked around, asked for at each scrape."""
        self._engine_age.set_function(age)

    def count_request(self, verb: str, code: int) -> None:
        """Count an answer of the API server; 429 is the one that tells of throttling."""
        self._requests.labels(verb, str(code)).inc()

    def track_watch_age(self, resource: str, age: Callable[[], float]) -> None:
        """Show the age of a watch, asked for at each scrape."""
        self._watch_ages.labels(resource).set_function(age)

    def track_leadership(self, is_leader: Callable[[], bool]) -> None:
        """Show whether the lease is held, asked for at each scrape."""
        self._is_leader.set_function(is_leader)

    def render(self) -> bytes:
        """Give everything in Prometheus' text format."""
        return generate_latest(self._registry)


def _window_gauge(name: str, description: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(
        f"fleetscore_last_window_{name}", f"{description} in the latest complete window", _RUN_LABELS, registry=registry
    )
