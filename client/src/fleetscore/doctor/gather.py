"""The facts of the cluster, gathered in parallel with the user's own rights. The checks decide what they mean."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import GROUP, PLURAL, Cluster
from fleetscore.contract.schedules import SCHEDULE_LABEL, Schedule
from fleetscore.doctor.facts import Crd, Facts, Lease, Operator, ScheduleFacts, Server
from fleetscore.doctor.findings import Right, Unseen
from fleetscore.doctor.gather_fleets import gather_fleets, missing_windows
from fleetscore.doctor.parallel import run_tasks
from fleetscore.errors import AccessDenied, NotFound

WAVE_SECONDS = 10.0
"""The time limit of a wave of requests. There are three waves: objects, what they name, and storage."""

MAX_OPERATORS = 10
MAX_WATCHED = 5
"""Namespaces of an operator in which its rights are checked."""

MAX_RUNS = 5000
_OPERATOR_RULES = (
    (GROUP, PLURAL, ("get", "list", "watch", "delete")),
    (GROUP, f"{PLURAL}/status", ("patch",)),
    ("batch", "jobs", ("get", "list", "watch", "create", "patch", "delete")),
    ("", "pods", ("list",)),
    ("", "configmaps", ("get", "create", "update")),
    ("", "events", ("list", "create")),
)
"""The rights of the operator, as in the chart's rbac.yaml; a test compares both."""

_USER_RULES = (
    (GROUP, PLURAL, ("get", "list", "create", "patch")),
    ("batch", "jobs", ("list",)),
    ("", "pods", ("list",)),
    ("", "pods/log", ("get",)),
)
_LEASE_RULES = ("get", "update")
_SCHEDULER_RULES = (("batch", "jobs", ("get",)), (GROUP, PLURAL, ("create", "list")))


def gather(cluster: Cluster, client_version: str, *, use_fleet_secret: bool, environment: Mapping[str, str]) -> Facts:
    """Return the facts about the installation that serves the namespace of a cluster.

    Args:
        cluster: The cluster and the namespace.
        client_version: The version of the client.
        use_fleet_secret: True to read storage with each fleet's Secret.
        environment: The environment variables with a storage credential.
    """
    namespace = cluster.namespace
    tasks: dict[Any, Callable[[], Any]] = {
        "server": lambda: _server(cluster),
        "crd": lambda: _crd(cluster),
        "operators": lambda: _everywhere(cluster, release.DEPLOYMENTS, release.OPERATOR_SELECTOR),
        "maps": lambda: _everywhere(cluster, release.CONFIG_MAPS, release.OPERATOR_SELECTOR),
        "schedules": lambda: _everywhere(cluster, release.CRON_JOBS, SCHEDULE_LABEL),
        "schedule maps": lambda: _everywhere(cluster, release.CONFIG_MAPS, release.SCHEDULER_SELECTOR),
        "runs": lambda: [run for _, run in zip(range(MAX_RUNS), cluster.runs(), strict=False)],
    }
    tasks |= {right: _ask(cluster, right) for right in _rights(_USER_RULES, namespace)}
    seen = run_tasks(tasks, WAVE_SECONDS)
    found = seen["operators"]
    deployments = [] if isinstance(found, Unseen) else found[0][:MAX_OPERATORS]
    second = run_tasks({n: _operator_task(cluster, one) for n, one in enumerate(deployments)}, WAVE_SECONDS)
    late = next((one for one in second.values() if isinstance(one, Unseen)), None)
    third = run_tasks(
        {
            "fleets": lambda: gather_fleets(
                cluster, seen["maps"], seen["runs"],
                use_fleet_secret=use_fleet_secret, environment=environment, seconds=WAVE_SECONDS,
            ),
            "schedules": lambda: _schedules(cluster, seen),
        },
        3 * WAVE_SECONDS,
    )  # fmt: skip
    rights = {right: value for right, value in seen.items() if isinstance(right, Right)}
    refused = next((value for value in rights.values() if isinstance(value, Unseen)), None)
    return Facts(
        namespace=namespace,
        client_version=client_version,
        server=seen["server"],
        crd=seen["crd"],
        operators=found if isinstance(found, Unseen) else late or tuple(second.values()),
        others=None if isinstance(found, Unseen) else found[1],
        rights=refused or rights,
        fleets=third["fleets"],
        schedules=third["schedules"],
    )


