"""The facts of fleets: storage, Secrets, models, notices, and the windows of schedules, gathered in parallel."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import yaml

from fleetscore.cluster import release
from fleetscore.cluster.connection import FLEETS_KEY, Cluster
from fleetscore.contract import blob_paths
from fleetscore.contract.fleets import FleetLayout, parse_fleets
from fleetscore.contract.schedules import Schedule
from fleetscore.contract.windows import Window
from fleetscore.doctor.facts import Container, Fleet, Models, Notices, SecretKey, SecretState
from fleetscore.doctor.findings import Right, Unseen
from fleetscore.doctor.parallel import run_tasks, unseen_error
from fleetscore.errors import AccessDenied, DataInvalid, FleetscoreError, NotFound, UsageInvalid
from fleetscore.runs.gaps import MISSING, began, due_windows, window_states
from fleetscore.store.azure import CONNECTION_STRING_VARIABLE, SAS_TOKEN_VARIABLE, AzureStore, error_code
from fleetscore.store.base import Store
from fleetscore.store.endpoints import is_azure_endpoint

MAX_FLEETS = 20
MAX_MODELS = 1000
MAX_DUE_WINDOWS = 48
MAX_OUTBOX_BYTES = 8 * 2**20
MAX_SUMMARY_BYTES = 2**20
PROBE_NAME = "_fleetscore-doctor"
"""The name of a blob that does not exist: reading it shows whether its container can be read."""

_NETWORK_CODES = ("AuthorizationFailure",)


def gather_fleets(
    cluster: Cluster,
    maps: Any,
    runs: Any,
    *,
    use_fleet_secret: bool,
    environment: Mapping[str, str],
    seconds: float,
) -> tuple[Fleet, ...] | Unseen:
    """Return the fleets that serve the namespace of a cluster.

    Args:
        cluster: The cluster and the namespace.
        maps: The ConfigMaps of the operators, and the right that was missing; Unseen without any right.
        runs: The runs of the namespace as JSON, or Unseen.
        use_fleet_secret: True to read storage with each fleet's Secret.
        environment: The environment variables with a storage credential.
        seconds: The time limit.
    """
    if isinstance(maps, Unseen):
        return maps
    datas = {one["metadata"]["namespace"]: one.get("data") or {} for one in maps[0]}
    documents = {namespace: data[FLEETS_KEY] for namespace, data in datas.items() if FLEETS_KEY in data}
    if not documents and maps[1]:
        return Unseen(f"namespace {cluster.namespace} has no fleets, and {maps[1].reason}", maps[1].cure)
    entries: list[tuple[str, dict[str, Any], FleetLayout]] = []
    for namespace, text in documents.items():
        document = yaml.safe_load(text)
        layouts = parse_fleets(document)
        entries += [(namespace, one, layouts[one["name"]]) for one in document["fleets"]]
    serving = [one for one in entries if cluster.namespace in one[2].namespaces][:MAX_FLEETS]
    newest = {} if isinstance(runs, Unseen) else _newest_runs(runs)
    tasks: dict[Any, Callable[[], Any]] = {}
    for number, (namespace, entry, layout) in enumerate(serving):
        tasks[number] = _fleet_task(
            cluster, namespace, entry, layout, newest.get(layout.name), environment,
            use_fleet_secret=use_fleet_secret, seconds=seconds,
        )  # fmt: skip
    found = run_tasks(tasks, 2 * seconds)
    return tuple(
        one if isinstance(one, Fleet) else Fleet(layout, {"models": one})
        for (_, _, layout), one in zip(serving, found.values(), strict=True)
    )


def _newest_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the run of each fleet that was created last."""
    ordered = sorted(runs, key=lambda run: str(run["metadata"].get("creationTimestamp")))
    return {run["spec"].get("fleet", "default"): run for run in ordered}


