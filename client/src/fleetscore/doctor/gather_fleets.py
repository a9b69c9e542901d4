"""The facts of fleets: their runs, Secrets, accounts and storage, gathered in parallel."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import FLEETS_KEY, Cluster
from fleetscore.contract.documents import parse_yaml
from fleetscore.contract.fleets import MAX_FILES_CHARS, FleetLayout, parse_fleets
from fleetscore.doctor.facts import Account, Container, FleetFacts, Models, Notices, SecretKey, SecretState
from fleetscore.doctor.findings import Result, Right, Unseen
from fleetscore.doctor.gather_storage import storage_tasks
from fleetscore.doctor.parallel import Task, run_tasks, unseen_error
from fleetscore.errors import AccessDenied, FleetscoreError
from fleetscore.runs.state import has_ended

MAX_FLEETS = 20
MAX_ACTIVE_RUNS = 20
CLIENT_ID_ANNOTATION = "azure.workload.identity/client-id"
CLIENT_ID_VARIABLE = "AZURE_CLIENT_ID"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command, and the limits of its requests.

    Attributes:
        environment: The environment variables with a storage credential.
        use_fleet_secret: True to read storage with each fleet's Secret.
        fleet: The name of the fleet to check; empty for all.
        seconds: The time limit.
    """

    environment: Mapping[str, str]
    use_fleet_secret: bool = False
    fleet: str = ""
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class FoundFleets:
    """The fleets that serve a namespace, the number of those that were not checked, and runs of unknown fleets."""

    fleets: tuple[FleetFacts, ...] | Unseen
    others: int = 0
    strays: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def gather_fleets(cluster: Cluster, maps: Any, runs: Any, options: Options) -> FoundFleets:
    """Return the fleets that serve the namespace of a cluster.

    Args:
        cluster: The cluster and the namespace.
        maps: The ConfigMaps of the operators, and the right that was missing; Unseen without any right.
        runs: The runs of the namespace as JSON, or Unseen.
        options: The options of the command.
    """
    if isinstance(maps, Unseen):
        return FoundFleets(maps)
    entries, fault = read_entries(maps[0])
    serving = [one for one in entries if cluster.namespace in one.layout.namespaces]
    if not serving and (fault or (not entries and maps[1])):
        missing = maps[1] and Unseen(f"namespace {cluster.namespace} has no fleets, and {maps[1].reason}", maps[1].cure)
        return FoundFleets(fault or missing)
    names = {one.layout.name for one in serving}
    found_runs: Sequence[Mapping[str, Any]] = () if isinstance(runs, Unseen) else runs
    by_fleet = runs_by_fleet(found_runs)
    strays = {name: listed[-1] for name, listed in by_fleet.items() if name not in names and not maps[1]}
    wanted = [one for one in serving if options.fleet in ("", one.layout.name)]
    tasks: dict[Any, Task] = {
        number: _fleet_task(cluster, one, by_fleet.get(one.layout.name, []), options)
        for number, one in enumerate(wanted[:MAX_FLEETS])
    }
    found = run_tasks(tasks, 2 * options.seconds)
    fleets = tuple(
        one if isinstance(one, FleetFacts) else FleetFacts(entry.layout, {"models": one})
        for entry, one in zip(wanted[:MAX_FLEETS], found.values(), strict=True)
    )
    return FoundFleets(fleets, len(wanted[MAX_FLEETS:]), {} if options.fleet else strays)


@dataclass(frozen=True, slots=True)
class Entry:
    """A fleet of a fleets file: the namespace of its release, its settings and its layout."""

    namespace: str
    settings: Mapping[str, Any]
    layout: FleetLayout


def read_entries(maps: Iterable[Mapping[str, Any]]) -> tuple[list[Entry], Unseen | None]:
    """Return the fleets of all readable fleets files, and the first fault of the others.

    Args:
        maps: The ConfigMaps of operators.
    """
    entries: list[Entry] = []
    fault: Unseen | None = None
    size = 0
    for one in maps:
        metadata, text = one["metadata"], (one.get("data") or {}).get(FLEETS_KEY)
        if text is None:
            continue
        place = f"{FLEETS_KEY} of ConfigMap {metadata['name']} in namespace {metadata['namespace']}"
        size += len(text)
        if size > MAX_FILES_CHARS:
            reason = f"the fleets files have more than {MAX_FILES_CHARS:,} characters; {place} was not read"
            return entries, Unseen(reason, "delete the fleets files that no release has", Result.PROBLEM)
        try:
            document: Any = parse_yaml(text, place)
            layouts = parse_fleets(document, place)
        except FleetscoreError as error:
            fault = unseen_error(error)
            continue
        entries += [Entry(metadata["namespace"], found, layouts[found["name"]]) for found in document["fleets"]]
    return entries, fault


