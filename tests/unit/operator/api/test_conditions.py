from typing import Any

import pytest

from scoring_operator.api.conditions import (
    Condition,
    Conditions,
    find_condition,
    first_true,
    set_condition,
    true_condition,
)
from tests.testkit.builders import NOW, later

STALLED = {"type": "Stalled", "status": "True", "reason": "QuotaExceeded", "message": "full"}
COMPLETE = {"type": "Complete", "status": "False", "reason": "AllDevicesDone"}
STATUS: dict[str, Any] = {"conditions": [COMPLETE, STALLED | {"lastTransitionTime": "2026-11-24T12:00:00Z"}]}


@pytest.mark.parametrize("status", [{}, {"conditions": None}, {"conditions": []}])
def test_status_without_conditions_has_none(status: dict[str, Any]) -> None:
    assert find_condition(status, "Stalled") is None
    assert true_condition(status, "Stalled") is None


def test_condition_is_found_by_type_whatever_its_status() -> None:
    assert find_condition(STATUS, "Stalled") == Condition(
        "Stalled", "True", "QuotaExceeded", "full", "2026-11-24T12:00:00Z"
    )
    assert find_condition(STATUS, "Complete") == Condition("Complete", "False", "AllDevicesDone")
    assert find_condition(STATUS, "Failed") is None


def test_true_condition_has_one_of_the_types_and_status_true() -> None:
    found = true_condition(STATUS, "Complete", "Stalled")
    assert found is not None
    assert found.type == "Stalled"
    assert true_condition(STATUS, "Complete") is None


def test_first_true_condition_is_that_of_the_list() -> None:
    conditions = (Condition("A", "Unknown"), Condition("B", "True"), Condition("C", "True"))
    assert first_true(conditions, "C", "B", "A") == Condition("B", "True")
    assert first_true(conditions, "A") is None


def a_condition(conditions: Conditions, *, true: bool | None, seconds: float, message: str = "full") -> dict[str, Any]:
    set_condition(
        conditions, "Stalled", true=true, reason="QuotaExceeded", message=message, generation=3, now=later(seconds)
    )
    return conditions[0]


def test_new_condition_is_appended_with_the_time() -> None:
    conditions: Conditions = []
    assert a_condition(conditions, true=True, seconds=0) == {
        "type": "Stalled",
        "status": "True",
        "reason": "QuotaExceeded",
        "message": "full",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    }


def test_transition_time_changes_with_the_status_only() -> None:
    conditions: Conditions = []
    a_condition(conditions, true=True, seconds=0)
    updated = a_condition(conditions, true=True, seconds=60, message="fuller")
    assert (updated["message"], updated["lastTransitionTime"]) == ("fuller", "2026-11-24T12:00:00Z")
    changed = a_condition(conditions, true=None, seconds=90)
    assert (changed["status"], changed["lastTransitionTime"]) == ("Unknown", "2026-11-24T12:01:30Z")
    assert a_condition(conditions, true=False, seconds=91)["status"] == "False"
    assert len(conditions) == 1


def test_message_of_a_condition_has_at_most_1024_characters() -> None:
    conditions: Conditions = []
    set_condition(conditions, "Stalled", true=True, reason="R", message="m" * 5000, generation=1, now=NOW)
    assert conditions[0]["message"] == "m" * 1024
