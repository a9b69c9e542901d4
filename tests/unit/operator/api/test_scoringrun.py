from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from scoring_operator.api.scoringrun import RunRef, Window, has_ended, parse_run, relevant_fields, resolve_limit
from scoring_operator.errors import InvalidRun
from tests.testkit.builders import NOW, UID, a_body, a_run


def a_window(length: timedelta) -> Window:
    start = datetime(2018, 8, 29, 1, tzinfo=timezone(timedelta(hours=2)))
    return Window(start=start, end=start + length)


def test_window_has_a_slug_an_interval_and_a_column() -> None:
    window = a_window(timedelta(hours=1))
    assert window.slug == "20180828T230000Z_20180829T000000Z"
    assert window.interval == "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z"
    assert window.column == "2018-08-28T23:00Z/1h"
    assert window.length == timedelta(hours=1)


@pytest.mark.parametrize(
    ("length", "text"), [("90", "1m30s"), ("900", "15m"), ("86400", "24h"), ("3661", "1h1m1s"), ("30", "30s")]
)
def test_column_of_a_window_has_only_the_units_that_it_needs(length: str, text: str) -> None:
    assert a_window(timedelta(seconds=int(length))).column == f"2018-08-28T23:00Z/{text}"


def test_fields_that_the_operator_does_not_read_are_dropped() -> None:
    body = a_body(schedule="daily")
    others = {"annotations": {"x": "y" * 1000}, "managedFields": [{}], "finalizers": ["x"], "ownerReferences": [{}]}
    body["metadata"] |= others
    body["metadata"]["labels"] = body["metadata"].get("labels", {}) | {"other": "x"}
    kept = relevant_fields(body)
    assert not others.keys() & kept["metadata"].keys()
    assert "other" not in kept["metadata"].get("labels", {})
    assert parse_run(kept) == parse_run(body)


@pytest.mark.parametrize("key", ["ids", "include"])
def test_run_is_held_without_its_many_devices(key: str) -> None:
    few, many = [f"d-{number}" for number in range(20)], [f"d-{number}" for number in range(100)]
    assert relevant_fields(a_body(devices={key: few}))["spec"]["devices"] == {key: few}
    body = a_body(devices={key: many})
    run = parse_run(relevant_fields(body))
    assert (getattr(run.spec.devices, key), run.abridged) == (tuple(few), True)
    assert body["spec"]["devices"] == {key: many}


def test_run_is_parsed_with_the_defaults_of_the_schema() -> None:
    run = a_run("daily", schedule="daily", generation=4)
    assert (run.name, run.namespace, run.uid, run.generation, run.resource_version) == ("daily", "scoring", UID, 4, "7")
    assert run.ref == RunRef("daily", "scoring", UID)
    assert (run.created, run.schedule, run.deleting, run.ended) == (NOW, "daily", False, False)
    assert (run.spec.window.start, run.spec.window.end) == (
        datetime(2018, 8, 28, 23, tzinfo=UTC),
        datetime(2018, 8, 29, tzinfo=UTC),
    )
    spec = run.spec
    assert (spec.fleet, spec.write_policy, spec.overlap_policy) == ("default", "CreateOnly", "Queue")
    assert (spec.devices_per_job, spec.parallelism, spec.backoff_limit, spec.max_devices) == (1, 100, 2, 100_000)
    assert (spec.max_failed_devices, spec.max_empty_devices, spec.history_limit) == ("5%", "50%", 200)
    assert (spec.pending_deadline_seconds, spec.active_deadline_seconds, spec.device_deadline_seconds) == (
        1800,
        3300,
        300,
    )
    assert (spec.ttl_seconds_after_finished, spec.suspend, spec.cancel) == (604_800, False, False)


def test_run_with_a_deletion_time_is_deleting() -> None:
    body = a_body()
    body["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    assert parse_run(body).deleting


@pytest.mark.parametrize("body", [{}, {"metadata": None}, a_body() | {"spec": None}])
def test_malformed_run_is_rejected(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRun):
        parse_run(body)


def test_invalid_field_is_rejected_with_its_name() -> None:
    with pytest.raises(InvalidRun, match=r"spec\.parallelism"):
        a_run(parallelism="many")


@pytest.mark.parametrize(
    ("type_", "status", "ended"),
    [
        ("Complete", "True", True),
        ("Failed", "True", True),
        ("Failed", "False", False),
        ("Degraded", "True", False),
    ],
)
def test_run_has_ended_if_a_terminal_condition_is_true(type_: str, status: str, ended: bool) -> None:  # noqa: FBT001  # a table
    conditions = {"conditions": [{"type": type_, "status": status}]}
    assert has_ended(conditions) is ended
    assert a_run(status=conditions).ended is ended


@pytest.mark.parametrize(
    ("value", "total", "limit"), [("5%", 12, 1), ("0%", 9, 0), ("0.5%", 1000, 5), (3, 1, 3), ("100%", 7, 7)]
)
def test_percentage_of_a_failure_budget_is_rounded_up(value: int | str, total: int, limit: int) -> None:
    assert resolve_limit(value, total) == limit


@pytest.mark.parametrize(
    "time", ["2018-08-28t23:00:00x5z", "2018-08-28T23:00:00", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 7]
)
def test_time_of_a_forged_status_that_cannot_be_used_is_dropped(time: Any) -> None:
    status = {"phase": "Running", "startTime": "2026-11-24T12:00:00Z", "completionTime": time}
    assert a_run(status=status).status == {"phase": "Running", "startTime": "2026-11-24T12:00:00Z"}


@pytest.mark.parametrize(
    ("version", "other", "newer"), [("10", "9", True), ("9", "10", False), ("9", "9", False), ("b", "a", False)]
)
def test_run_is_newer_if_its_resource_version_is_a_larger_number(version: str, other: str, *, newer: bool) -> None:
    body, other_body = a_body(), a_body()
    body["metadata"]["resourceVersion"], other_body["metadata"]["resourceVersion"] = version, other
    assert parse_run(body).is_newer_than(parse_run(other_body)) is newer


def test_run_equals_an_object_that_differs_in_metadata_only() -> None:
    run, annotated = a_run(), a_body()
    annotated["metadata"] |= {"resourceVersion": "8", "annotations": {"x": "y"}}
    assert run.equals(parse_run(annotated))
    assert not run.equals(a_run(parallelism=2))
    assert not run.equals(a_run(status={"phase": "Running"}))
