"""How `helm test` judges its run."""

from typing import Any

import pytest

from scoring_operator.api.scoringrun import parse_run
from scoring_operator.cli.check import build_check_run, evaluate

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
    ("status", "code", "said"),
    [
        pytest.param(SCORED, 0, "scored its device: 60 rows, 1 anomalies", id="scored"),
        pytest.param(NO_MODEL, 0, "Self-check only", id="no model"),
        pytest.param(BROKEN, 1, "StorageUnavailable: no answer", id="broken storage"),
        pytest.param(
            {"conditions": [{"type": "Failed", "status": "True"}], "message": "no fleet"}, 1, "no fleet", id="failed"
        ),
        pytest.param({}, 1, "the operator has said nothing: is its pod ready?", id="no operator"),
        pytest.param({"message": "no pod yet"}, 1, "has not ended in time: no pod yet", id="no node"),
    ],
)
def test_the_check_passes_where_the_device_was_scored_or_could_not_be_made(
    status: dict[str, Any], code: int, said: str
) -> None:
    found, text = evaluate(status)
    assert found == code
    assert said in text


def test_the_run_of_the_check_is_over_the_one_device_and_ends_with_its_counts_whatever_they_are() -> None:
    body = build_check_run("default", "helm-test")
    meta = {"name": "x", "namespace": "scoring", "uid": "u", "creationTimestamp": "2026-11-24T12:00:00Z"}
    run = parse_run(body | {"metadata": meta})
    assert run.spec.devices.ids == ("helm-test",)
    assert (run.spec.max_failed_devices, run.spec.max_empty_devices) == ("100%", "100%")