def _fleet_task(
    cluster: Cluster,
    release_namespace: str,
    entry: Mapping[str, Any],
    layout: FleetLayout,
    newest: Mapping[str, Any] | None,
    environment: Mapping[str, str],
    *,
    use_fleet_secret: bool,
    seconds: float,
) -> Callable[[], Fleet]:
    def task() -> Fleet:
        receivers = entry.get("notify") or []
        secrets = _secret_keys(layout, receivers, cluster.namespace, release_namespace)
        tasks: dict[Any, Callable[[], Any]] = {key: _secret_task(cluster, key) for key in secrets}
        store, tasks_of_store = _storage_tasks(
            cluster, layout, newest, environment, use_fleet_secret=use_fleet_secret, notices=bool(receivers)
        )
        seen = run_tasks({**tasks, **tasks_of_store}, seconds)
        containers = dict.fromkeys(layout.containers, store) if isinstance(store, Container | Unseen) else {}
        for role in layout.containers:
            containers[role] = seen.get(("container", role), containers.get(role, Container()))
        models, notices = seen.get("models"), seen.get("notices")
        return Fleet(
            layout=layout,
            containers=containers,
            models=models if isinstance(models, Models) else None,
            secrets={key: seen[key] for key in secrets},
            receivers=tuple(str(one.get("name")) for one in receivers),
            notices=notices if isinstance(notices, Notices) else None,
            newest_run=newest,
        )

    return task


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
        try:
            found = release.get_object(cluster, release.SECRETS, key.namespace, key.name, accept=release.METADATA_ONLY)
        except AccessDenied:
            return Right("get", "secrets", "", key.namespace).unseen()
        return SecretState.MISSING if found is None else secret_state(found, key.key)

    return task


def secret_state(metadata: Mapping[str, Any], key: str) -> SecretState:
    """Return whether a Secret has a key, by the names of fields that its writers own; its values are not read.

    Args:
        metadata: The metadata of the Secret; `managedFields` has the names of its keys.
        key: The key.
    """
    owned = [one.get("fieldsV1") or {} for one in metadata["metadata"].get("managedFields") or []]
    keys = {name for one in owned for name in one.get("f:data") or {}}
    return SecretState.WITHOUT_KEY if keys and f"f:{key}" not in keys else SecretState.PRESENT


def _storage_tasks(
    cluster: Cluster,
    layout: FleetLayout,
    newest: Mapping[str, Any] | None,
    environment: Mapping[str, str],
    *,
    use_fleet_secret: bool,
    notices: bool,
) -> tuple[Store | Container | Unseen, dict[Any, Callable[[], Any]]]:
    """Return the store of a fleet, or the reason that it has none, and the tasks that read it."""
    if use_fleet_secret and layout.secret:
        variable = CONNECTION_STRING_VARIABLE if layout.secret.kind == "connectionString" else SAS_TOKEN_VARIABLE
        try:
            environment = {variable: cluster.secret_value(layout.secret)}
        except AccessDenied:
            return Right("get", "secrets", "", cluster.namespace).unseen(), {}
        except NotFound as error:
            return Container(*_parts(error)), {}
    has_key = bool(environment.get(CONNECTION_STRING_VARIABLE) or environment.get(SAS_TOKEN_VARIABLE))
    if layout.account_url and not (
        environment.get(CONNECTION_STRING_VARIABLE) or is_azure_endpoint(layout.account_url)
    ):
        text = f"{layout.account_url} is not an endpoint of Azure Storage, and gets no token of this user"
        return Unseen(text, f"use --use-fleet-secret, or set {CONNECTION_STRING_VARIABLE}"), {}
    try:
        store = AzureStore.connect(layout.account_url, layout.containers, environment=environment)
    except UsageInvalid as error:
        return Container(*_parts(error)), {}
    tasks: dict[Any, Callable[[], Any]] = {
        ("container", role): _container_task(store, role, layout, has_key=has_key) for role in layout.containers
    }
    tasks["models"] = lambda: read_models(store, layout)
    if notices:
        tasks["notices"] = lambda: read_notices(store, layout.name, newest)
    return store, tasks


