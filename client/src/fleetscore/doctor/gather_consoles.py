"""The facts of the consoles of a namespace: their Deployments, pods, Secrets, and their own access to storage."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import Cluster
from fleetscore.contract.console_log import last_fault
from fleetscore.doctor.facts import ConsoleFacts, SecretKey
from fleetscore.doctor.findings import Right, Unseen
from fleetscore.doctor.gather_fleets import read_secret
from fleetscore.doctor.gather_operators import pods_of, state_of
from fleetscore.doctor.parallel import Task, run_tasks
from fleetscore.doctor.reviews import missing_account
from fleetscore.errors import AccessDenied, FleetscoreError

MAX_CONSOLES = 20
MAX_PODS = 3
LOG_LINES = 200
MAX_LOG_BYTES = 2**20


def gather_consoles(
    cluster: Cluster, deployments: Sequence[Mapping[str, Any]], now: datetime | None, seconds: float
) -> tuple[ConsoleFacts, ...] | Unseen:
    """Return the consoles of the namespace of a cluster, at most MAX_CONSOLES.

    Args:
        cluster: The cluster and the namespace.
        deployments: The Deployments of consoles.
        now: The time of the API server; None if it is unknown.
        seconds: The time limit.
    """
    own = {one["metadata"]["name"]: one for one in deployments if one["metadata"]["namespace"] == cluster.namespace}
    ports = _service_ports(cluster)
    tasks: dict[Any, Task] = {
        name: partial(_console, cluster, own.get(name), name, ports.get(name, 0), now, seconds)
        for name in sorted({*own, *ports})[:MAX_CONSOLES]
    }
    found = run_tasks(tasks, 2 * seconds)
    late = next((one for one in found.values() if isinstance(one, Unseen)), None)
    return late or tuple(found.values())


def _service_ports(cluster: Cluster) -> dict[str, int]:
    """Return the port of the Service of each console by its name; none without the right to list Services."""
    try:
        listed = list(
            release.list_objects(cluster, release.SERVICES, cluster.namespace, selector=release.CONSOLE_SELECTOR)
        )
    except FleetscoreError:
        return {}
    ports = {one["metadata"]["name"]: (one.get("spec") or {}).get("ports") or [{}] for one in listed}
    return {name: int(found[0].get("port", 0)) for name, found in ports.items()}


def _console(
    cluster: Cluster,
    deployment: Mapping[str, Any] | None,
    name: str,
    port: int,
    now: datetime | None,
    seconds: float,
) -> ConsoleFacts:
    namespace = cluster.namespace
    if deployment is None:
        return ConsoleFacts(namespace, name, exists=False, port=port)
    template = deployment["spec"]["template"]["spec"]
    key = _secret_key(template, namespace)
    tasks: dict[Any, Task] = {
        "pods": lambda: pods_of(cluster, deployment),
        "account": lambda: missing_account(cluster, namespace, template),
    }
    if key:
        tasks["secret"] = lambda: read_secret(cluster, key)
    seen = run_tasks(tasks, seconds)
    found, secret = seen["pods"], seen.get("secret", (None, ""))
    pods = [] if isinstance(found, Unseen) else [one for one in found if not one["metadata"].get("deletionTimestamp")]
    state, changed = (secret, "") if isinstance(secret, Unseen) else secret
    starts = [start for pod in pods if (start := _started(pod))]
    return ConsoleFacts(
        **state_of(deployment, pods, seen["account"], now),
        port=port,
        storage_fault=Right("list", "pods", "", namespace).unseen()
        if isinstance(found, Unseen)
        else _storage_fault(cluster, pods),
        secret=key,
        secret_state=state,
        # Both times have the form of RFC 3339 in UTC with whole seconds, so that they compare as texts.
        outdated=bool(changed and starts and min(starts) < changed),
    )


def _secret_key(template: Mapping[str, Any], namespace: str) -> SecretKey | None:
    """Return the key with the storage credential; None for an identity."""
    for variable in template["containers"][0].get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if reference and variable["name"].startswith("AZURE_STORAGE_"):
            return SecretKey(namespace, reference["name"], reference["key"])
    return None


def _started(pod: Mapping[str, Any]) -> str:
    """Return the time at which the container of a pod has read its environment; empty if it does not run."""
    containers = (pod.get("status") or {}).get("containerStatuses") or [{}]
    running = (containers[0].get("state") or {}).get("running") or {}
    return str(running.get("startedAt") or "")


def _storage_fault(cluster: Cluster, pods: Sequence[Mapping[str, Any]]) -> str | Unseen:
    """Return the reason that a running pod cannot read storage, by its log; empty without one."""
    for pod in [one for one in pods if _started(one)][:MAX_PODS]:
        metadata = pod["metadata"]
        path = f"{release.PODS.path(cluster.namespace, metadata['name'])}/log"
        query = {"tailLines": str(LOG_LINES), "limitBytes": str(MAX_LOG_BYTES)}
        try:
            response = cluster.request(path, "get the log of a console", query=query, accept="*/*")
        except AccessDenied:
            return Right("get", "pods/log", "", cluster.namespace).unseen()
        except FleetscoreError:
            continue  # the pod has just ended
        if fault := last_fault(response.content.decode(errors="replace").splitlines()):
            return fault
    return ""
