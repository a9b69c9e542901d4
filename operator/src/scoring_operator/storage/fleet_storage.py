"""The devices of a fleet in Blob Storage: devices with a model, with readings in a window, with predictions.

Each operation runs in a thread, so it does not block the event loop. The first operation also imports Azure's SDK in
its thread.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from scoring_operator.api.fleets import Fleet, StorageSettings
from scoring_operator.api.formatting import parse_duration
from scoring_operator.api.scoringrun import Window
from scoring_operator.contract.blob_paths import (
    MAX_FAILURES_BYTES,
    PathPattern,
    compile_pattern,
    data_patterns,
    failures_name,
    outcome_record_name,
    prediction_pattern,
)
from scoring_operator.contract.history import MAX_PACKED_BYTES
from scoring_operator.errors import ConfigurationInvalid
from scoring_operator.storage.limits import DEFAULT_LIMITS, StorageLimits
from scoring_operator.storage.protocol import DeviceListing, InvalidNames

if TYPE_CHECKING:
    from scoring_operator.storage.account import BlobAccount

T = TypeVar("T")
MAX_RECORD_BYTES = 4 * 1024 * 1024
MAX_CHECKED_NAMES = 100  # names of one listing that are checked for being a directory
_log = logging.getLogger(__name__)


class BlobFleetStorage:
    """The Blob Storage of all fleets.

    Args:
        secrets_dir: The folder with a folder for each fleet that uses an existing Secret. The Secret's key is a file.
        limits: The limits of requests.
    """

    def __init__(self, secrets_dir: Path, limits: StorageLimits = DEFAULT_LIMITS) -> None:
        self._secrets_dir = secrets_dir
        self._limits = limits
        self._accounts: dict[tuple[str, StorageSettings], tuple[str | None, BlobAccount]] = {}
        self._lock = threading.Lock()

    async def list_models(self, fleet: Fleet) -> DeviceListing:
        """Return the devices that have a model.

        Raises:
            StorageError: The request failed; the type says why. All methods raise it.
        """
        where = [compile_pattern(fleet.models.path)]
        other_files = _has_other_files(fleet, fleet.storage.models, fleet.models.path)
        return await self._run_in_thread(fleet, _list_devices, fleet.storage.models, where, frozenset(), other_files)

    async def list_data_devices(self, fleet: Fleet, window: Window, known: Collection[str]) -> DeviceListing:
        """Return the devices that have readings in a partition that overlaps the window.

        Args:
            fleet: The fleet.
            window: The window.
            known: The devices to leave out of the result.
        """
        try:
            partition = parse_duration(fleet.data.partition)
        except ValueError as error:
            raise ConfigurationInvalid(f"fleet {fleet.name!r}: data.partition is invalid: {error}") from error
        if not partition:
            raise ConfigurationInvalid(f"fleet {fleet.name!r}: data.partition must be longer than zero")
        places = await asyncio.to_thread(data_patterns, fleet.data.path, partition, window)
        other_files = _has_other_files(fleet, fleet.storage.data, fleet.data.path)
        return await self._run_in_thread(
            fleet, _list_devices, fleet.storage.data, places, frozenset(known), other_files
        )

    async def list_predictions(self, fleet: Fleet, window: Window) -> dict[str, Mapping[str, str]]:
        """Return the metadata of the window's predictions by device."""
        where = prediction_pattern(fleet.predictions.path, window)
        return await self._run_in_thread(fleet, _list_metadata, fleet.storage.predictions, where)

    async def read_outcome(self, fleet: Fleet, run_uid: str, job_name: str) -> bytes | None:
        """Return the outcome record of a Job, or None if it does not exist."""
        name = outcome_record_name(run_uid, job_name)
        return await self._run_in_thread(fleet, _read_blob, fleet.storage.predictions, name)

    async def read_history(self, fleet: Fleet, name: str) -> bytes | None:
        """Return a tile of the fleet's history, or None if it does not exist; a tile that is too large is cut."""
        return await self._run_in_thread(fleet, _read_blob, fleet.storage.predictions, name, MAX_PACKED_BYTES)

    async def read_failures(self, fleet: Fleet, window: Window) -> bytes | None:
        """Return `_failures.csv` of the window's report, or None if it does not exist."""
        name = failures_name(window)
        return await self._run_in_thread(fleet, _read_blob, fleet.storage.predictions, name, MAX_FAILURES_BYTES + 1)

    async def _run_in_thread(self, fleet: Fleet, operation: Callable[..., T], *arguments: Any) -> T:
        cancelled = threading.Event()

        def run() -> T:
            return operation(self._account(fleet), cancelled.is_set, *arguments)

        try:
            return await asyncio.to_thread(run)
        finally:
            cancelled.set()

    def _account(self, fleet: Fleet) -> "BlobAccount":
        """Return the account for the fleet's settings; open a new one if the Secret has changed."""
        from scoring_operator.storage.account import BlobAccount  # noqa: PLC0415  # the import costs 0.9 s and 40 MiB

        key, secret = (fleet.name, fleet.storage), self._read_secret(fleet)
        with self._lock:
            known = self._accounts.get(key)
            if known and known[0] == secret:
                return known[1]
            account = BlobAccount(fleet.storage, secret, self._limits)
            self._accounts[key] = (secret, account)
        _log.info(
            "fleet %s: storage is used %s", fleet.name, "with a changed Secret" if known else "for the first time"
        )
        return account

    def close(self) -> None:
        """Close the connections."""
        for _secret, account in self._accounts.values():
            account.close()

    def _read_secret(self, fleet: Fleet) -> str | None:
        if fleet.storage.existing_secret is None:
            return None
        secret = fleet.storage.existing_secret
        path = self._secrets_dir / fleet.name / secret.key
        try:
            return path.read_text().strip()
        except OSError as error:
            raise ConfigurationInvalid(
                f"fleet {fleet.name!r}: Secret {secret.name!r} has no key {secret.key!r} ({path} is not mounted); "
                "create it in the operator's namespace, and the run continues by itself"
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigurationInvalid(
                f"fleet {fleet.name!r}: key {secret.key!r} of Secret {secret.name!r} is not text; store a {secret.kind}"
            ) from error


def _list_devices(
    account: "BlobAccount",
    cancelled: Callable[[], bool],
    container: str,
    patterns: Iterable[PathPattern],
    known: Collection[str],
    other_files: bool,  # noqa: FBT001  # arguments of a thread
) -> DeviceListing:
    devices: set[str] = set()
    names = _InvalidNameCounter()
    for where in patterns:
        for name in account.list_names(container, where.prefix, cancelled):
            device = where.device_id(name)
            if device is None:
                if name.endswith(where.suffix) or not other_files:
                    names.add(name, where.prefix)
            elif device not in known:
                devices.add(device)
    return DeviceListing(tuple(sorted(devices)), names.result(lambda name: account.is_folder(container, name)))


def _has_other_files(fleet: Fleet, container: str, path: str) -> bool:
    """Return True if names with another suffix than that of the path may be those of other files of the fleet.

    Args:
        fleet: The fleet.
        container: The container of the path.
        path: The path template.
    """
    storage, suffix = fleet.storage, path.partition("{device}")[2]
    shared = [storage.models, storage.data, storage.predictions].count(container) > 1
    return shared or "/" in suffix or "{" in suffix


class _InvalidNameCounter:
    """The names of one listing that denote no device, without directories and without names that begin with `_`."""

    def __init__(self) -> None:
        self._count = 0
        self._samples: list[str] = []
        self._folders: set[str] = set()

    def add(self, name: str, prefix: str) -> None:
        folder, _, last = name.rpartition("/")
        if len(folder) > len(prefix) and len(self._folders) < MAX_CHECKED_NAMES:
            self._folders.add(folder)
        if last.startswith("_") or name[len(prefix) :].startswith("_"):
            return
        self._count += 1
        if len(self._samples) < MAX_CHECKED_NAMES:
            self._samples.append(name)

    def result(self, is_folder: Callable[[str], bool]) -> InvalidNames:
        """Return the names; `is_folder` is asked for at most 100 of them."""
        names = [name for name in self._samples if name not in self._folders and not is_folder(name)]
        return InvalidNames(self._count - len(self._samples) + len(names), tuple(names))


def _list_metadata(
    account: "BlobAccount", cancelled: Callable[[], bool], container: str, pattern: PathPattern
) -> dict[str, Mapping[str, str]]:
    blobs = account.list_metadata(container, pattern.prefix, cancelled)
    return {device: metadata for name, metadata in blobs if (device := pattern.device_id(name)) is not None}


def _read_blob(
    account: "BlobAccount", _cancelled: Callable[[], bool], container: str, name: str, max_bytes: int = MAX_RECORD_BYTES
) -> bytes | None:
    return account.read(container, name, max_bytes)
