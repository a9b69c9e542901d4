"""What the devices of one process share, and what each has for itself: its time and its permission to write."""

import itertools
import os.path
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from device_scorer import SCIKIT_LEARN, log
from device_scorer.errors import ConfigurationInvalid, DeadlineExceeded, ReasonedError
from device_scorer.scoring.request import Task
from device_scorer.settings import Settings
from device_scorer.store.base import BlobInfo, Store

_PAGE = 5_000  # blobs in one answer of a listing


class Guard:
    """One device's deadline, and its permission to write, which is withdrawn when the device is given up."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.given_up = False
        self.store: Store | None = None
        self.queues = False  # another device asks the store for something on behalf of all

    def check(self) -> None:
        """Raise DeadlineExceeded once the time is over."""
        if self.given_up or time.monotonic() > self.ends:
            raise DeadlineExceeded("the device took longer than --device-deadline-seconds allows")

    @property
    def waits_for_storage(self) -> bool:
        """Whether it is the store that keeps the device waiting."""
        return self.queues or (self.store is not None and self.store.calling)

    def give_up(self) -> None:
        """Let the device begin no write from now on; one under way is whole or nothing anyway."""
        self.given_up = True


class Found:
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
        self._there: dict[str, BlobInfo] = {}
        self._whole = False

    def stat(self, name: str, store: Store, guard: Guard) -> BlobInfo | None:
        """What is known of a blob of predictions; None where there is none. Raises ReasonedError."""
        guard.queues = True
        with self._lock:
            guard.queues = False
            if not self._listed:
                self._list(store)
        if self._whole or name in self._there:
            return self._there.get(name)
        return store.stat("predictions", name)

    def _list(self, store: Store) -> None:
        self._listed = True  # whatever comes of it: a second try would keep all devices waiting once more
        try:
            page = itertools.islice(store.list("predictions", self._prefix), _PAGE)
            self._there = {info.name: info for info in page}
            self._whole = len(self._there) < _PAGE
        except ConfigurationInvalid as error:
            log.info(f"each device's predictions are looked at, for they cannot be listed: {error}")


class Opening:
    """Takes the window's `_SUCCESS` away once, before the first predictions of this process are written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = False

    def before_write(self, store: Store, slug: str) -> None:
        """Remove the mark; where we may not, say so and go on."""
        with self._lock:
            if self._done:
                return
            try:
                store.delete("predictions", f"{slug}/_SUCCESS")
            except ReasonedError as error:
                log.warning(f"cannot remove {slug}/_SUCCESS: {error}")
            self._done = True


class Versions:
    """Says once of each scikit-learn other than ours that it fitted models of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = {SCIKIT_LEARN}

    def note(self, versions: Iterable[str]) -> None:
        """Log a line for each version that is new and another; the predictions' metadata name them all."""
        with self._lock:
            for version in sorted(set(versions) - self._known):
                self._known.add(version)
                log.info(f"models fitted by scikit-learn {version} are scored as {SCIKIT_LEARN} does")


@dataclass(frozen=True, slots=True)
class Shift:
    """One process's work: the task, where its blobs are, and the locks that its devices share."""

    task: Task
    settings: Settings
    store: Store
    large: threading.Lock = field(default_factory=threading.Lock)
    """Held while readings above a few MiB are in memory: so that memory does not grow with the number of devices."""
    found: Found = field(default_factory=Found)
    opening: Opening = field(default_factory=Opening)
    versions: Versions = field(default_factory=Versions)
