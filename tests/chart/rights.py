"""What each right of the chart's accounts is for."""

from collections.abc import Iterable
from typing import Any

Right = tuple[str, str]  # verb and resource
NEEDED: dict[str, dict[Right, str]] = {
    "operator": {
        ("list", "scoringruns"): "find the runs at its start, and those that a watch did not tell of",
        ("watch", "scoringruns"): "hear of runs and of their changes",
        ("get", "scoringruns"): "read the run that another one retries, and a run anew when somebody else changed it",
        ("delete", "scoringruns"): "remove runs when ttlSecondsAfterFinished or historyLimit says so",
        ("patch", "scoringruns/status"): "tell how a run stands",
        ("create", "jobs"): "score a batch of devices, and report on the window",
        ("list", "jobs"): "see all Jobs at its start",
        ("watch", "jobs"): "see Jobs end",
        ("get", "jobs"): "make sure of a Job that is missing, or whose name is taken",
        ("patch", "jobs"): "suspend and resume the Jobs of a run",
        ("delete", "jobs"): "remove Jobs that have ended and are recorded, and those of a cancelled run",
        ("list", "pods"): "read a scorer's word, how a pod died, and why pods do not start",
        ("create", "configmaps"): "save a run's device list and progress",
        ("get", "configmaps"): "read them after a restart, and for a retry",
        ("update", "configmaps"): "save progress by compare-and-swap",
        ("create", "events"): "tell of a run's changes of state",
        ("list", "events"): "find out why a Job has no pod: nothing else says it",
        ("create", "leases"): "become the one operator that works",
        ("get", "leases"): "see whether another one works",
        ("update", "leases"): "go on being the one",
    },
    "scheduler": {
        ("get", "jobs"): "read from its own Job the time that it was scheduled for",
        ("create", "scoringruns"): "create the window's run",
        ("list", "scoringruns"): "backfill: see which windows lack a run",
    },
}


def granted(manifests: Iterable[dict[str, Any]], account: str) -> set[Right]:
    """Give the rights that the rendered roles grant to an account of the chart."""
    manifests = list(manifests)
    own = {
        manifest["roleRef"]["name"]
        for manifest in manifests
        if manifest["kind"] in ("RoleBinding", "ClusterRoleBinding")
        and any(subject["name"] == f"fleetscore-{account}" for subject in manifest["subjects"])
    }
    roles = [m for m in manifests if m["kind"] in ("Role", "ClusterRole") and m["metadata"]["name"] in own]
    return {
        (verb, resource)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rights_table() -> str:
    """The table right -> what for in Markdown."""
    rows = [
        f"| {account} | {verb} | `{resource}` | {reason} |\n"
        for account, rights in NEEDED.items()
        for (verb, resource), reason in rights.items()
    ]
    return "| account | may | | to |\n|---|---|---|---|\n" + "".join(rows)
