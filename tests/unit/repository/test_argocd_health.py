"""The health script of examples/gitops, run by Lua 5.1 with the libraries that Argo CD loads."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from lupa import lua51

from scoring_operator.api.intervals import Positions
from scoring_operator.planner.progress import Completion
from scoring_operator.planner.types import Blocker, Plan
from scoring_operator.resources.run_conditions import invalid_spec_patch, run_conditions
from tests.testkit.builders import NOW, a_body, a_progress, a_run
from tests.testkit.kstatus import kstatus
from tests.testkit.paths import EXAMPLES

KEY = "resource.customizations.health.fleetscore.dev_ScoringRun"
SCRIPT = yaml.safe_load((EXAMPLES / "gitops" / "argocd-health.yaml").read_text())["data"][KEY]
# Argo CD opens package, base, table and two functions of os (runLua in util/lua/lua.go).
SANDBOX = """
    getmetatable("").__index = nil
    string, math, io, os, debug, coroutine = nil, nil, nil, nil, nil, nil
"""
CODES = {"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}
EXPECTED_KSTATUS = {
    "Healthy": "Current",
    "Degraded": "Failed",
    "Progressing": "InProgress",
    "Suspended": "InProgress",
}
WAITING = Plan("Running", blocker=Blocker("QuotaExceeded", "full"))
STALLED = Plan("Running", blocker=Blocker("FailedMount", "no secret", permanent=True))


def ended(condition: str) -> Plan:
    return Plan(condition, completion=Completion(condition, "TheReason", "the end", NOW))


ACTIVE = {
    "pending": (Plan("Pending"), "Progressing"),
    "queued": (Plan("Queued"), "Progressing"),
    "running": (Plan("Running"), "Progressing"),
    "waiting": (WAITING, "Progressing"),
    "stalled": (STALLED, "Degraded"),
    "suspended": (Plan("Suspended"), "Suspended"),
    "suspended and waiting": (replace(WAITING, phase="Suspended"), "Suspended"),
    "suspended and stalled": (replace(STALLED, phase="Suspended"), "Degraded"),
}
ENDS = {"complete": (ended("Complete"), "Healthy"), "failed": (ended("Failed"), "Degraded")}


def table(lua: lua51.LuaRuntime, value: Any) -> Any:
    """Return a JSON value as Argo CD's decodeValue converts it."""
    if isinstance(value, Mapping):
        return lua.table_from({key: table(lua, item) for key, item in value.items() if item is not None})
    if isinstance(value, list):
        return lua.table_from([table(lua, item) for item in value])
    return value