def _container_task(store: Store, role: str, layout: FleetLayout, *, has_key: bool) -> Callable[[], Container | Unseen]:
    def task() -> Container | Unseen:
        try:
            store.read(role, PROBE_NAME)
        except FleetscoreError as error:
            return access_failure(error, store.location, layout.containers[role], has_key=has_key)
        return Container()

    return task


def access_failure(error: FleetscoreError, location: str, container: str, *, has_key: bool) -> Container | Unseen:
    """Return the reason that a container cannot be read: a problem of the fleet, or a missing role of the user.

    Args:
        error: The error of the store.
        location: The storage account.
        container: The name of the container.
        has_key: True if storage is read with a key or a SAS token, False for the user's own identity.
    """
    if not isinstance(error, AccessDenied):
        return Container(*_parts(error))
    code = error_code(error.__cause__)
    if has_key:
        cure = "copy the key again into the fleet's Secret; with `sas`, make a token that has not expired"
        if code in _NETWORK_CODES:
            cure += "; if the key is right, add this network to the account's firewall"
        return Container(f"{location} rejects the key ({code or 'AuthenticationFailed'})", cure)
    if code in _NETWORK_CODES:
        return unseen_error(error)
    cure = f"`az login` as an identity with the role Storage Blob Data Reader on {location}, or use --use-fleet-secret"
    return Unseen(f"this user may not read container {container}" + (f" ({code})" if code else ""), cure)


def read_models(store: Store, layout: FleetLayout) -> Models:
    """Return the number of devices with a model among the first blobs, and names that denote no device."""
    devices, others = 0, []
    for info in islice(store.list("models", layout.models_path.partition("{")[0]), MAX_MODELS):
        if blob_paths.device_from_name(layout.models_path, info.name) is not None:
            devices += 1
        else:
            others.append(info.name)
    if not devices and not others:
        others = [info.name for info in islice(store.list("models"), 3)]
    return Models(devices, tuple(others[:4]), MAX_MODELS)


def read_notices(store: Store, fleet: str, newest: Mapping[str, Any] | None) -> Notices:
    """Return the notices that wait in the outbox of a fleet, and the problems in the report of its newest run."""
    outbox = _document(store, f"_outbox/{blob_paths.encode_id(fleet)}.json", MAX_OUTBOX_BYTES)
    problems: list[str] = []
    if newest is not None:
        window = newest["spec"]["window"]
        name = blob_paths.report_name(Window.parse(f"{window['start']}/{window['end']}"), blob_paths.SUMMARY_FILE)
        found = _document(store, name, MAX_SUMMARY_BYTES).get("problems") or []
        problems = [str(one) for one in found if any(word in str(one) for word in ("notice", "receiver", "outbox"))]
    pending = Counter(str(one[0]) for one in outbox.get("pending") or [])
    return Notices(dict(pending), int(outbox.get("dropped") or 0), tuple(problems[:3]))


def _document(store: Store, name: str, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object of a blob; an empty one if it does not exist or is damaged."""
    try:
        blob = store.read("predictions", name, max_bytes=max_bytes)
        found = json.loads(blob.content) if blob else {}
    except (ValueError, RecursionError, DataInvalid):
        return {}
    return found if isinstance(found, dict) else {}


def missing_windows(schedule: Schedule, created: datetime, runs: Any) -> tuple[Window, ...] | Unseen:
    """Return the due windows of a schedule without a run.

    Args:
        schedule: The schedule.
        created: The time at which its CronJob was created.
        runs: The runs of the namespace as JSON, or Unseen.
    """
    if isinstance(runs, Unseen):
        return runs
    due = due_windows(schedule, created=began(schedule, created, runs), now=datetime.now(UTC), count=MAX_DUE_WINDOWS)
    return tuple(one.window for one in window_states(due, runs, schedule) if one.state == MISSING)


def _parts(error: FleetscoreError) -> tuple[str, str]:
    found = unseen_error(error)
    return found.reason, found.cure
