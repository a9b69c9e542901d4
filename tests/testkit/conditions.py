"""Reading the conditions of a Kubernetes object."""

from collections.abc import Mapping
from typing import Any


def condition(status: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the condition of a type from an object's status, or an empty dictionary."""
    return next((dict(one) for one in status.get("conditions", ()) if one["type"] == kind), {})


def is_true(status: Mapping[str, Any], kind: str) -> bool:
    """Return True if the condition of a type is True."""
    return condition(status, kind).get("status") == "True"


def true_conditions(status: Mapping[str, Any]) -> set[str]:
    """Return the types of all conditions that are True."""
    return {one["type"] for one in status.get("conditions", ()) if one["status"] == "True"}


def blocked(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the true condition of a run that does not progress (Stalled or Waiting), or an empty dictionary."""
    return next((condition(status, kind) for kind in ("Stalled", "Waiting") if is_true(status, kind)), {})