def health(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the health code and the message of an object."""
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute(SANDBOX)
    lua.globals()["obj"] = table(lua, body)
    result = lua.execute(SCRIPT)
    assert set(result) == {"status", "message"}
    assert result["status"] in CODES
    assert isinstance(result["message"], str)  # Argo CD rejects another type
    return result["status"], result["message"]


def observed(conditions: Any, *, generation: int = 3, **more: Any) -> dict[str, Any]:
    return a_body(generation=generation) | {"status": {"observedGeneration": 3, "conditions": conditions, **more}}


def a_condition(type_: str, status: str = "True", message: Any = "the cause") -> dict[str, Any]:
    return {"type": type_, "status": status, "message": message}


def conditions_after(*plans: Plan) -> list[dict[str, Any]]:
    """Return the conditions that the operator writes in successive passes."""
    conditions: list[dict[str, Any]] = []
    for plan in plans:
        run = a_run(status={"conditions": conditions}, generation=3)
        conditions = [dict(one) for one in run_conditions(run, plan, None, NOW, "1 of 3 done")]
    return conditions


def histories() -> Iterator[tuple[str, ...]]:
    """Return up to two earlier states of an active run, which leave conditions that are False."""
    for length in range(3):
        yield from itertools.product(ACTIVE, repeat=length)


@pytest.mark.parametrize("state", [*ACTIVE, *ENDS])
def test_health_is_that_of_the_last_state_and_agrees_with_kstatus(state: str) -> None:
    plan, expected = (ACTIVE | ENDS)[state]
    for history in histories():
        body = observed(conditions_after(*(ACTIVE[one][0] for one in history), plan))
        code, message = health(body)
        assert (code, message != "") == (expected, True), history
        assert kstatus(body) == EXPECTED_KSTATUS[code], history


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (WAITING, "full"),
        (STALLED, "no secret"),
        (Plan("Running"), "1 of 3 done"),
        (Plan("Suspended"), "1 of 3 done"),
        (ended("Complete"), "the end"),
        (ended("Failed"), "the end"),
    ],
    ids=["waiting", "stalled", "running", "suspended", "complete", "failed"],
)
def test_message_is_the_cause_or_the_progress_of_the_run(plan: Plan, message: str) -> None:
    assert health(observed(conditions_after(plan)))[1] == message


def test_complete_run_that_is_degraded_is_healthy_and_names_what_is_missing() -> None:
    progress = replace(a_progress(3), outcomes={"failed": Positions.parse("0")})
    conditions = run_conditions(a_run(generation=3), ended("Complete"), progress, NOW)
    assert health(observed(list(conditions))) == ("Healthy", "1 device failed")


def test_invalid_spec_is_degraded_with_the_error() -> None:
    body = a_body()
    patch = invalid_spec_patch(body, "spec.window is invalid", NOW)
    assert health(body | {"status": patch}) == ("Degraded", "spec.window is invalid")


@pytest.mark.parametrize("status", [None, {}, {"phase": "Running"}, {"conditions": [a_condition("Ready")]}])
def test_run_without_an_observed_generation_is_progressing(status: Any) -> None:
    assert health(a_body() | {"status": status})[0] == "Progressing"
    assert health(a_body())[0] == "Progressing"


@pytest.mark.parametrize("state", [*ACTIVE, *ENDS])
def test_run_whose_new_spec_is_not_observed_is_progressing(state: str) -> None:
    body = observed(conditions_after((ACTIVE | ENDS)[state][0]), generation=4)
    assert health(body)[0] == "Progressing"


@pytest.mark.parametrize(("condition", "expected"), [("Complete", "Healthy"), ("Failed", "Degraded")])
def test_end_that_an_earlier_operator_wrote_without_ready_counts(condition: str, expected: str) -> None:
    assert health(observed([a_condition(condition)])) == (expected, "the cause")
    assert health(observed([a_condition("Stalled"), a_condition(condition)]))[0] == expected


def test_active_run_of_an_earlier_operator_without_ready_is_progressing() -> None:
    assert health(observed([]))[0] == "Progressing"
    assert health(observed([a_condition("Suspended")]))[0] == "Suspended"


@pytest.mark.parametrize(("reconciling", "expected"), [("True", "Progressing"), ("False", "Healthy")])
def test_ready_run_without_an_end_is_healthy_unless_it_is_reconciling(reconciling: str, expected: str) -> None:
    conditions = [a_condition("Ready"), a_condition("Reconciling", reconciling)]
    assert health(observed(conditions)) == (expected, "the cause")


def test_every_combination_of_conditions_has_a_health() -> None:
    types = ("Ready", "Reconciling", "Stalled", "Suspended", "Complete", "Failed")
    for statuses in itertools.product(("True", "False", "Unknown"), repeat=len(types)):
        health(observed([a_condition(*pair) for pair in zip(types, statuses, strict=True)]))


@pytest.mark.parametrize(
    "message",
    ['"]] return {status="Healthy"}', "%s %d %n", "a\nb\tc\x01", "é 漢 \U0001f600", "m" * 32768, "os.exit()"],
    ids=["code", "format", "control", "unicode", "long", "call"],
)
def test_hostile_message_is_shown_unchanged_and_changes_no_health(message: str) -> None:
    assert health(observed([a_condition("Stalled", message=message)])) == ("Degraded", message)


@pytest.mark.parametrize("message", [7, True, {"status": "Healthy"}, [], None, ""])
def test_message_of_another_type_is_replaced(message: Any) -> None:
    assert health(observed([a_condition("Stalled", message=message)])) == ("Degraded", "The run needs a person")


@pytest.mark.parametrize("conditions", [None, "text", 7, {}, ["text", 7, {}, {"type": 7}], [{"type": "Ready"}]])
def test_conditions_of_another_type_leave_the_run_progressing(conditions: Any) -> None:
    assert health(observed(conditions))[0] == "Progressing"


@pytest.mark.parametrize("status", ["text", 7, True])
def test_status_of_another_type_leaves_the_run_progressing(status: Any) -> None:
    assert health(a_body() | {"status": status})[0] == "Progressing"