def _server(cluster: Cluster) -> Server:
    before = datetime.now(UTC)
    response = cluster.request("/version", "get the version")
    middle = before + (datetime.now(UTC) - before) / 2
    return Server(json.loads(response.content)["gitVersion"], parsedate_to_datetime(response.headers["date"]), middle)


def _crd(cluster: Cluster) -> Crd:
    try:
        group = json.loads(cluster.request(f"/apis/{GROUP}", f"get the API group {GROUP}").content)
    except NotFound:
        return Crd(())
    served = tuple(one["version"] for one in group["versions"])
    try:
        name = f"{PLURAL}.{GROUP}"
        found = release.get_object(cluster, release.CUSTOM_RESOURCES, "", name, accept=release.METADATA_ONLY)
    except AccessDenied:
        return Crd(served, Right("get", "customresourcedefinitions", "apiextensions.k8s.io").unseen())
    return Crd(served, _labels(found or {}).get("app.kubernetes.io/version", ""))


def _everywhere(
    cluster: Cluster, kind: release.Kind, selector: str
) -> tuple[list[dict[str, Any]], Unseen | None] | Unseen:
    """Return the objects of all namespaces, or with the right missing those of the command's namespace.

    Returns:
        The objects, and the missing right if they are those of one namespace; Unseen if these cannot be listed either.
    """
    try:
        return list(release.list_objects(cluster, kind, selector=selector)), None
    except AccessDenied:
        right = Right("list", kind.resource, kind.group)
    try:
        return list(release.list_objects(cluster, kind, cluster.namespace, selector=selector)), right.unseen()
    except AccessDenied:
        return Right("list", kind.resource, kind.group, cluster.namespace).unseen()


def _rights(rules: Sequence[tuple[str, str, Sequence[str]]], namespace: str) -> Iterator[Right]:
    for group, resource, verbs in rules:
        yield from (Right(verb, resource, group, namespace) for verb in verbs)


def _ask(cluster: Cluster, right: Right, user: str = "", name: str = "") -> Callable[[], bool]:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "resource": resource,
        "subresource": subresource,
        "group": right.group,
        "namespace": right.namespace,
        "name": name,
    }
    known = {key: value for key, value in attributes.items() if value}
    return lambda: release.is_allowed(cluster, known, user=user)


def _operator_task(cluster: Cluster, deployment: Mapping[str, Any]) -> Callable[[], Operator]:
    return lambda: _operator(cluster, deployment)


def _operator(cluster: Cluster, deployment: Mapping[str, Any]) -> Operator:
    metadata, spec = deployment["metadata"], deployment["spec"]
    namespace, name, template = metadata["namespace"], metadata["name"], spec["template"]["spec"]
    listed = (one for container in template["containers"] for one in container.get("env") or [])
    variables = {one["name"]: one.get("value", "") for one in listed}
    watched = tuple(one for one in variables.get("FLEETSCORE_WATCH_NAMESPACES", "").split(",") if one)
    lease_name = variables.get("FLEETSCORE_LEASE_NAME") or name
    account = f"system:serviceaccount:{namespace}:{template.get('serviceAccountName') or 'default'}"
    selector = ",".join(f"{key}={value}" for key, value in sorted(spec["selector"]["matchLabels"].items()))
    needed = [right for one in watched[:MAX_WATCHED] or ("",) for right in _rights(_OPERATOR_RULES, one)]
    tasks: dict[Any, Callable[[], Any]] = {right: _ask(cluster, right, account) for right in needed}
    for verb in _LEASE_RULES:
        right = Right(verb, "leases", "coordination.k8s.io", namespace)
        tasks[right] = _ask(cluster, right, account, lease_name)
    tasks["lease"] = lambda: _lease(cluster, namespace, lease_name)
    tasks["pods"] = lambda: list(release.list_objects(cluster, release.PODS, namespace, selector=selector))
    seen = run_tasks(tasks, WAVE_SECONDS)
    pods = seen.pop("pods")
    lease = seen.pop("lease")
    if isinstance(pods, Unseen):
        pods = Right("list", "pods", "", namespace).unseen()
    return Operator(
        namespace=namespace,
        name=name,
        version=_labels(deployment).get("app.kubernetes.io/version", ""),
        watches=watched,
        replicas=spec.get("replicas", 1),
        ready=(deployment.get("status") or {}).get("readyReplicas", 0),
        pods=pods if isinstance(pods, Unseen) else tuple(pod["metadata"]["name"] for pod in pods),
        blocker="" if isinstance(pods, Unseen) else next(filter(None, map(pod_blocker, pods)), ""),
        lease=lease,
        rights=_reviewed(seen, watched[0] if watched else ""),
    )


