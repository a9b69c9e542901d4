"""The facts of the operators: their Deployments, pods, Leases, rights, and the fleets that they have read."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import FLEETS_KEY, GROUP, PLURAL, Cluster
from fleetscore.doctor.facts import Lease, Operator
from fleetscore.doctor.findings import Right, Unseen
from fleetscore.doctor.parallel import Task, run_tasks
from fleetscore.doctor.pods import deployment_blocker, first_blocker, pod_restarts
from fleetscore.doctor.reviews import account_name, expand, missing_account, review, reviewed
from fleetscore.errors import AccessDenied

MAX_OPERATORS = 10
MAX_WATCHED = 5
"""Namespaces of an operator in which its rights are checked."""

CLOCK_ANNOTATION = "fleetscore.dev/clock-ahead-seconds"
CHECKSUM_ANNOTATION = "checksum/fleets"
_OPERATOR_RULES = (
    (GROUP, PLURAL, ("get", "list", "watch", "delete")),
    (GROUP, f"{PLURAL}/status", ("patch",)),
    ("batch", "jobs", ("get", "list", "watch", "create", "patch", "delete")),
    ("", "pods", ("list",)),
    ("", "configmaps", ("get", "create", "update")),
    ("", "events", ("list", "create")),
)
"""The rights of the operator, as in the chart's rbac.yaml; a test compares both."""

_LEASE_RULES = ("create", "get", "update")


def gather_operators(
    cluster: Cluster,
    deployments: Sequence[Mapping[str, Any]],
    maps: Sequence[Mapping[str, Any]],
    now: datetime | None,
    seconds: float,
) -> tuple[Operator, ...] | Unseen:
    """Return the operators; those that watch the namespace of the command come first, and the tenth is the last.

    Args:
        cluster: The cluster and the namespace.
        deployments: The Deployments of operators.
        maps: The ConfigMaps of operators.
        now: The time of the API server; None if it is unknown.
        seconds: The time limit.
    """
    watched = {id(one): _watched(one) for one in deployments}
    serving = sorted(deployments, key=lambda one: bool(watched[id(one)]) and cluster.namespace not in watched[id(one)])
    shown = enumerate(serving[:MAX_OPERATORS])
    tasks: dict[Any, Task] = {n: partial(_operator, cluster, one, maps, now, seconds) for n, one in shown}
    found = run_tasks(tasks, seconds)
    late = next((one for one in found.values() if isinstance(one, Unseen)), None)
    return late or tuple(found.values())


def _variables(deployment: Mapping[str, Any]) -> dict[str, str]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    listed = (one for container in containers for one in container.get("env") or [])
    return {one["name"]: one.get("value", "") for one in listed}


def _watched(deployment: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(one for one in _variables(deployment).get("FLEETSCORE_WATCH_NAMESPACES", "").split(",") if one)


def _operator(
    cluster: Cluster,
    deployment: Mapping[str, Any],
    maps: Sequence[Mapping[str, Any]],
    now: datetime | None,
    seconds: float,
) -> Operator:
    metadata, template = deployment["metadata"], deployment["spec"]["template"]["spec"]
    namespace, name = metadata["namespace"], metadata["name"]
    watched = _watched(deployment)
    checked = sorted(watched, key=lambda one: one != cluster.namespace)[:MAX_WATCHED] or [""]
    lease_name = _variables(deployment).get("FLEETSCORE_LEASE_NAME") or name
    account = account_name(namespace, template)
    needed = [right for one in checked for right in expand(_OPERATOR_RULES, one)]
    tasks: dict[Any, Task] = {right: review(cluster, right, account) for right in needed}
    for verb in _LEASE_RULES:
        right = Right(verb, "leases", "coordination.k8s.io", namespace)
        # The name of an object that is created cannot be compared with the names of a rule.
        tasks[right] = review(cluster, right, account, "" if verb == "create" else lease_name)
    tasks["lease"] = lambda: _lease(cluster, namespace, lease_name)
    tasks["pods"] = lambda: pods_of(cluster, deployment)
    tasks["account"] = lambda: missing_account(cluster, namespace, template)
    seen = run_tasks(tasks, seconds)
    found, lease, missing = seen.pop("pods"), seen.pop("lease"), seen.pop("account")
    pods: list[dict[str, Any]] = [] if isinstance(found, Unseen) else found
    return Operator(
        **state_of(deployment, pods, missing, now),
        version=(metadata.get("labels") or {}).get("app.kubernetes.io/version", ""),
        watches=watched,
        pods=Right("list", "pods", "", namespace).unseen()
        if isinstance(found, Unseen)
        else tuple(pod["metadata"]["name"] for pod in pods),
        outdated=reads_old_fleets(deployment, pods, maps),
        lease=lease,
        rights=reviewed(seen, checked[0]),
    )


def state_of(
    deployment: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], missing: str | Unseen, now: datetime | None
) -> dict[str, Any]:
    """Return the attributes of a Deployment in the facts, by name.

    Args:
        deployment: The Deployment.
        pods: Its pods, as far as they are known.
        missing: The name of its ServiceAccount if that does not exist; empty if it does.
        now: The time of the API server; None if it is unknown.
    """
    metadata = deployment["metadata"]
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "replicas": deployment["spec"].get("replicas", 1),
        "ready": (deployment.get("status") or {}).get("readyReplicas", 0),
        "updated": _updated_replicas(deployment),
        "blocker": first_blocker(pods) or deployment_blocker(deployment),
        "restarts": next(filter(None, (pod_restarts(pod, now) for pod in pods)), ""),
        "account": "" if isinstance(missing, Unseen) else missing,
    }


