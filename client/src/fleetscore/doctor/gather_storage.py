"""The facts of the storage of a fleet: its containers, models and notices, read with a credential of the user."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from fleetscore.cluster.connection import Cluster
from fleetscore.contract import blob_paths
from fleetscore.contract.fleets import FleetLayout, SecretReference
from fleetscore.doctor.facts import Container, Models, Notices
from fleetscore.doctor.findings import Right, Unseen
from fleetscore.doctor.parallel import Task, unseen_error
from fleetscore.errors import AccessDenied, DataInvalid, FleetscoreError, NotFound, UsageInvalid
from fleetscore.store.azure import CONNECTION_STRING_VARIABLE, SAS_TOKEN_VARIABLE, AzureStore, error_code
from fleetscore.store.base import Store
from fleetscore.store.causes import credential_fault
from fleetscore.store.endpoints import is_azure_endpoint

MAX_MODELS = 1000
MAX_OUTBOX_BYTES = 8 * 2**20
PROBE_NAME = "_fleetscore-doctor"
"""The name of a blob that does not exist: reading it shows whether its container can be read."""

_NETWORK_CODES = ("AuthorizationFailure",)
_KEY_CURES = {
    "KeyBasedAuthenticationNotPermitted": "the account permits no keys: set storage.auth to workloadIdentity",
    "AuthorizationPermissionMismatch": "make a SAS token with the permissions to read and to list (`--permissions rl`)",
    "AuthorizationSourceIPMismatch": "make a SAS token that admits the addresses of the cluster and of this machine",
    "AuthorizationProtocolMismatch": "make a SAS token for the protocol of the account URL",
    "AuthorizationServiceMismatch": "make a SAS token for the blob service",
    "AuthorizationResourceTypeMismatch": "make a SAS token for containers and objects",
    "AccountIsDisabled": "enable the storage account, or its subscription",
}
"""The next step of a code that no other key of the same kind removes."""


def storage_tasks(
    cluster: Cluster,
    layout: FleetLayout,
    environment: Mapping[str, str],
    *,
    use_fleet_secret: bool,
    notices: bool,
) -> tuple[Store | Container | Unseen, dict[Any, Task]]:
    """Return the store of a fleet, or the reason that it has none, and the tasks that read it."""
    if use_fleet_secret and layout.secret:
        found = _secret_environment(cluster, layout.secret)
        if isinstance(found, Container | Unseen):
            return found, {}
        environment = found
    has_key = bool(environment.get(CONNECTION_STRING_VARIABLE) or environment.get(SAS_TOKEN_VARIABLE))
    if layout.account_url and not (
        environment.get(CONNECTION_STRING_VARIABLE) or is_azure_endpoint(layout.account_url)
    ):
        text = f"{layout.account_url} is not an endpoint of Azure Storage, and gets no token of this user"
        return Unseen(text, f"use --use-fleet-secret, or set {CONNECTION_STRING_VARIABLE}"), {}
    try:
        store = AzureStore.connect(layout.account_url, layout.containers, environment=environment)
    except UsageInvalid as error:
        return Container(*reason_and_cure(error)), {}
    tasks: dict[Any, Task] = {
        ("container", role): _container_task(store, role, layout, has_key=has_key) for role in layout.containers
    }
    tasks["models"] = lambda: read_models(store, layout)
    if notices:
        tasks["notices"] = lambda: read_notices(store, layout.name)
    return store, tasks


def _container_task(store: Store, role: str, layout: FleetLayout, *, has_key: bool) -> Callable[[], Container | Unseen]:
    def task() -> Container | Unseen:
        try:
            store.read(role, PROBE_NAME)
        except FleetscoreError as error:
            return access_failure(error, store.location, layout.containers[role], has_key=has_key)
        return Container()

    return task


def _secret_environment(cluster: Cluster, reference: SecretReference) -> Mapping[str, str] | Container | Unseen:
    """Return the environment with the credential of a fleet's Secret, or the reason that it cannot be used."""
    place = f"key {reference.key} of Secret {reference.name}"
    try:
        text = cluster.secret_value(reference)
    except AccessDenied:
        return Right("get", "secrets", "", cluster.namespace).unseen()
    except (NotFound, DataInvalid) as error:
        return Container(*reason_and_cure(error))
    if fault := credential_fault(reference.kind, text, datetime.now(UTC)):
        return Container(f"{place} is invalid: {fault[0]}", fault[1])
    return {CONNECTION_STRING_VARIABLE if reference.kind == "connectionString" else SAS_TOKEN_VARIABLE: text}


def access_failure(error: FleetscoreError, location: str, container: str, *, has_key: bool) -> Container | Unseen:
    """Return the reason that a container cannot be read: a problem of the fleet, or a missing role of the user.

    Args:
        error: The error of the store.
        location: The storage account.
        container: The name of the container.
        has_key: True if storage is read with a key or a SAS token, False for the user's own identity.
    """
    if not isinstance(error, AccessDenied):
        return Container(*reason_and_cure(error))
    code = error_code(error.__cause__)
    if has_key:
        copy = "copy the key again into the fleet's Secret; with `sas`, make a token that has not expired"
        cure = _KEY_CURES.get(code, copy)
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


def read_notices(store: Store, fleet: str) -> Notices:
    """Return the notices that wait in the outbox of a fleet."""
    outbox = _document(store, f"_outbox/{blob_paths.encode_id(fleet)}.json", MAX_OUTBOX_BYTES)
    pending, dropped = outbox.get("pending"), outbox.get("dropped")
    entries = [one for one in pending if isinstance(one, list) and one] if isinstance(pending, list) else []
    names = Counter(one[0] for one in entries if isinstance(one[0], str))
    return Notices(dict(names), dropped if isinstance(dropped, int) else 0)


def _document(store: Store, name: str, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object of a blob; an empty one if it does not exist or is damaged."""
    try:
        blob = store.read("predictions", name, max_bytes=max_bytes)
        found = json.loads(blob.content) if blob else {}
    except (ValueError, RecursionError, DataInvalid):
        return {}
    return found if isinstance(found, dict) else {}


def reason_and_cure(error: FleetscoreError) -> tuple[str, str]:
    """Return the reason and the next step in the text of an error."""
    found = unseen_error(error)
    return found.reason, found.cure
