"""The state that the devices of one process share, and the deadline of each device."""

import itertools
import os.path
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from device_scorer import SCIKIT_LEARN, log
from device_scorer.errors import (
    ConfigurationInvalid,
    DeadlineExceeded,
    DeviceError,
    IdentityUnavailable,
    StorageUnavailable,
)
from device_scorer.scoring.request import ScoreRequest
from device_scorer.settings import Settings
from device_scorer.store.base import BlobInfo, Store

LISTING_PAGE_SIZE = 5_000
"""Number of blobs in one page of a listing (Azure's List Blobs returns at most 5,000)."""

LARGE_READINGS_BYTES = 8 * 2**20
"""Readings of a window above this size, and their predictions, are in memory for one device at a time."""

LARGE_MODEL_BYTES = 8 * 2**20
"""Bundles above this size, with or without their compression, are in memory for one device at a time."""

MAX_WAITED_DEADLINES = 8
"""Multiple of its deadline after which a device no longer waits for the others."""


class DeviceDeadline:
    """The deadline of one device, and its access to the store until then.

    Args:
        store: The process's store. The device uses a view of it, whose calls end at the deadline.
        seconds: The time for the device, from now.
    """

    def __init__(self, store: Store, seconds: float) -> None:
        self._seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._process_store = store
        self._store = store.with_deadline(self._ends_at)
        self._abandoned = False
        self._waits_since: float | None = None

    @property
    def ends_at(self) -> float:
        """The time of the deadline, on the clock of `time.monotonic()`. It moves while the device waits for a lock."""
        waits_since = self._waits_since
        return self._ends_at + (0.0 if waits_since is None else time.monotonic() - waits_since)

    @property
    def store(self) -> Store:
        """The device's view of the store."""
        return self._store

    @property
    def abandoned(self) -> bool:
        """True after the device was abandoned; it must not start a write."""
        return self._abandoned

    @property
    def waits_for_storage(self) -> bool:
        """True while a call of the device's view waits for the store."""
        return self._store.in_call

    def check(self) -> None:
        """Raise DeadlineExceeded if the deadline is over or the device was abandoned."""
        if self._abandoned or time.monotonic() > self._ends_at:
            raise DeadlineExceeded("the device took longer than --device-deadline-seconds allows; allow more seconds")

    @contextmanager
    def hold(self, lock: threading.Lock) -> Iterator[None]:
        """Hold a lock that the devices of the process share. The time of waiting does not count for this device.

        Args:
            lock: The lock.

        Raises:
            StorageUnavailable: Other devices held the lock for MAX_WAITED_DEADLINES times the deadline; a retry helps.
        """
        self._waits_since = time.monotonic()
        try:
            if not lock.acquire(timeout=MAX_WAITED_DEADLINES * self._seconds):
                raise StorageUnavailable(
                    "other devices of the Job with large models or readings did not finish; retry the device"
                )
            self._ends_at = self.ends_at
        finally:
            self._waits_since = None
        self._store = self._process_store.with_deadline(self._ends_at)
        try:
            yield
        finally:
            lock.release()

    def abandon(self) -> None:
        """Withdraw the permission to write. A write in progress is not interrupted: it is atomic."""
        self._abandoned = True


