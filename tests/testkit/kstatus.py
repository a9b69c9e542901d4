"""The status of an object as Helm, Flux and kpt compute it: the generic rules of kstatus.

The rules are those of `Compute` in pkg/kstatus/status of sigs.k8s.io/cli-utils, in the same order, for a kind without
rules of its own.
"""

from collections.abc import Mapping
from typing import Any


def kstatus(body: Mapping[str, Any]) -> str:
    """Return Terminating, InProgress, Failed or Current.

    Args:
        body: The JSON of an object.
    """
    metadata, status = body["metadata"], body.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    conditions = status.get("conditions") or ()
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] in ("Reconciling", "Stalled"):
            return "InProgress" if condition["type"] == "Reconciling" else "Failed"
    ready = next((condition["status"] for condition in conditions if condition["type"] == "Ready"), "True")
    return "Current" if ready == "True" else "InProgress"
