"""A local copy of a collection, kept true by list and watch. It knows nothing of Jobs or runs.

For each namespace (or once for all of them): list in pages, then watch from the list's resource version. A watch that
the server closes, that breaks or falls silent is resumed where it stopped: nothing is missed. Where the server no
longer knows that place (410), sends an ERROR event or refuses, and in any case every few minutes, the collection is
listed again, which also finds what a lossy path between here and the server swallowed. Events and lists older than
what is known already are not believed. It never ends by itself.

All of it belongs to the event loop that runs `run`; nothing here may be called from another thread.
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
"""Namespace and name."""
Listener = Callable[[T | None, T | None], None]
"""Told of a change: the object before (None: it is new) and after (None: it is gone)."""

WATCH_TIMEOUT_SECONDS = (290, 590)  # a server closes each watch after a time of this range, so that not all end at once
RELIST_INTERVAL_SECONDS = 300.0
MAX_STALE_LISTS = (
    3  # lists older than what is known are refused so often; then the server was set back (a restored backup)
)
MAX_RETRY_DELAY_SECONDS = 10.0

_log = logging.getLogger(__name__)


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _ObjectHead(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    code: int = 0  # code and message are those of the Status in an ERROR event
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_decode_head = msgspec.json.Decoder(_ObjectHead).decode
_decode_event = msgspec.json.Decoder(_Event).decode


class Informer(Generic[T]):
    """The objects of one collection as `type` sees them.

    Args:
        cluster: Where they are.
        api: "api/v1", or "apis/" with group and version, such as "apis/batch/v1".
        plural: Such as "jobs".
        type: What an object is decoded to; objects that look the same through it count as unchanged.
        namespaces: Each is watched by itself, so that a Role suffices; empty: all in one watch.
        label_selector: In Kubernetes' notation; empty: all.
    """

    def __init__(  # the collection's coordinates are what they are
        self,
        client: KubeClient,
        *,
        api: str,
        plural: str,
        type: type[T],  # noqa: A002  # the word that says it
        namespaces: Sequence[str] = (),
        label_selector: str = "",
    ) -> None:
        self.plural = plural
        self._decode = msgspec.json.Decoder(type).decode
        self._objects: dict[Key, T] = {}
        self._versions: dict[Key, int] = {}  # of objects here, and of deleted ones since the last list
        self._listeners: list[Listener[T]] = []
        self._reflectors = [
            _Reflector(self, client, api, namespace, label_selector) for namespace in namespaces or ("",)
        ]

    def snapshot(self) -> Mapping[Key, T]:
        """Give the objects as they are known now: a live view, not a copy."""
        return MappingProxyType(self._objects)

    def on_change(self, listener: Listener[T]) -> None:
        """Have a function called after each change, and now for each object that is here; it must not block."""
        for known in self._objects.values():
            listener(None, known)
        self._listeners.append(listener)

    def remove_listeners(self) -> None:
        """Tell nobody any more."""
        self._listeners.clear()

    @property
    def has_synced(self) -> bool:
        """Whether every namespace has been listed at least once."""
        return all(stream.list_count for stream in self._reflectors)

    async def wait_for_sync(self) -> None:
        """Wait for `synced`."""
        for stream in self._reflectors:
            await stream.first_list_done.wait()

    def age(self) -> float:
        """Give the seconds since the last byte of the watch that has been silent longest."""
        return time.monotonic() - min(stream.last_activity for stream in self._reflectors)

    @property
    def last_error(self) -> str:
        """Why some namespace cannot be listed or watched at the moment; empty where all can."""
        return next((stream.last_error for stream in self._reflectors if stream.last_error), "")

    @property
    def list_count(self) -> int:
        """How many lists have been completed."""
        return sum(stream.list_count for stream in self._reflectors)

    async def run(self) -> None:
        """Keep the copy true until cancelled."""
        async with asyncio.TaskGroup() as group:
            for stream in self._reflectors:
                group.create_task(stream.run())

    def upsert(self, raw: msgspec.Raw, meta: _Metadata) -> None:
        """Take in an object, unless a newer state of it is known."""
        key, version = (meta.namespace, meta.name), int(meta.resource_version)
        if version <= self._versions.get(key, -1):
            return
        self._versions[key] = version
        old, new = self._objects.get(key), self._decode(raw)
        if old != new:
            self._objects[key] = new
            self._notify(old, new)

    def remove(self, key: Key, version: int) -> None:
        """Take out an object, unless a newer one of that name is known."""
        if version < self._versions.get(key, -1):
            return
        self._versions[key] = version
        if key in self._objects:
            self._notify(self._objects.pop(key), None)

    def reset_versions(self, namespace: str) -> None:
        """Believe whatever version comes next."""
        for key in self._versions:
            if not namespace or key[0] == namespace:
                self._versions[key] = -1

    def replace_all(self, namespace: str, listed: set[Key], version: int) -> None:
        """Take out what a complete list does not have, and forget objects that were deleted before it."""
        for key in [key for key in self._versions if key not in listed and (not namespace or key[0] == namespace)]:
            self.remove(key, version)
            del self._versions[key]

    def _notify(self, old: T | None, new: T | None) -> None:
        for listener in self._listeners:
            listener(old, new)


class _Reflector(Generic[T]):
    """List and watch of one namespace (empty: of all)."""

    def __init__(
        self, informer: Informer[T], client: KubeClient, api: str, namespace: str, label_selector: str
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
            except Exception as error:  # noqa: BLE001  # the copy must outlive what nobody thought of
                self._next_list_at = 0.0
                self._record_error(error)
                _log.exception("mirror of %s: unexpected error; listing again", self._path)
            pause = first if time.monotonic() - began > 1 else min(2 * pause, MAX_RETRY_DELAY_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret

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
        self._next_list_at = time.monotonic() + RELIST_INTERVAL_SECONDS
        self.list_count += 1
        self.first_list_done.set()

    def _check_version(self, version: int) -> None:
        if version >= self._version:
            return
        self._stale_lists += 1
        if self._stale_lists <= MAX_STALE_LISTS:
            raise Gone(f"a list at version {version} is older than what is known ({self._version})")
        _log.warning("list of %s went back from version %s to %s", self._path, self._version, version)
        self._informer.reset_versions(self._namespace)
        self._version = version

    async def _watch(self) -> None:
        watch = self._client.watch(
            self._path,
            resource_version=str(self._version),
            label_selector=self._selector,
            seconds=random.randint(*WATCH_TIMEOUT_SECONDS),  # noqa: S311  # no secret
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
