"""What the devices of one process share, and what each has for itself: its time and its permission to write."""

import itertools
import os.path
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from device_scorer import SCIKIT_LEARN, log
from device_scorer.errors import ConfigurationInvalid, DeadlineExceeded, DeviceError
from device_scorer.scoring.request import ScoreRequest
from device_scorer.settings import Settings
from device_scorer.store.base import BlobInfo, Store

_LISTING_PAGE_SIZE = 5_000  # blobs in one answer of a listing


class DeviceDeadline:
    """One device's deadline, and its permission to write, which is withdrawn when the device is given up."""

    def __init__(self, seconds: float) -> None:
        self.ends_at = time.monotonic() + seconds
        self.abandoned = False
        self.store: Store | None = None
        self.waiting_for_listing = False  # another device asks the store for something on behalf of all

    def check(self) -> None:
        """Raise DeadlineExceeded once the time is over."""
        if self.abandoned or time.monotonic() > self.ends_at:
            raise DeadlineExceeded("the device took longer than --device-deadline-seconds allows")

    @property
    def waits_for_storage(self) -> bool:
        """Whether it is the store that keeps the device waiting."""
        return self.waiting_for_listing or (self.store is not None and self.store.in_call)

    def abandon(self) -> None:
        """Let the device begin no write from now on; one under way is whole or nothing anyway."""
        self.abandoned = True


class ExistingPredictions:
    """The predictions of the process's devices that were there when it began: one listing, not a look at each.

    What came since is met on writing, for that is on condition that nothing came. Names that share little of their
    beginning may have more neighbours than one page of a listing holds; then what it does not show is looked at.

    Args:
        names: the blobs' names; a single one is looked at, not listed.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._prefix = os.path.commonprefix(names)  # noqa: RUF071  any beginning of a name will do
        self._lock = threading.Lock()
        self._listed = len(names) < 2
        self._existing: dict[str, BlobInfo] = {}
        self._listing_complete = False

    def head(self, name: str, store: Store, deadline: DeviceDeadline) -> BlobInfo | None:
        """What is known of a blob of predictions; None where there is none. Raises ReasonedError."""
        deadline.waiting_for_listing = True
        with self._lock:
            deadline.waiting_for_listing = False
            if not self._listed:
                self._list_predictions(store)
        if self._listing_complete or name in self._existing:
            return self._existing.get(name)
        return store.head("predictions", name)

    def _list_predictions(self, store: Store) -> None:
        self._listed = True  # whatever comes of it: a second try would keep all devices waiting once more
        try:
            page = itertools.islice(store.list("predictions", self._prefix), _LISTING_PAGE_SIZE)
            self._existing = {info.name: info for info in page}
            self._listing_complete = len(self._existing) < _LISTING_PAGE_SIZE
        except ConfigurationInvalid as error:
            log.info(f"each device's predictions are looked at, for they cannot be listed: {error}")


class SuccessMarker:
    """Takes the window's `_SUCCESS` away once, before the first predictions of this process are written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._removed = False

    def remove_before_write(self, store: Store, slug: str) -> None:
        """Remove the mark; where we may not, say so and go on."""
        with self._lock:
            if self._removed:
                return
            try:
                store.delete("predictions", f"{slug}/_SUCCESS")
            except DeviceError as error:
                log.warning(f"cannot remove {slug}/_SUCCESS: {error}")
            self._removed = True


class ForeignVersions:
    """Says once of each scikit-learn other than ours that it fitted models of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged = {SCIKIT_LEARN}

    def log_new(self, versions: Iterable[str]) -> None:
        """Log a line for each version that is new and another; the predictions' metadata name them all."""
        with self._lock:
            for version in sorted(set(versions) - self._logged):
                self._logged.add(version)
                log.info(f"models fitted by scikit-learn {version} are scored as {SCIKIT_LEARN} does")


@dataclass(frozen=True, slots=True)
class ScoringContext:
    """One process's work: the task, where its blobs are, and the locks that its devices share."""

    request: ScoreRequest
    settings: Settings
    store: Store
    large_readings_lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while readings above a few MiB are in memory: so that memory does not grow with the number of devices."""
    existing: ExistingPredictions = field(default_factory=ExistingPredictions)
    success_marker: SuccessMarker = field(default_factory=SuccessMarker)
    foreign_versions: ForeignVersions = field(default_factory=ForeignVersions)
