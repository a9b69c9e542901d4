"""The result of a report for the operator."""

import json

from device_scorer.report.fleet_health import FleetHealth
from device_scorer.report.result import report_result
from device_scorer.report.summary import AnomalyRule, Comparison, Coverage, Summary
from tests.testkit.scorer_report import WINDOW, a_summary


def test_result_has_counts_and_no_names() -> None:
    coverage = Coverage(["secret"] * 81, ["secret"], ["secret"] * 2, ["secret"], 3, ["secret"])
    summary = Summary(
        WINDOW, AnomalyRule(), [], Comparison(WINDOW, has_previous=False), unreadable={"secret": "x"}, coverage=coverage
    )
    content = report_result(summary, FleetHealth(problems=["secret", "secret"], notify_problems=1))
    assert b"secret" not in content
    document = json.loads(content)
    assert {key: document[key] for key in ("unmodelledDevices", "vanishedModels", "outdatedDevices")} == {
        "unmodelledDevices": 81,
        "vanishedModels": 1,
        "outdatedDevices": 2,
    }
    assert (document["unknownDevices"], document["unknownNames"]) == (1, 3)
    assert (document["problems"], document["notifyProblems"]) == (2, 1)
    assert (document["complete"], document["devices"], document["failures"]) == (False, 1, 1)


def test_result_of_3000_devices_has_less_than_2_kib() -> None:
    assert len(report_result(a_summary(3_000), FleetHealth())) < 2048
