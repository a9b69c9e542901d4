"""The metrics of the operator's process: its event loop, its watches, its requests, and its role as the leader."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_LAG_BUCKETS = (0.01, 0.1, 0.5, 1, 5, 15)


class ProcessMetrics:
    """The metrics of one process.

    Args:
        registry: The registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, description: str, *labels: str) -> Gauge:
            return Gauge(f"fleetscore_{name}", description, labels, registry=registry)

        ProcessCollector(registry=registry)
        self._requests = Counter(
            "fleetscore_api_requests",
            "API server responses by verb and status code (0: no response)",
            ("verb", "code"),
            registry=registry,
        )
        self._controller_age = gauge("controller_age_seconds", "Seconds since the last reconcile loop iteration")
        self._is_leader = gauge("lease_held", "1 if this operator is the leader")
        self._namespaces = gauge(
            "namespace_available",
            "1 if ScoringRuns and Jobs of a watched namespace can be listed and watched",
            "watched",
        )
        self._loop_lag = Histogram(
            "fleetscore_event_loop_lag_seconds",
            "Time for which a ready task of the controller waited for its turn, measured twice a second",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self._watch_ages = gauge("watch_age_seconds", "Seconds since the last byte received from a watch", "resource")

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
