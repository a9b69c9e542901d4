"""The facts of the cluster, gathered in parallel with the user's own rights. The checks decide what they mean."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import GROUP, PLURAL, Cluster
from fleetscore.contract.fleets import FILES_SELECTOR
from fleetscore.contract.schedules import SCHEDULE_LABEL
from fleetscore.doctor.facts import Facts, Server
from fleetscore.doctor.findings import Result, Right, Unseen
from fleetscore.doctor.gather_consoles import gather_consoles
from fleetscore.doctor.gather_crd import read_crd
from fleetscore.doctor.gather_fleets import FoundFleets, Options, gather_fleets
from fleetscore.doctor.gather_operators import gather_operators
from fleetscore.doctor.gather_schedules import gather_schedules
from fleetscore.doctor.parallel import Task, run_tasks, unseen_error
from fleetscore.doctor.reviews import expand, review
from fleetscore.errors import AccessDenied, TooLarge

_USER_RULES = (
    (GROUP, PLURAL, ("get", "list", "create", "patch")),
    ("batch", "jobs", ("list",)),
    ("", "pods", ("list",)),
    ("", "pods/log", ("get",)),
)


def gather(cluster: Cluster, client_version: str, options: Options) -> Facts:
    """Return the facts about the installation that serves the namespace of a cluster.

    There are three waves of requests: objects, what they name, and storage.

    Args:
        cluster: The cluster and the namespace.
        client_version: The version of the client.
        options: The options of the command.
    """
    namespace, seconds = cluster.namespace, options.seconds
    tasks: dict[Any, Task] = {
        "server": lambda: _server(cluster),
        "phase": lambda: _phase(cluster),
        "crd": lambda: read_crd(cluster),
        "deployments": lambda: _everywhere(cluster, release.DEPLOYMENTS, release.DEPLOYMENT_SELECTOR),
        "maps": lambda: _everywhere(cluster, release.CONFIG_MAPS, FILES_SELECTOR),
        "schedules": lambda: _everywhere(cluster, release.CRON_JOBS, SCHEDULE_LABEL),
        "schedule maps": lambda: _everywhere(cluster, release.CONFIG_MAPS, release.SCHEDULER_SELECTOR),
        "runs": lambda: _runs(cluster),
    }
    tasks |= {right: review(cluster, right) for right in expand(_USER_RULES, namespace)}
    seen = run_tasks(tasks, seconds)
    deployments, maps, server = seen["deployments"], seen["maps"], seen["server"]
    now = server.time if isinstance(server, Server) else None
    listed = [] if isinstance(maps, Unseen) else maps[0]
    others: dict[Any, Task] = {
        "fleets": lambda: gather_fleets(cluster, maps, seen["runs"], options),
        "schedules": lambda: gather_schedules(
            cluster, seen["schedules"], seen["schedule maps"], maps, seen["runs"], now, seconds
        ),
    }
    if not isinstance(deployments, Unseen):
        operators, consoles = (_of_component(deployments[0], name) for name in ("operator", "console"))
        others["operators"] = lambda: gather_operators(cluster, operators, listed, now, seconds)
        others["consoles"] = lambda: gather_consoles(cluster, consoles, now, seconds)
    found = run_tasks(others, 3 * seconds)
    rights = {right: value for right, value in seen.items() if isinstance(right, Right)}
    rejected = next((value for value in rights.values() if isinstance(value, Unseen)), None)
    fleets = found["fleets"] if isinstance(found["fleets"], FoundFleets) else FoundFleets(found["fleets"])
    return Facts(
        namespace=namespace,
        client_version=client_version,
        server=server,
        crd=seen["crd"],
        operators=found.get("operators", deployments),
        others=None if isinstance(deployments, Unseen) else deployments[1],
        rights=rejected or rights,
        fleets=fleets.fleets,
        schedules=found["schedules"],
        consoles=found.get("consoles", ()),
        phase=seen["phase"],
        fleet=options.fleet,
        other_fleets=fleets.others,
        stray_runs=fleets.strays,
    )


def _of_component(deployments: Iterable[dict[str, Any]], component: str) -> list[dict[str, Any]]:
    return [one for one in deployments if one["metadata"]["labels"].get(release.COMPONENT_LABEL) == component]


def _server(cluster: Cluster) -> Server:
    before = datetime.now(UTC)
    response = cluster.request("/version", "get the version")
    middle = before + (datetime.now(UTC) - before) / 2
    return Server(json.loads(response.content)["gitVersion"], parsedate_to_datetime(response.headers["date"]), middle)


def _runs(cluster: Cluster) -> list[dict[str, Any]] | Unseen:
    try:
        return list(cluster.runs())
    except AccessDenied:
        return Right("list", PLURAL, GROUP, cluster.namespace).unseen()


def _phase(cluster: Cluster) -> str | Unseen:
    """Return the phase of the namespace; empty if it does not exist."""
    try:
        found = release.get_object(cluster, release.NAMESPACES, "", cluster.namespace)
    except AccessDenied:
        return Right("get", "namespaces", "", cluster.namespace).unseen()
    return str((found.get("status") or {}).get("phase", "Active")) if found else ""


def _everywhere(
    cluster: Cluster, kind: release.Kind, selector: str
) -> tuple[list[dict[str, Any]], Unseen | None] | Unseen:
    """Return the objects of all namespaces; if they cannot be listed, those of the command's namespace.

    Returns:
        The objects, and the reason if they are those of one namespace; Unseen if these cannot be listed either.
    """
    try:
        return list(release.list_objects(cluster, kind, selector=selector)), None
    except AccessDenied:
        missing = Right("list", kind.resource, kind.group).unseen()
    except TooLarge as error:  # users of other namespaces can create any number of objects with the labels
        missing = replace(unseen_error(error), result=Result.UNKNOWN)
    try:
        return list(release.list_objects(cluster, kind, cluster.namespace, selector=selector)), missing
    except AccessDenied:
        return Right("list", kind.resource, kind.group, cluster.namespace).unseen()
