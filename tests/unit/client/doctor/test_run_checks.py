"""The checks of the runs of a fleet: every run that does not continue is named, with the step for its cause."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.contract.fleets import FleetLayout
from fleetscore.doctor.facts import Account, FleetFacts
from fleetscore.doctor.findings import Finding, Result, Right
from fleetscore.doctor.run_checks import check_runs

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FLEET = FleetFacts(FleetLayout("plant", ("scoring",)))
OLD, YOUNG = timedelta(hours=1), timedelta(minutes=1)


def api_time(age: timedelta) -> str:
    return f"{NOW - age:%Y-%m-%dT%H:%M:%SZ}"


def a_condition(type_: str, reason: str = "R", message: str = "m", age: timedelta = OLD, status: str = "True") -> Any:
    times = {"lastTransitionTime": api_time(age)}
    return {"type": type_, "status": status, "reason": reason, "message": message, **times}


def a_run(*conditions: Any, age: timedelta = OLD, name: str = "run-1", **status: Any) -> dict[str, Any]:
    found = {"conditions": list(conditions), **status} if conditions or status else {}
    return {"metadata": {"name": name, "creationTimestamp": api_time(age)}, "status": found}


def findings(**changes: Any) -> list[tuple[Result, str]]:
    return [(one.result, one.check) for one in wrong(**changes)]


def wrong(now: datetime | None = NOW, **changes: Any) -> list[Finding]:
    return [one for one in check_runs(replace(FLEET, **changes), now) if one.result is not Result.OK]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (a_run(a_condition("Complete")), []),
        (a_run(phase="Running"), []),
        (a_run(age=YOUNG), []),
        (a_run(age=OLD), [(Result.PROBLEM, "runs")]),
        (a_run(a_condition("Stalled", "ImagePullBackOff")), [(Result.PROBLEM, "runs")]),
        (a_run(a_condition("Stalled", "ConfigurationInvalid")), [(Result.PROBLEM, "identity")]),
        (a_run(a_condition("Waiting", "IdentityUnavailable")), [(Result.PROBLEM, "identity")]),
        (a_run(a_condition("Waiting", "Unschedulable", age=YOUNG)), [(Result.WARNING, "runs")]),
        (a_run(a_condition("Waiting", "Unschedulable")), [(Result.PROBLEM, "runs")]),
        (a_run(a_condition("Waiting", "WaitingForSlots")), [(Result.WARNING, "runs")]),
        (a_run(a_condition("Waiting", "StorageUnavailable", age=YOUNG)), [(Result.WARNING, "identity")]),
        (a_run(a_condition("Failed", "NoData")), [(Result.WARNING, "runs")]),
        (a_run(a_condition("Failed", "NoData"), a_condition("Stalled", "NoData")), [(Result.WARNING, "runs")]),
        (a_run(a_condition("Complete"), a_condition("Degraded", "DevicesFailed")), []),
        (a_run(a_condition("Complete"), a_condition("Degraded", "InvalidNames")), [(Result.WARNING, "models")]),
        (a_run(a_condition("Complete"), a_condition("Reported", "Lost", status="False")), [(Result.WARNING, "runs")]),
        (a_run(a_condition("Complete"), a_condition("Reported", "NothingToReport", status="False")), []),
        (a_run(a_condition("Complete"), failureReasons={"IdentityUnavailable": 2}), [(Result.PROBLEM, "identity")]),
        (a_run(a_condition("Complete"), failureReasons={"ModelInvalid": 2}), []),
    ],
    ids=[
        "complete", "running", "new", "not-seen", "stalled", "configuration", "identity", "waits", "waits-long",
        "waits-for-others", "storage", "failed", "failed-and-stalled", "degraded", "invalid-names", "report",
        "no-report", "devices-identity", "devices-models",
    ],
)  # fmt: skip
def test_newest_run_shows_what_does_not_work(run: dict[str, Any], expected: list[tuple[Result, str]]) -> None:
    assert findings(newest_run=run) == expected


def test_older_run_that_does_not_continue_is_named_although_the_newest_one_waits() -> None:
    stuck = a_run(a_condition("Stalled", "FailedMount", "Secret ca does not exist"), name="run-0")
    found = wrong(newest_run=a_run(phase="Queued"), active_runs=(stuck,))
    assert [(one.result, one.message) for one in found] == [
        (Result.PROBLEM, "run run-0 does not continue: Secret ca does not exist")
    ]
    assert found[0].cure.startswith("create the Secret, ConfigMap or volume that the message names; ")


def test_age_of_a_run_does_not_count_without_the_time_of_the_api_server() -> None:
    assert wrong(None, newest_run=a_run()) == []
    waits = a_run(a_condition("Waiting", "Unschedulable"))
    assert [one.result for one in wrong(None, newest_run=waits)] == [Result.WARNING]
    broken = {**a_condition("Waiting", "Unschedulable"), "lastTransitionTime": "soon"}
    assert [one.result for one in wrong(newest_run=a_run(broken))] == [Result.WARNING]


def test_cause_with_identity_names_the_message_as_the_next_step() -> None:
    text = "AADSTS700213: create a federated credential with the issuer of the cluster"
    failures = [{"reason": "IdentityUnavailable", "message": text}]
    run = a_run(a_condition("Complete"), failureReasons={"IdentityUnavailable": 2}, failures=failures)
    (found,) = wrong(newest_run=run)
    assert found.message == f"devices of run run-1 failed because of IdentityUnavailable: {text}"
    assert found.cure == "do what the message says; `fleetscore status run-1` has the details"


def test_fault_of_the_account_is_a_problem_and_a_missing_right_is_not() -> None:
    assert findings(account=Account("scorer")) == []
    assert findings(account=Account("scorer", "it does not exist", "create it")) == [(Result.PROBLEM, "identity")]
    assert findings(account=Right("get", "serviceaccounts").unseen()) == [(Result.UNKNOWN, "identity")]


def test_run_of_others_is_printed_as_one_line() -> None:
    (found,) = wrong(newest_run=a_run(a_condition("Stalled", message="a\nb\x1b[31m")))
    assert found.message.endswith("a b?[31m")
