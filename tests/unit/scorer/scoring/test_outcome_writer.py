"""Writing of the outcome record."""

import json
from pathlib import Path

import pytest

from device_scorer.contract.outcome_message import FAILED, SCORED, Outcome
from device_scorer.scoring.outcome_writer import (
    RECORD_TIMEOUT_SECONDS,
    write_outcome_record,
)
from device_scorer.scoring.request import ScoreRequest
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_fleet import WINDOW, Fleet

OUTCOMES = {0: Outcome(SCORED), 1: Outcome(FAILED, "ModelNotFound", "no model")}


def test_outcome_record_is_written_within_20_s() -> None:
    assert RECORD_TIMEOUT_SECONDS == 20.0


def test_record_that_cannot_be_written_is_a_json_warning(fleet: Fleet) -> None:
    fleet.store.ensure_container("predictions")
    (fleet.folder / "predictions" / "_runs").write_text("a file where a folder belongs")
    fleet.device()
    result = fleet.score("--run-uid", "u", "--job-name", "j")
    (line,) = result.err.splitlines()
    found = json.loads(line)
    assert found["level"] == "warning"
    assert "outcome record _runs/u/j.json could not be written" in found["message"]
    assert result.code == 0


@pytest.mark.fault("F33")
def test_termination_log_that_cannot_be_written_is_a_warning(fleet: Fleet, tmp_path: Path) -> None:
    fleet.device()
    result = fleet.score("--termination-log", str(tmp_path / "no" / "such" / "place"))
    assert result.code == 0
    assert "could not be written" in result.err


def test_record_has_the_outcomes_and_the_number_of_failures(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    write_outcome_record(ScoreRequest(("a", "b"), WINDOW, run_uid="u", job_name="j"), store, OUTCOMES)
    blob = store.read("predictions", "_runs/u/j.json")
    assert blob is not None
    assert json.loads(blob.content)["messages"] == {"1": ["failed", "ModelNotFound", "no model", "b"]}
    assert blob.metadata == {"failures": "1"}


def test_request_outside_a_run_has_no_record(tmp_path: Path) -> None:
    write_outcome_record(ScoreRequest(("a", "b"), WINDOW), FolderStore(tmp_path), OUTCOMES)
    assert list(tmp_path.iterdir()) == []
