"""An in-memory copy of a collection, kept by list and watch, as in client-go (tools/cache).

The module does not know Jobs or runs.

The informer lists each namespace in pages (or all namespaces together), then watches from the list's resource version.
A watch that ends, breaks or is idle continues at the last resource version, so no event is missed. The informer relists
after an expired resource version (410), an ERROR event or an error response, and after a fixed interval, which also
finds changes whose events were lost. Events and lists that are older than the known versions are ignored. The informer
never ends by itself.

The event loop of `run` owns the informer; other threads must not call it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Generic, TypeVar

import msgspec

from scoring_operator.errors import ApiError, Gone, Unavailable
from scoring_operator.kube.client import KubeClient

T = TypeVar("T")
Key = tuple[str, str]
"""The namespace and the name of an object."""
Listener = Callable[[T | None, T | None], None]
"""A function that gets the object before a change (None: created) and after it (None: deleted)."""

WATCH_TIMEOUT_SECONDS = (290, 590)  # the range of a watch's length, so that watches do not end at the same time
RELIST_INTERVAL_SECONDS = 300.0
MAX_STALE_LISTS = 3  # older lists in a row are ignored; after that the server has an older state (a restored backup)
MAX_RETRY_DELAY_SECONDS = 10.0

_log = logging.getLogger(__name__)


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _ObjectHead(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    code: int = 0  # code and message: the Status of an ERROR event
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_decode_head = msgspec.json.Decoder(_ObjectHead).decode
_decode_event = msgspec.json.Decoder(_Event).decode


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
    ) -> None:
        self.plural = plural
        self._decode = msgspec.json.Decoder(type).decode
        self._objects: dict[Key, T] = {}
        self._versions: dict[Key, int] = {}  # of objects, and of those deleted since the last list
        self._listeners: list[Listener[T]] = []
        self._reflectors = [
            _Reflector(self, client, api, namespace, label_selector, relist_interval)
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
        """True after every namespace has been listed once."""
        return all(stream.list_count for stream in self._reflectors)

    async def wait_for_sync(self) -> None:
        """Wait until every namespace has been listed once."""
        for stream in self._reflectors:
            await stream.first_list_done.wait()

    def age(self) -> float:
        """Return the seconds since the last byte, of the watch that has been idle longest."""
        return time.monotonic() - min(stream.last_activity for stream in self._reflectors)

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

    def upsert(self, raw: msgspec.Raw, meta: _Metadata) -> None:
        """Store an object, unless a newer version of it is known."""
        key, version = (meta.namespace, meta.name), int(meta.resource_version)
        if version <= self._versions.get(key, -1):
            return
        self._versions[key] = version
        old, new = self._objects.get(key), self._decode(raw)
        if old != new:
            self._objects[key] = new
            self._notify(old, new)

    def remove(self, key: Key, version: int) -> None:
        """Remove an object, unless a newer version of it is known."""
        if version < self._versions.get(key, -1):
            return
        self._versions[key] = version
        if key in self._objects:
            self._notify(self._objects.pop(key), None)

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
            del self._versions[key]

    def _notify(self, old: T | None, new: T | None) -> None:
        for listener in self._listeners:
            listener(old, new)


class _Reflector(Generic[T]):
    """The list and the watch of one namespace (empty: of all namespaces)."""

    def __init__(
        self,
        informer: Informer[T],
        client: KubeClient,
        api: str,
        namespace: str,
        label_selector: str,
        relist_interval: float,
    ) -> None:
        self.list_count = 0
        self.first_list_done = asyncio.Event()
        self.last_activity = time.monotonic()
        self.last_error = ""
        self._informer = informer
        self._client = client
        self._namespace = namespace
        self._path = f"/{api}/namespaces/{namespace}/{informer.plural}" if namespace else f"/{api}/{informer.plural}"
        self._selector = label_selector
        self._relist_interval = relist_interval
        self._version = 0
        self._stale_lists = 0
        self._next_list_at = 0.0  # monotonic

    async def run(self) -> None:
        pause = first = self._client.timeouts.initial_backoff
        while True:
            began = time.monotonic()
            try:
                if began >= self._next_list_at:
                    await self._list()
                await self._watch()
            except Unavailable as error:
                self._record_error(error)
            except ApiError as error:
                self._next_list_at = 0.0
                if not isinstance(error, Gone):
                    self._record_error(error)
            except Exception as error:  # noqa: BLE001  # the informer must survive an unexpected error
                self._next_list_at = 0.0
                self._record_error(error)
                _log.exception("informer of %s: unexpected error; relisting", self._path)
            pause = first if time.monotonic() - began > 1 else min(2 * pause, MAX_RETRY_DELAY_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # not a secret

    def _record_error(self, error: Exception) -> None:
        message = f"{type(error).__name__}: {error}"
        if message != self.last_error:
            _log.warning("watch of %s: %s", self._path, message)
        self.last_error = message

    def _mark_alive(self) -> None:
        self.last_activity = time.monotonic()
        self.last_error = ""

    async def _list(self) -> None:
        listed: set[Key] = set()
        version = 0
        async with aclosing(self._client.pages(self._path, label_selector=self._selector)) as pages:
            async for page, text in pages:
                version = int(text)
                self._check_version(version)
                for raw in page:
                    meta = _decode_head(raw).metadata
                    listed.add((meta.namespace, meta.name))
                    self._informer.upsert(raw, meta)
                self._mark_alive()
        self._informer.replace_all(self._namespace, listed, version)
        self._version = version
        self._stale_lists = 0
        self._next_list_at = time.monotonic() + self._relist_interval
        self.list_count += 1
        self.first_list_done.set()

    def _check_version(self, version: int) -> None:
        if version >= self._version:
            return
        self._stale_lists += 1
        if self._stale_lists <= MAX_STALE_LISTS:
            raise Gone(f"a list has version {version}, which is older than the known version {self._version}")
        _log.warning("list of %s went back from version %s to %s", self._path, self._version, version)
        self._informer.reset_versions(self._namespace)
        self._version = version

    async def _watch(self) -> None:
        watch = self._client.watch(
            self._path,
            resource_version=str(self._version),
            label_selector=self._selector,
            seconds=random.randint(*WATCH_TIMEOUT_SECONDS),  # noqa: S311  # not a secret
        )
        async with aclosing(watch) as lines:
            async for line in lines:
                self._mark_alive()
                if line:
                    self._handle_event(_decode_event(line))

    def _handle_event(self, event: _Event) -> None:
        head = _decode_head(event.object)
        if event.type == "ERROR":
            raise (Gone if head.code == 410 else ApiError)(f"ERROR event: {head.message}", status=head.code)
        version = int(head.metadata.resource_version)
        if event.type == "DELETED":
            self._informer.remove((head.metadata.namespace, head.metadata.name), version)
        elif event.type != "BOOKMARK":
            self._informer.upsert(event.object, head.metadata)
        self._version = max(self._version, version)
