"""Status conditions: look-up and update by type, as in the Kubernetes API conventions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scoring_operator.api.formatting import format_time

Conditions = list[dict[str, Any]]


def find_condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The condition of this type in a status; None where there is none."""
    return next((found for found in status.get("conditions") or () if found.get("type") == kind), None)


def true_condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return the condition of this type if its status is True, else None."""
    found = find_condition(status, kind)
    return found if found is not None and found.get("status") == "True" else None


def set_condition(
    conditions: Conditions, kind: str, *, true: bool | None, reason: str, message: str, generation: int, now: datetime
) -> None:
    """Set one condition (`true` None: Unknown); its transition time moves only when its status flips."""
    status = "Unknown" if true is None else str(bool(true))
    old = next((condition for condition in conditions if condition["type"] == kind), None)
    flipped = old is None or old.get("status") != status
    entry = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message[:1024],
        "observedGeneration": generation,
        "lastTransitionTime": format_time(now) if flipped or old is None else old["lastTransitionTime"],
    }
    if old is None:
        conditions.append(entry)
    else:
        old.update(entry)
