"""An in-memory copy of a collection, kept by list and watch, as in client-go (tools/cache).

The module does not know Jobs or runs.

The informer lists each namespace in pages (or all namespaces together), then watches from the list's resource version.
A watch that ends, breaks or is idle continues at the last resource version, so no event is missed. The informer relists
after an expired resource version (410), an ERROR event or an error response. It also relists after a fixed interval,
which finds changes whose events were lost. Events and lists that are older than the known versions are ignored. The
informer never ends by itself. A namespace that cannot be listed does not delay the others: see `wait_for_sync`.

Other users may create any number of objects, so an informer holds at most 30,000 of each namespace. Beyond 40,000 of
all namespaces, a namespace gets no more than an even part of these.

The event loop of `run` owns the informer; other threads must not call it.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic

from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.reflector import Key, Reflector, T

Listener = Callable[[T | None, T | None], None]
"""A function that gets the object before a change (None: created) and after it (None: deleted)."""

RELIST_INTERVAL_SECONDS = 300.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InformerLimits:
    """The limits of an informer.

    Attributes:
        max_objects: The objects of a namespace. Forged Jobs of the usual size take 50 MiB.
        max_all_objects: The objects of all namespaces, before they share. Then at most twice as many are held.
        sync_grace: The seconds for which a listed namespace waits for the first lists of the others.
    """

    max_objects: int = 30_000
    max_all_objects: int = 40_000
    sync_grace: float = 15.0


_DEFAULT_LIMITS = InformerLimits()


class Informer(Generic[T]):
    """The objects of one collection, decoded to `type`.

    Args:
        client: The client of the API server.
        api: The prefix of the path: "api/v1", or "apis/" with group and version, such as "apis/batch/v1".
        plural: The resource, such as "jobs".
        type: The type that an object is decoded to. A change that the type does not show is not reported.
        namespaces: The namespaces, with one watch each, so that a Role suffices. The default is one watch of all.
        label_selector: The label selector in Kubernetes' notation. The default selects all objects.
        relist_interval: The seconds after which the collection is listed again.
        limits: The limits of objects and time.
    """

    def __init__(  # the collection's coordinates are what they are
        self,
        client: KubeClient,
        *,
        api: str,
        plural: str,
        type: type[T],  # noqa: A002  # the usual name of such an argument, as in msgspec
        namespaces: Sequence[str] = (),
        label_selector: str = "",
        relist_interval: float = RELIST_INTERVAL_SECONDS,
        limits: InformerLimits = _DEFAULT_LIMITS,
    ) -> None:
        self.plural = plural
        self._limits = limits
        self._objects: dict[Key, T] = {}
        self._versions: dict[Key, int] = {}  # of objects, and of those deleted since the last list
        self._counts: Counter[str] = Counter()  # of objects, by namespace
        self._full: dict[str, str] = {}  # the namespaces with objects that are not held, with the reason
        self._rejecting: set[str] = set()  # those of them since their last list began
        self._listeners: list[Listener[T]] = []
        self._reflectors = [
            Reflector(
                self,
                client,
                type=type,
                api=api,
                plural=plural,
                namespace=namespace,
                label_selector=label_selector,
                relist_interval=relist_interval,
            )
            for namespace in namespaces or ("",)
        ]

    def snapshot(self) -> Mapping[Key, T]:
        """Return the known objects by namespace and name, as a live view."""
        return MappingProxyType(self._objects)

    def on_change(self, listener: Listener[T]) -> None:
        """Call a function now for each known object, and after each change; the function must not block."""
        for known in self._objects.values():
            listener(None, known)
        self._listeners.append(listener)

    def remove_listeners(self) -> None:
        """Remove all listeners."""
        self._listeners.clear()

    @property
    def has_synced(self) -> bool:
        """True after a namespace has been listed once."""
        return any(stream.list_count for stream in self._reflectors)

    async def wait_for_sync(self) -> None:
        """Wait until a namespace has been listed once, and each other one was listed, has failed or had 15 s."""
        first = [asyncio.create_task(stream.first_list_done.wait()) for stream in self._reflectors]
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in first:
                task.cancel()
        try:
            async with asyncio.timeout(self._limits.sync_grace):
                for stream in self._reflectors:
                    await stream.first_try_done.wait()
        except TimeoutError:
            return

    async def wait_for_namespace(self, namespace: str) -> None:
        """Wait until a watched namespace has been listed once.

        Args:
            namespace: The namespace.
        """
        for stream in self._reflectors:
            if stream.namespace in ("", namespace):
                await stream.first_list_done.wait()

    def problems(self) -> dict[str, str]:
        """Return why namespaces cannot be listed, watched or held now, by namespace (empty: all namespaces)."""
        return self._full | {stream.namespace: stream.last_error for stream in self._reflectors if stream.last_error}

    def age(self) -> float:
        """Return the seconds since the last byte, of the watch that has been idle longest."""
        return time.monotonic() - min(stream.last_activity for stream in self._reflectors)

    def silence(self) -> float:
        """Return the seconds since the last byte of any watch."""
        return time.monotonic() - max(stream.last_activity for stream in self._reflectors)

    @property
    def last_error(self) -> str:
        """The last error of a namespace that cannot be listed or watched now; empty without an error."""
        return next((stream.last_error for stream in self._reflectors if stream.last_error), "")

    @property
    def list_count(self) -> int:
        """The number of completed lists."""
        return sum(stream.list_count for stream in self._reflectors)

    async def run(self) -> None:
        """List and watch until the task is cancelled."""
        async with asyncio.TaskGroup() as group:
            for stream in self._reflectors:
                group.create_task(stream.run())

    def upsert(self, new: T) -> bool:
        """Store an object, unless a newer version of it is known.

        Returns:
            False if the namespace has too many objects, and this one is not held.
        """
        meta = new.metadata
        key, version = (meta.namespace, meta.name), int(meta.resource_version)
        if key not in self._objects and not self._has_room(meta.namespace):
            if meta.namespace not in self._full:
                self._full[meta.namespace] = self._full_text(meta.namespace)
                _log.warning("namespace %s: %s", meta.namespace, self._full[meta.namespace])
            self._rejecting.add(meta.namespace)
            return False
        if version <= self._versions.get(key, -1):
            return True
        self._versions[key] = version
        old = self._objects.get(key)
        if old != new:
            self._counts[meta.namespace] += old is None
            self._objects[key] = new
            self._notify(old, new)
        return True

    def remove(self, key: Key, version: int) -> None:
        """Remove an object, unless a newer version of it is known."""
        if version < self._versions.get(key, -1):
            return
        if key in self._objects:
            self._counts[key[0]] -= 1
            if not self._counts[key[0]]:
                del self._counts[key[0]]
            self._versions[key] = version
            self._notify(self._objects.pop(key), None)
        elif key[0] not in self._full:
            self._versions[key] = version

    def reset_versions(self, namespace: str) -> None:
        """Accept any next version of the objects of a namespace (empty: of all namespaces)."""
        for key in self._versions:
            if not namespace or key[0] == namespace:
                self._versions[key] = -1

    def replace_all(self, namespace: str, listed: set[Key], version: int) -> None:
        """Remove the objects that a complete list does not contain.

        Args:
            namespace: The namespace of the list; empty for all namespaces.
            listed: The keys of the list.
            version: The resource version of the list.
        """
        for key in [key for key in self._versions if key not in listed and (not namespace or key[0] == namespace)]:
            self.remove(key, version)
            self._versions.pop(key, None)
        listed_names = {name for name in self._full if namespace in ("", name)}
        for name in listed_names - self._rejecting:
            del self._full[name]
        self._rejecting -= listed_names

    def _has_room(self, namespace: str) -> bool:
        held, limits = self._counts[namespace], self._limits
        shared = len(self._objects) >= limits.max_all_objects and held >= limits.max_all_objects // len(self._counts)
        return held < limits.max_objects and not shared

    def _full_text(self, namespace: str) -> str:
        one, every = self._limits.max_objects, self._limits.max_all_objects
        alone = self._counts[namespace] >= one
        count = f"it has more than {one}" if alone else f"all namespaces have more than {every}"
        return (
            f"{count} {self.plural} with the labels of the operator, which reads the others one by one; delete those "
            "that it did not create"
        )

    def _notify(self, old: T | None, new: T | None) -> None:
        for listener in self._listeners:
            listener(old, new)