def pods_of(cluster: Cluster, deployment: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the pods of a Deployment. Raises AccessDenied without the right to list pods."""
    labels = deployment["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return list(release.list_objects(cluster, release.PODS, deployment["metadata"]["namespace"], selector=selector))


def _updated_replicas(deployment: Mapping[str, Any]) -> int:
    """Return the number of pods with the newest settings; during a rollout, of those that are ready.

    Settings that the controller has not observed have no pods. See `kubectl rollout status` for the rules.
    """
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return 0
    updated = int(status.get("updatedReplicas") or 0)
    old = int(status.get("replicas") or 0) - updated
    return min(updated, max(0, int(status.get("readyReplicas") or 0) - old)) if old > 0 else updated


def _lease(cluster: Cluster, namespace: str, name: str) -> Lease | Unseen | None:
    try:
        found = release.get_object(cluster, release.LEASES, namespace, name)
    except AccessDenied:
        return Right("get", "leases", "coordination.k8s.io", namespace).unseen()
    if found is None:
        return None
    spec = found.get("spec") or {}
    renewed = spec.get("renewTime")
    time = datetime.fromisoformat(renewed) if renewed else None
    ahead = str((found["metadata"].get("annotations") or {}).get(CLOCK_ANNOTATION, ""))
    seconds = int(ahead) if re.fullmatch(r"-?\d{1,12}", ahead) else 0
    return Lease(spec.get("holderIdentity") or "", time, spec.get("leaseDurationSeconds") or 15, seconds)


def reads_old_fleets(
    deployment: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], maps: Sequence[Mapping[str, Any]]
) -> bool:
    """Return True if the fleets file was changed without the chart since a pod of the operator has read it.

    A pod reads the file once. The chart starts other pods for other fleets, by a checksum in their annotations.

    Args:
        deployment: The Deployment of the operator.
        pods: Its pods.
        maps: The ConfigMaps of operators.
    """
    namespace, template = deployment["metadata"]["namespace"], deployment["spec"]["template"]
    checksum = ((template.get("metadata") or {}).get("annotations") or {}).get(CHECKSUM_ANNOTATION)
    volumes = template["spec"].get("volumes") or []
    mounted = {(one.get("configMap") or {}).get("name") for one in volumes}
    for one in maps:
        metadata, text = one["metadata"], (one.get("data") or {}).get(FLEETS_KEY)
        if text is None or metadata["namespace"] != namespace or metadata["name"] not in mounted:
            continue
        changed, actual = release.data_changed(one), hashlib.sha256(text.removesuffix("\n").encode()).hexdigest()
        # Both times have the form of RFC 3339 in UTC with whole seconds, so that they compare as texts.
        created = min((str(pod["metadata"].get("creationTimestamp") or "") for pod in pods), default="")
        return bool(checksum and created and checksum != actual and created < changed)
    return False