class ExistingPredictions:
    """The predictions of the process's devices that existed at its start, found by one listing of names.

    Later changes are detected on write, because writes are conditional. A blob in the listing is checked individually,
    because a listing of names has no metadata. If the page does not contain all names, the others are checked, too.

    The listing reads one page. A store that lists whole folders reads the first page of the folder of the names, which
    may have the predictions of 100,000 devices.

    Args:
        names: The names of the blobs. Fewer than two names are checked individually, without a listing.
        page_size: The number of blobs that the listing reads.
    """

    def __init__(self, names: Sequence[str] = (), *, page_size: int = LISTING_PAGE_SIZE) -> None:
        self._prefix = os.path.commonprefix(names)  # noqa: RUF071  a prefix of a name, not of a path, is enough
        self._page_size = page_size
        self._lock = threading.Lock()
        self._listed = len(names) < 2
        self._existing: frozenset[str] = frozenset()
        self._listing_complete = False

    def head(self, name: str, deadline: DeviceDeadline) -> BlobInfo | None:
        """Return the properties of a predictions blob, or None if it does not exist.

        The first caller lists the predictions; the other callers wait for the listing.

        Args:
            name: The blob's name.
            deadline: The deadline of the calling device.

        Raises:
            StorageUnavailable: The listing did not end before the deadline, or the store is unavailable.
            DeviceError: The blob cannot be checked for another reason.
        """
        if not self._lock.acquire(timeout=max(0.0, deadline.ends_at - time.monotonic())):
            raise StorageUnavailable("storage did not list the predictions before the deadline; retry the device")
        try:
            if not self._listed:
                self._list_predictions(deadline.store)
        finally:
            self._lock.release()
        if self._listing_complete and name not in self._existing:
            return None
        return deadline.store.head("predictions", name)

    def _list_predictions(self, store: Store) -> None:
        self._listed = True  # also if the listing fails: a second attempt would delay all devices once more
        try:
            folder = self._prefix[: self._prefix.rfind("/") + 1]
            prefix = folder if store.lists_whole_folders else self._prefix
            page = itertools.islice(store.list("predictions", prefix, with_metadata=False), self._page_size)
            self._existing = frozenset(info.name for info in page)
            self._listing_complete = len(self._existing) < self._page_size
        except (ConfigurationInvalid, IdentityUnavailable) as error:
            log.info(f"predictions cannot be listed; each device is checked individually: {error}")


class SuccessMarker:
    """The removal of the window's `_SUCCESS`, once per process, before its first write of predictions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._removed = False

    def remove_before_write(self, store: Store, slug: str) -> None:
        """Remove the marker; log a warning if that is not allowed.

        Args:
            store: The device's view of the store.
            slug: The window's folder.
        """
        with self._lock:
            if self._removed:
                return
            try:
                store.delete("predictions", f"{slug}/_SUCCESS")
            except DeviceError as error:
                log.warning(f"cannot remove {slug}/_SUCCESS: {error}")
            self._removed = True


class ForeignVersions:
    """The scikit-learn versions, other than the pinned one, that fitted models of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged = {SCIKIT_LEARN}

    def log_new(self, versions: Iterable[str]) -> None:
        """Log a line for each version that was not logged before; the metadata of the predictions name all of them."""
        with self._lock:
            for version in sorted(set(versions) - self._logged):
                self._logged.add(version)
                log.info(
                    f"models fitted by scikit-learn {version} are evaluated with scikit-learn {SCIKIT_LEARN} rules"
                )


class ScoringContext:
    """The request, settings and store of one process, and the state that its devices share.

    Args:
        request: The request of the process.
        settings: The fleet's settings.
        store: The store, without a deadline.
        existing: The predictions that existed at the start; None to ask for each device.
        large_readings_bytes: The size of the readings of a device above which the lock is needed.
        large_model_bytes: The size of a bundle above which the lock is needed.

    Attributes:
        success_marker: The removal of the window's `_SUCCESS`.
        foreign_versions: The scikit-learn versions that were logged.
        large_readings_lock: The lock for devices with large readings, so that memory does not grow with the number of
            devices. Its holder does not take the other lock.
        large_models_lock: The lock for devices with large bundles. Its holder may take the other lock, too.
    """

    def __init__(
        self,
        request: ScoreRequest,
        settings: Settings,
        store: Store,
        *,
        existing: ExistingPredictions | None = None,
        large_readings_bytes: int = LARGE_READINGS_BYTES,
        large_model_bytes: int = LARGE_MODEL_BYTES,
    ) -> None:
        self.request = request
        self.settings = settings
        self.store = store
        self.existing = existing or ExistingPredictions()
        self.success_marker = SuccessMarker()
        self.foreign_versions = ForeignVersions()
        self.large_readings_bytes = large_readings_bytes
        self.large_readings_lock = threading.Lock()
        self.large_model_bytes = large_model_bytes
        self.large_models_lock = threading.Lock()
