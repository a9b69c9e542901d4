"""The command `check` of `helm test`."""

from typing import Any

import pytest

from scoring_operator.api.scoringrun import parse_run
from scoring_operator.cli import check, main
from scoring_operator.cli.check import build_check_run, evaluate
from tests.testkit.canned_api import RUNS, CannedApi

COMPLETE = [{"type": "Complete", "status": "True"}]


NO_MODEL = {"devices": {"failed": 1}, "failureReasons": {"ModelNotFound": 1}, "conditions": COMPLETE}


SCORED = {"devices": {"scored": 1}, "results": {"rows": 60, "anomalies": 1}, "conditions": COMPLETE}


BROKEN = {
    "devices": {"failed": 1},
    "failureReasons": {"StorageUnavailable": 1},
    "failures": [{"device": "d", "reason": "StorageUnavailable", "message": "no answer"}],
    "conditions": COMPLETE,
}


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        pytest.param(SCORED, 0, "scored its device: 60 rows, 1 anomalies", id="scored"),
        pytest.param(NO_MODEL, 0, "Self-check only", id="no model"),
        pytest.param(BROKEN, 1, "StorageUnavailable: no answer", id="broken storage"),
        pytest.param(
            {"conditions": [{"type": "Failed", "status": "True"}], "message": "no fleet"}, 1, "no fleet", id="failed"
        ),
        pytest.param({}, 1, "the operator has not written a status; check that its pod is ready", id="no operator"),
        pytest.param({"message": "no pod yet"}, 1, "has not ended in time: no pod yet", id="no node"),
    ],
)
def test_check_passes_if_the_device_was_scored_or_has_no_model(
    status: dict[str, Any], code: int, expected: str
) -> None:
    found, text = evaluate(status)
    assert found == code
    assert expected in text


def test_run_of_the_check_has_one_device_and_an_unlimited_failure_budget() -> None:
    body = build_check_run("default", "helm-test")
    meta = {"name": "x", "namespace": "scoring", "uid": "u", "creationTimestamp": "2026-11-24T12:00:00Z"}
    run = parse_run(body | {"metadata": meta})
    assert run.spec.devices.ids == ("helm-test",)
    assert (run.spec.max_failed_devices, run.spec.max_empty_devices) == ("100%", "100%")


def test_check_creates_a_run_prints_its_result_and_deletes_it(
    canned_api: CannedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    canned_api.answers["POST", RUNS] = (201, {"metadata": {"name": "helm-test-1"}})
    canned_api.answers["GET", f"{RUNS}/helm-test-1"] = (200, {"status": SCORED | {"phase": "Complete"}})
    canned_api.answers["DELETE", f"{RUNS}/helm-test-1"] = (404, {"kind": "Status", "message": "already deleted"})
    assert main(["check", "--fleet", "default", "--device", "d", "--namespace", "scoring"]) == 0
    assert canned_api.created[0]["spec"]["devices"] == {"ids": ["d"]}
    printed = capsys.readouterr().out
    assert "ScoringRun scoring/helm-test-1 created: fleet default, device d" in printed
    assert "ScoringRun scoring/helm-test-1 scored its device: 60 rows, 1 anomalies" in printed


def test_check_waits_90_seconds_for_the_report() -> None:
    assert check.REPORT_TIMEOUT_SECONDS == 90
