"""The metrics of the operator's process."""

import pytest

from scoring_operator.observability.metrics import Metrics
from tests.unit.operator.observability.samples import values


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fleetscore_api_requests_total", {("429", "POST"): 2, ("0", "GET"): 1}),
        ("fleetscore_watch_age_seconds", {("jobs",): 1.5}),
        ("fleetscore_namespace_available", {("a",): 1, ("b",): 0}),
        ("fleetscore_lease_held", {(): 1}),
        ("fleetscore_controller_age_seconds", {(): 0.5}),
        ("fleetscore_event_loop_lag_seconds_count", {(): 1}),
    ],
)
def test_published_value_is_rendered(name: str, expected: dict[tuple[str, ...], float]) -> None:
    metrics = Metrics()
    process = metrics.process
    for verb, code in (("POST", 429), ("POST", 429), ("GET", 0)):
        process.count_request(verb, code)
    process.track_watch_age("jobs", lambda: 1.5)
    process.track_namespace("a", lambda: True)
    process.track_namespace("b", lambda: False)
    process.track_leadership(lambda: True)
    process.track_controller_age(lambda: 0.5)
    process.record_loop_lag(0.2)
    assert values(metrics, name) == expected