def runs_by_fleet(runs: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the runs of each fleet, the oldest first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for run in sorted(runs, key=lambda one: str(one["metadata"].get("creationTimestamp"))):
        found.setdefault(run["spec"].get("fleet", "default"), []).append(run)
    return found


def _fleet_task(
    cluster: Cluster, entry: Entry, runs: Sequence[Mapping[str, Any]], options: Options
) -> Callable[[], FleetFacts]:
    newest = runs[-1] if runs else None

    def task() -> FleetFacts:
        layout, receivers = entry.layout, entry.settings.get("notify") or []
        secrets = _secret_keys(layout, receivers, cluster.namespace, entry.namespace)
        tasks: dict[Any, Task] = {key: _secret_task(cluster, key) for key in secrets}
        tasks["account"] = lambda: read_account(cluster, entry)
        store, tasks_of_store = storage_tasks(
            cluster,
            layout,
            options.environment,
            use_fleet_secret=options.use_fleet_secret,
            notices=bool(receivers),
        )
        seen = run_tasks({**tasks, **tasks_of_store}, options.seconds)
        containers = dict.fromkeys(layout.containers, store) if isinstance(store, Container | Unseen) else {}
        for role in layout.containers:
            containers[role] = seen.get(("container", role), containers.get(role, Container()))
        models, notices = seen.get("models"), seen.get("notices")
        return FleetFacts(
            layout=layout,
            containers=containers,
            models=models if isinstance(models, Models) else None,
            secrets={key: seen[key] for key in secrets},
            receivers=tuple(str(one.get("name")) for one in receivers),
            notices=notices if isinstance(notices, Notices) else None,
            newest_run=newest,
            active_runs=tuple(one for one in runs[:-1] if not has_ended(one))[:MAX_ACTIVE_RUNS],
            account=seen["account"],
        )

    return task


def read_account(cluster: Cluster, entry: Entry) -> Account | Unseen | None:
    """Return the ServiceAccount of the pods of a fleet in the namespace; None if the fleets file names none.

    Args:
        cluster: The cluster and the namespace.
        entry: The fleet.
    """
    scorer = entry.settings.get("scorer") or {}
    name, namespace = scorer.get("serviceAccountName"), cluster.namespace
    if not name:
        return None
    try:
        found = release.get_object(cluster, release.SERVICE_ACCOUNTS, namespace, name, accept=release.METADATA_ONLY)
    except AccessDenied:
        return Right("get", "serviceaccounts", "", namespace).unseen()
    if found is None:
        cure = f"`helm upgrade` creates it again, or `kubectl -n {namespace} create serviceaccount {name}`"
        return Account(name, f"ServiceAccount {name} does not exist in namespace {namespace}", cure)
    auth = (entry.settings.get("storage") or {}).get("auth", "workloadIdentity")
    variables = {one.get("name") for one in scorer.get("extraEnv") or []}
    if auth != "workloadIdentity" or CLIENT_ID_VARIABLE in variables:
        return Account(name)
    if not (found["metadata"].get("annotations") or {}).get(CLIENT_ID_ANNOTATION):
        text = f"ServiceAccount {name} in namespace {namespace} has no annotation {CLIENT_ID_ANNOTATION}"
        return Account(name, text, "set azure.workloadIdentity.clientId in the chart's values")
    return Account(name)


def _secret_keys(
    layout: FleetLayout, receivers: Sequence[Mapping[str, Any]], namespace: str, release_namespace: str
) -> list[SecretKey]:
    """Return the keys of the Secrets of a fleet: pods of its runs use them, and the operator uses one."""
    own = layout.secret
    found = [SecretKey(one, own.name, own.key) for one in (namespace, release_namespace)] if own else []
    for receiver in receivers:
        references = [receiver[key] for key in ("urlFrom", "keyFrom") if key in receiver]
        found += [SecretKey(namespace, one["name"], one["key"]) for one in references]
    return list(dict.fromkeys(found))


def _secret_task(cluster: Cluster, key: SecretKey) -> Callable[[], SecretState | Unseen]:
    def task() -> SecretState | Unseen:
        return read_secret(cluster, key)[0]

    return task


def read_secret(cluster: Cluster, key: SecretKey) -> tuple[SecretState | Unseen, str]:
    """Return the state of a key of a Secret, and the time of the Secret's last change; empty if it is unknown."""
    try:
        found = release.get_object(cluster, release.SECRETS, key.namespace, key.name, accept=release.METADATA_ONLY)
    except AccessDenied:
        return Right("get", "secrets", "", key.namespace).unseen(), ""
    if found is None:
        return SecretState.MISSING, ""
    return secret_state(found, key.key), release.data_changed(found)


def secret_state(metadata: Mapping[str, Any], key: str) -> SecretState:
    """Return whether a Secret has a key, by the names of fields that its writers own; its values are not read.

    Args:
        metadata: The metadata of the Secret; `managedFields` has the names of its keys.
        key: The key.
    """
    owned = [one.get("fieldsV1") or {} for one in metadata["metadata"].get("managedFields") or []]
    keys = {name for one in owned for name in one.get("f:data") or {}}
    return SecretState.WITHOUT_KEY if any(owned) and f"f:{key}" not in keys else SecretState.PRESENT