def _reviewed(seen: Mapping[Any, Any], namespace: str) -> Mapping[Right, bool] | Unseen:
    """Return the reviewed rights of an account; Unseen if the user may not review those of others."""
    if not any(isinstance(value, Unseen) for value in seen.values()):
        return seen
    resource = "localsubjectaccessreviews" if namespace else "subjectaccessreviews"
    return Right("create", resource, "authorization.k8s.io", namespace).unseen()


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
    return Lease(spec.get("holderIdentity") or "", time, spec.get("leaseDurationSeconds") or 15)


def pod_blocker(pod: Mapping[str, Any]) -> str:
    """Return the reason that a pod does not run: its waiting container, or its condition; empty if it runs."""
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or []:
        state = (container.get("state") or {}).get("waiting") or (container.get("state") or {}).get("terminated")
        if state:
            return ": ".join(filter(None, (state.get("reason", ""), (state.get("message") or "")[:200])))
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return ": ".join(filter(None, (condition.get("reason", ""), (condition.get("message") or "")[:200])))
    return ""


def _schedules(cluster: Cluster, seen: Mapping[str, Any]) -> tuple[ScheduleFacts, ...] | Unseen:
    cronjobs: tuple[list[dict[str, Any]], Unseen | None] | Unseen = seen["schedules"]
    if isinstance(cronjobs, Unseen):
        return cronjobs
    settings = schedule_settings(seen["schedule maps"], cluster.namespace)
    found = []
    for one in cronjobs[0]:
        if one["metadata"]["namespace"] != cluster.namespace:
            continue  # its runs are in another namespace
        name = _labels(one)[SCHEDULE_LABEL]
        schedule = settings if isinstance(settings, Unseen) else settings.get(name)
        last = (one.get("status") or {}).get("lastScheduleTime")
        missing: Any = ()
        pod = one["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        account = f"system:serviceaccount:{cluster.namespace}:{pod.get('serviceAccountName') or 'default'}"
        reviews = {right: _ask(cluster, right, account) for right in _rights(_SCHEDULER_RULES, cluster.namespace)}
        if isinstance(schedule, Schedule):
            created = datetime.fromisoformat(one["metadata"]["creationTimestamp"])
            missing = missing_windows(schedule, created, seen["runs"])
        found.append(
            ScheduleFacts(
                namespace=cluster.namespace,
                name=name,
                cronjob=one["metadata"]["name"],
                suspended=bool(one["spec"].get("suspend")),
                last=datetime.fromisoformat(last) if last else None,
                schedule=schedule,
                missing=missing,
                rights=_reviewed(run_tasks(reviews, WAVE_SECONDS), cluster.namespace),
            )
        )
    return tuple(found)


def schedule_settings(
    maps: tuple[list[dict[str, Any]], Unseen | None] | Unseen, namespace: str
) -> Mapping[str, Schedule] | Unseen:
    """Return the schedules of a namespace by name, from the ConfigMaps of the release; Unseen without the right."""
    if isinstance(maps, Unseen):
        return maps
    return release.parse_maps(one for one in maps[0] if one["metadata"]["namespace"] == namespace)


def _labels(found: Mapping[str, Any]) -> Mapping[str, str]:
    labels: Mapping[str, str] = (found.get("metadata") or {}).get("labels") or {}
    return labels
