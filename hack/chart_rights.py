"""The rights of the chart's accounts, with the purpose of each."""

from collections.abc import Iterable
from typing import Any

Right = tuple[str, str]  # verb and resource
NEEDED: dict[str, dict[Right, str]] = {
    "operator": {
        ("list", "scoringruns"): "find all runs at the start, and runs that a watch missed",
        ("watch", "scoringruns"): "receive new and changed runs",
        ("get", "scoringruns"): "read the run that a retry names, and reload a run after a write conflict",
        ("delete", "scoringruns"): "delete runs after ttlSecondsAfterFinished or beyond historyLimit",
        ("patch", "scoringruns/status"): "write the status of a run",
        ("create", "jobs"): "score a batch of devices, and write the report of a window",
        ("list", "jobs"): "find all Jobs at the start",
        ("watch", "jobs"): "detect the end of Jobs",
        ("get", "jobs"): "verify a Job that is missing, or whose name exists already",
        ("patch", "jobs"): "suspend and resume the Jobs of a run",
        ("delete", "jobs"): "delete finished Jobs whose results are recorded, and the Jobs of a cancelled run",
        ("list", "pods"): "read termination messages, termination states, and reasons why pods do not start",
        ("create", "configmaps"): "save the device list and the progress of a run",
        ("get", "configmaps"): "read device list and progress after a restart, and for a retry",
        ("update", "configmaps"): "save progress by compare-and-swap",
        ("create", "events"): "record the state changes of a run",
        ("list", "events"): "find out why a Job has no pod; only events contain the reason",
        ("create", "leases"): "become the leader",
        ("get", "leases"): "find out whether another operator is the leader",
        ("update", "leases"): "remain the leader",
    },
    "scheduler": {
        ("get", "jobs"): "read the scheduled time from its own Job",
        ("create", "scoringruns"): "create the run of a window",
        ("list", "scoringruns"): "find the windows without a run (backfill)",
    },
    "console": {
        ("list", "scoringruns"): "show the runs of the fleet, and follow those that have not ended",
        ("list", "jobs"): "show the Jobs of a run",
        ("list", "events"): "show the events of a run",
        ("list", "cronjobs"): "show the schedules of the namespace",
        ("list", "configmaps"): "read the windows and devices of the schedules",
    },
}


def granted(manifests: Iterable[dict[str, Any]], account: str) -> set[Right]:
    """Return the rights that the rendered roles grant to an account of the chart."""
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
