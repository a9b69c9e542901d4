"""The state of a run from its JSON."""

from typing import Any

import pytest

from fleetscore.runs.state import (
    OUTCOMES,
    canary,
    condition,
    delay,
    describe,
    devices_done,
    devices_total,
    has_ended,
    is_complete,
    next_step,
    progress_line,
    window_text,
)
from scoring_operator.planner import progress


def a_run(phase: str = "", devices: dict[str, int] | None = None, **status: Any) -> dict[str, Any]:
    found = {"devices": devices or {}, **status} | ({"phase": phase} if phase else {})
    return {"metadata": {"name": "demo"}, "status": found}


def with_condition(type_: str, status: str = "True", **fields: str) -> list[dict[str, str]]:
    return [{"type": type_, "status": status, **fields}]


DEVICES = {"total": 12, "scored": 5, "empty": 1, "failed": 1, "active": 4, "pending": 1}


def test_outcomes_are_those_of_the_operator() -> None:
    assert sorted(OUTCOMES) == sorted(progress.OUTCOMES)


def test_progress_of_a_run_is_one_line() -> None:
    assert progress_line(a_run("Running", DEVICES)) == "demo: Running, 7 of 12 devices done, 4 active, 1 failed"
    assert progress_line({"metadata": {"name": "demo"}}) == "demo: not seen by the operator yet"
    assert (devices_done(a_run("Running", DEVICES)), devices_total(a_run("Running", DEVICES))) == (7, 12)


@pytest.mark.parametrize(
    ("kind", "status", "ended"),
    [("Complete", "True", True), ("Failed", "True", True), ("Complete", "False", False), ("Waiting", "True", False)],
)
def test_run_has_ended_when_a_terminal_condition_is_true(kind: str, status: str, *, ended: bool) -> None:
    run = a_run(conditions=with_condition(kind, status))
    assert has_ended(run) is ended
    assert is_complete(run) is (ended and kind == "Complete")


def test_run_without_status_has_no_conditions() -> None:
    assert not has_ended({"metadata": {"name": "new"}})
    assert condition({"metadata": {"name": "new"}, "status": None}, "Waiting") == {}


@pytest.mark.parametrize(
    ("run", "cause"),
    [
        (a_run("Running", conditions=with_condition("Waiting", message="the quota\nis used")), "the quota is used"),
        (a_run("Running", conditions=with_condition("Stalled", reason="ImagePull")), "ImagePull"),
        (a_run("Queued", message="waits for run a"), "waits for run a"),
        (a_run("Suspended", message="3 of 12 devices done"), "`fleetscore resume demo` continues it"),
        (
            a_run("Suspended", message="suspended before it began"),
            "suspended before it began; `fleetscore resume demo` continues it",
        ),
        (a_run("Running", message="3 of 12 devices done"), ""),
        (a_run("Queued", message="old", conditions=with_condition("Complete")), ""),
    ],
    ids=["waiting", "stalled", "queued", "suspended", "suspended-before", "running", "ended"],
)
def test_delay_of_a_run_has_its_cause(run: dict[str, Any], cause: str) -> None:
    assert delay(run) == cause


def test_canary_of_a_run_is_a_part_of_its_message() -> None:
    run = a_run("Running", message="0 of 9 devices done; canary: 2 of 3 Jobs ended")
    assert canary(run) == "canary: 2 of 3 Jobs ended"
    assert canary(a_run("Running", message="3 of 9 devices done")) == ""


def test_description_has_counts_and_at_most_five_failures() -> None:
    failures = [{"device": f"press-{n}", "reason": "DataInvalid", "message": "no\x1b columns"} for n in range(9)]
    lines = list(describe(a_run("Complete", DEVICES, failures=failures, message="done", window="w")))
    assert lines[:3] == ["demo  w  Complete", "  7 of 12 devices done: 5 scored, 1 empty, 1 failed", "  0 anomalies"]
    assert [line for line in lines if "DataInvalid" in line][-1] == "  press-4: DataInvalid: no? columns"
    assert list(describe({"metadata": {"name": "new"}})) == ["new    no operator has handled it yet"]


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("7 of 12 devices done", []),
        ("1 of 1 device done; canary: 2 of 3 Jobs ended; waiting", ["  canary: 2 of 3 Jobs ended; waiting"]),
        ("the canary failed", ["  the canary failed"]),
    ],
    ids=["count", "count-and-cause", "cause"],
)
def test_description_has_the_count_of_devices_once(message: str, lines: list[str]) -> None:
    found = list(describe(a_run("Running", {**DEVICES, "failed": 0}, message=message)))
    assert found[1:] == ["  6 of 12 devices done: 5 scored, 1 empty", "  0 anomalies", *lines]


def test_window_is_known_before_the_operator_has_seen_a_run() -> None:
    window = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
    assert window_text({"spec": {"window": window}}) == "2018-08-28T23:00Z/1h"
    assert window_text({"spec": {"window": {"start": "soon"}}}) == ""


@pytest.mark.parametrize(
    ("run", "step"),
    [
        (a_run("Running", {"failed": 2}), ""),
        (a_run("Suspended"), "`fleetscore resume demo`"),
        (a_run("Complete", {"scored": 2, "empty": 1}, conditions=with_condition("Complete")), ""),
        (
            a_run("Complete", {"scored": 2, "failed": 1}, conditions=with_condition("Complete")),
            "`fleetscore retry demo`",
        ),
        (a_run("Failed", {"partial": 1, "notRun": 4}, conditions=with_condition("Failed")), "`fleetscore retry demo`"),
    ],
    ids=["running", "suspended", "scored", "failed-device", "failed-run"],
)
def test_description_ends_with_the_command_that_continues(run: dict[str, Any], step: str) -> None:
    assert next_step(run) == step
    assert (f"  next: {step}" in describe(run)) == bool(step)
