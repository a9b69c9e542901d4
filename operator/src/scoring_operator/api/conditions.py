"""Conditions of an object's status: look-up and update by type.

The rules are those of the Kubernetes API conventions, section "Typical status properties", and of FindStatusCondition
and SetStatusCondition in k8s.io/apimachinery. Every module asks for a condition through this one.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from scoring_operator.api.formatting import format_time

MAX_MESSAGE_LENGTH = 1024  # characters
Conditions = list[dict[str, Any]]
"""The conditions of a status that is being built."""


class Condition(Struct, frozen=True, rename="camel", gc=False):
    """One condition of a ScoringRun, Job or Pod."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


def find_condition(status: Mapping[str, Any], type_: str) -> Condition | None:
    """Return the condition of this type in the JSON of a status, or None."""
    return next(_conditions_of(status, type_), None)


def true_condition(status: Mapping[str, Any], *types: str) -> Condition | None:
    """Return the first condition of these types in the JSON of a status whose status is True, or None."""
    return first_true(_conditions_of(status, *types), *types)


def first_true(conditions: Iterable[Condition], *types: str) -> Condition | None:
    """Return the first condition of these types whose status is True, or None."""
    return next((one for one in conditions if one.type in types and one.status == "True"), None)


def _conditions_of(status: Mapping[str, Any], *types: str) -> Iterator[Condition]:
    # Most look-ups find nothing, so only a condition that matches is converted.
    for one in status.get("conditions") or ():
        if one.get("type") in types:
            yield msgspec.convert(one, Condition)


def set_condition(
    conditions: Conditions, type_: str, *, true: bool | None, reason: str, message: str, generation: int, now: datetime
) -> None:
    """Add a condition, or update the one of this type.

    Args:
        conditions: The conditions to change.
        type_: The type of the condition.
        true: The status; None is Unknown.
        reason: The reason, in CamelCase.
        message: A sentence for people; it is cut at 1,024 characters.
        generation: The generation of the spec that the condition describes.
        now: The transition time if the status changes.
    """
    status = "Unknown" if true is None else str(bool(true))
    old = next((condition for condition in conditions if condition["type"] == type_), None)
    changed = old is None or old.get("status") != status
    entry = {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message[:MAX_MESSAGE_LENGTH],
        "observedGeneration": generation,
        "lastTransitionTime": format_time(now) if changed or old is None else old["lastTransitionTime"],
    }
    if old is None:
        conditions.append(entry)
    else:
        old.update(entry)
