"""The metrics of runs, from their status."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.formatting import format_time
from scoring_operator.observability.metrics import Metrics
from scoring_operator.observability.run_metrics import MAX_COUNTED_RUNS, RunLoad, RunMetrics
from tests.unit.operator.observability.samples import values

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOURLY = {"namespace": "n", "name": "hourly"}
FLEETS = {"default": parse_fleet({"name": "default", "namespaces": ["n"], "schedules": [HOURLY]})}


def a_run(
    condition: str = "Complete", reason: str = "DevicesScored", *, ended_after: int = 60, **status: Any
) -> dict[str, Any]:
    end = STARTED + timedelta(seconds=ended_after)
    return {
        "metadata": {
            "name": "hourly-20260101t100000z",
            "namespace": "n",
            "uid": "u",
            "creationTimestamp": format_time(STARTED),
            "labels": {"fleetscore.dev/schedule": "hourly"},
        },
        "spec": {"window": {"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T11:00:00Z"}},
        "status": {
            "startTime": format_time(end - timedelta(seconds=45)),
            "completionTime": format_time(end),
            "conditions": [{"type": condition, "status": "True", "reason": reason}],
            "devices": {"total": 3, "pending": 0, "active": 0, "scored": 2, "failed": 1},
            "failureReasons": {"OOMKilled": 1},
            "results": {"anomalies": 4, "anomalousDevices": 1},
        }
        | status,
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def run_metrics(metrics: Metrics) -> RunMetrics:
    return RunMetrics(metrics, STARTED, FLEETS)


def test_uids_of_100000_counted_runs_are_remembered() -> None:
    assert MAX_COUNTED_RUNS == 100_000


def test_run_observed_several_times_is_counted_once(run_metrics: RunMetrics, metrics: Metrics) -> None:
    for _ in range(3):
        run_metrics.observe_run(a_run(), active=True)
    assert values(metrics, "fleetscore_runs_total") == {("default", "Complete", "n", "hourly"): 1}
    assert values(metrics, "fleetscore_run_duration_seconds_sum") == {("default", "n", "hourly"): 45}
    assert values(metrics, "fleetscore_devices_total") == {
        ("default", "scored", "n", "hourly"): 2,
        ("default", "failed", "n", "hourly"): 1,
    }
    assert values(metrics, "fleetscore_device_failures_total") == {("default", "OOMKilled", "n", "hourly"): 1}


@pytest.mark.fault("T12")
def test_reason_that_the_operator_does_not_have_is_counted_as_other(run_metrics: RunMetrics, metrics: Metrics) -> None:
    run_metrics.observe_run(a_run(failureReasons={"OOMKilled": 1, "theirs-1": 2, "theirs-2": 3}), active=True)
    found = values(metrics, "fleetscore_device_failures_total")
    assert found == {("default", "OOMKilled", "n", "hourly"): 1, ("default", "Other", "n", "hourly"): 5}


def test_run_that_ended_before_the_process_started_only_sets_its_window(
    run_metrics: RunMetrics, metrics: Metrics
) -> None:
    run_metrics.observe_run(a_run(ended_after=-60), active=True)
    assert values(metrics, "fleetscore_runs_total") == {}
    assert values(metrics, "fleetscore_last_window_anomalies") == {("default", "n", "hourly"): 4}
    end = datetime(2026, 1, 1, 11, tzinfo=UTC).timestamp()
    assert values(metrics, "fleetscore_last_complete_window_timestamp_seconds") == {("default", "n", "hourly"): end}


def test_failed_run_sets_the_devices_of_its_schedules_latest_window(run_metrics: RunMetrics, metrics: Metrics) -> None:
    run_metrics.observe_run(a_run("Failed", "TooManyFailedDevices", ended_after=-60), active=False)
    earlier = a_run(devices={"total": 9, "scored": 9, "failed": 0})
    earlier["metadata"] |= {"name": "hourly-20260101t090000z"}
    earlier["spec"] = {"window": {"start": "2026-01-01T09:00:00Z", "end": "2026-01-01T10:00:00Z"}}
    run_metrics.observe_run(earlier, active=True)
    by_hand = a_run(devices={"total": 1, "scored": 0, "failed": 1})
    by_hand["metadata"] = by_hand["metadata"] | {"labels": {}}
    run_metrics.observe_run(by_hand, active=True)
    found = {("default", "scored", "n", "hourly"): 2, ("default", "failed", "n", "hourly"): 1}
    assert values(metrics, "fleetscore_last_window_devices") == found


@pytest.mark.fault("T12")
@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"fleetscore.dev/schedule": "another"}},
        {"labels": {}},
        {"namespace": "evil"},
        {"name": "hourly-by-hand"},
    ],
)
def test_run_that_no_schedule_of_the_chart_creates_has_no_schedule(
    run_metrics: RunMetrics, metrics: Metrics, change: dict[str, Any]
) -> None:
    run_metrics.observe_run(a_run(), active=True)
    forged = a_run(devices={"total": 100, "scored": 100})
    forged["metadata"] |= {"uid": "forged"} | change
    run_metrics.observe_run(forged, active=True)
    found = values(metrics, "fleetscore_last_window_devices")
    assert found == {("default", "scored", "n", "hourly"): 2, ("default", "failed", "n", "hourly"): 1}
    assert ("default", "Complete", change.get("namespace", "n"), "") in values(metrics, "fleetscore_runs_total")


def test_window_that_ends_after_its_run_changes_no_gauge(run_metrics: RunMetrics, metrics: Metrics) -> None:
    future = a_run()
    future["metadata"] |= {"name": "hourly-20990101t100000z"}
    future["spec"] = {"window": {"start": "2099-01-01T10:00:00Z", "end": "2099-01-01T11:00:00Z"}}
    run_metrics.observe_run(future, active=True)
    assert values(metrics, "fleetscore_last_complete_window_timestamp_seconds") == {}
    assert values(metrics, "fleetscore_last_window_devices") == {}


def test_rejected_run_of_a_schedule_changes_no_gauge(run_metrics: RunMetrics, metrics: Metrics) -> None:
    rejected = a_run("Failed", "NamespaceNotAllowed")
    del rejected["status"]["devices"]
    run_metrics.observe_run(rejected, active=True)
    run_metrics.observe_run(a_run("Failed", "MaxFailedDevicesExceeded"), active=True)
    assert values(metrics, "fleetscore_last_window_devices")["default", "scored", "n", "hourly"] == 2


def test_fleet_that_the_administrator_did_not_define_has_no_label(run_metrics: RunMetrics, metrics: Metrics) -> None:
    unknown = a_run("Failed", "FleetNotFound")
    unknown["spec"] |= {"fleet": "nonesuch"}
    run_metrics.observe_run(unknown, active=True)
    run_metrics.set_load([RunLoad("n", "nonesuch", 0, False, ""), RunLoad("n", "default", 3, True, "Quota")])
    assert values(metrics, "fleetscore_runs_total") == {("", "Failed", "n", ""): 1}
    assert values(metrics, "fleetscore_active_jobs") == {("", "n"): 0, ("default", "n"): 3}


def test_operator_that_is_not_leader_sets_the_window_and_counts_nothing(
    run_metrics: RunMetrics, metrics: Metrics
) -> None:
    run_metrics.observe_run(a_run(), active=False)
    run_metrics.observe_run(a_run(), active=True)  # after a takeover; the previous leader has counted this run
    assert values(metrics, "fleetscore_runs_total") == {}
    assert values(metrics, "fleetscore_last_window_anomalies") == {("default", "n", "hourly"): 4}


@pytest.mark.parametrize(
    ("reason", "outcome"), [("TooManyFailedDevices", "Failed"), ("Cancelled", "Cancelled"), ("Skipped", "Skipped")]
)
def test_run_that_is_not_complete_has_its_outcome_and_no_complete_window(
    run_metrics: RunMetrics, metrics: Metrics, reason: str, outcome: str
) -> None:
    run_metrics.observe_run(a_run("Failed", reason), active=True)
    assert values(metrics, "fleetscore_runs_total") == {("default", outcome, "n", "hourly"): 1}
    assert values(metrics, "fleetscore_last_window_anomalies") == {}
    assert bool(values(metrics, "fleetscore_last_window_devices")) is (outcome == "Failed")


@pytest.mark.parametrize(
    "body", [{}, a_run(conditions=[]), a_run(completionTime="malformed"), a_run() | {"spec": {}}], ids=range(4)
)
def test_run_that_is_active_or_invalid_is_not_counted(
    run_metrics: RunMetrics, metrics: Metrics, body: dict[str, Any]
) -> None:
    run_metrics.observe_run(body, active=True)
    assert values(metrics, "fleetscore_runs_total") == {}


def test_devices_without_a_model_of_the_latest_window_are_published(run_metrics: RunMetrics, metrics: Metrics) -> None:
    run_metrics.observe_run(a_run(withoutModel={"count": 7, "samples": []}), active=False)
    assert values(metrics, "fleetscore_last_window_devices_without_model") == {("default", "n", "hourly"): 7}


REPORTED: dict[str, Any] = {
    "conditions": [
        {"type": "Complete", "status": "True", "reason": "AllDevicesDone"},
        {"type": "Reported", "status": "True", "reason": "ReportWritten"},
    ],
    "report": {"path": "w/report.html", "url": "https://a/w/report.html", "notifyProblems": 2},
    "sensors": {"stuck": 4},
    "incidents": {"open": 3, "opened": 2, "openedUnmuted": 1, "causes": {"machine": 3}},
}


def test_figures_of_a_report_are_published_after_a_restart_too(run_metrics: RunMetrics, metrics: Metrics) -> None:
    run_metrics.observe_run(a_run(ended_after=-60, **REPORTED), active=False)
    hourly = ("default", "n", "hourly")
    incidents = values(metrics, "fleetscore_last_window_open_incidents")
    assert (incidents["machine", *hourly], incidents["fleet", *hourly]) == (3, 0)
    assert values(metrics, "fleetscore_last_window_flagged_sensors")["stuck", *hourly] == 4
    assert values(metrics, "fleetscore_last_window_opened_incidents") == {hourly: 1}
    assert values(metrics, "fleetscore_last_window_notify_problems") == {hourly: 2}
    assert values(metrics, "fleetscore_last_window_report_info") == {(*hourly, "https://a/w/report.html"): 1}
    assert values(metrics, "fleetscore_last_window_report_failed") == {hourly: 0}


@pytest.mark.parametrize(
    ("status", "reason", "failed"),
    [("False", "OOMKilled", {("default", "n", "hourly"): 1}), ("Unknown", "ReportRunning", {})],
)
def test_report_that_failed_is_published_and_one_that_runs_is_not(
    run_metrics: RunMetrics, metrics: Metrics, status: str, reason: str, failed: dict[tuple[str, ...], int]
) -> None:
    ended = {"type": "Complete", "status": "True", "reason": "AllDevicesDone"}
    conditions = [ended, {"type": "Reported", "status": status, "reason": reason}]
    run_metrics.observe_run(a_run(conditions=conditions), active=True)
    assert values(metrics, "fleetscore_last_window_report_failed") == failed
    assert values(metrics, "fleetscore_last_window_opened_incidents") == {}


def test_report_without_figures_publishes_nothing(run_metrics: RunMetrics, metrics: Metrics) -> None:
    run_metrics.observe_run(a_run(conditions=REPORTED["conditions"], report={"path": "w/report.html"}), active=True)
    assert values(metrics, "fleetscore_last_window_report_failed") == {}


@pytest.mark.fault("T12")
def test_report_of_a_window_in_the_future_publishes_nothing(run_metrics: RunMetrics, metrics: Metrics) -> None:
    future = a_run(**REPORTED)
    future["spec"] = {"window": {"start": "2030-01-01T10:00:00Z", "end": "2030-01-01T11:00:00Z"}}
    run_metrics.observe_run(future, active=True)
    assert values(metrics, "fleetscore_last_window_opened_incidents") == {}
