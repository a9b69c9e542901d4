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
from scoring_operator.kube.client import Cluster

T = TypeVar("T")
Key = tuple[str, str]
"""Namespace and name."""
Change = Callable[[T | None, T | None], None]
"""Told of a change: the object before (None: it is new) and after (None: it is gone)."""

WATCH_SECONDS = (290, 590)  # a server closes each watch after a time of this range, so that not all end at once
RELIST_SECONDS = 300.0
STALE_LISTS = 3  # lists older than what is known are refused so often; then the server was set back (a restored backup)
LONGEST_PAUSE = 10.0

_log = logging.getLogger(__name__)


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Head(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    code: int = 0  # code and message are those of the Status in an ERROR event
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_event = msgspec.json.Decoder(_Event).decode


class Mirror(Generic[T]):
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
        cluster: Cluster,
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
        self._listeners: list[Change[T]] = []
        self._streams = [_Stream(self, cluster, api, namespace, label_selector) for namespace in namespaces or ("",)]

    def snapshot(self) -> Mapping[Key, T]:
        """Give the objects as they are known now: a live view, not a copy."""
        return MappingProxyType(self._objects)

    def on_change(self, listener: Change[T]) -> None:
        """Have a function called after each change, and now for each object that is here; it must not block."""
        for known in self._objects.values():
            listener(None, known)
        self._listeners.append(listener)

    def drop_listeners(self) -> None:
        """Tell nobody any more."""
        self._listeners.clear()

    @property
    def synced(self) -> bool:
        """Whether every namespace has been listed at least once."""
        return all(stream.listed for stream in self._streams)

    async def wait_synced(self) -> None:
        """Wait for `synced`."""
        for stream in self._streams:
            await stream.first_list.wait()

    def age(self) -> float:
        """Give the seconds since the last byte of the watch that has been silent longest."""
        return time.monotonic() - min(stream.heard for stream in self._streams)

    @property
    def trouble(self) -> str:
        """Why some namespace cannot be listed or watched at the moment; empty where all can."""
        return next((stream.trouble for stream in self._streams if stream.trouble), "")

    @property
    def lists(self) -> int:
        """How many lists have been completed."""
        return sum(stream.listed for stream in self._streams)

    async def run(self) -> None:
        """Keep the copy true until cancelled."""
        async with asyncio.TaskGroup() as group:
            for stream in self._streams:
                group.create_task(stream.run())

    def put(self, raw: msgspec.Raw, meta: _Meta) -> None:
        """Take in an object, unless a newer state of it is known."""
        key, version = (meta.namespace, meta.name), int(meta.resource_version)
        if version <= self._versions.get(key, -1):
            return
        self._versions[key] = version
        old, new = self._objects.get(key), self._decode(raw)
        if old != new:
            self._objects[key] = new
            self._tell(old, new)

    def remove(self, key: Key, version: int) -> None:
        """Take out an object, unless a newer one of that name is known."""
        if version < self._versions.get(key, -1):
            return
        self._versions[key] = version
        if key in self._objects:
            self._tell(self._objects.pop(key), None)

    def forget_versions(self, namespace: str) -> None:
        """Believe whatever version comes next."""
        for key in self._versions:
            if not namespace or key[0] == namespace:
                self._versions[key] = -1

    def settle(self, namespace: str, listed: set[Key], version: int) -> None:
        """Take out what a complete list does not have, and forget objects that were deleted before it."""
        for key in [key for key in self._versions if key not in listed and (not namespace or key[0] == namespace)]:
            self.remove(key, version)
            del self._versions[key]

    def _tell(self, old: T | None, new: T | None) -> None:
        for listener in self._listeners:
            listener(old, new)


class _Stream(Generic[T]):
    """List and watch of one namespace (empty: of all)."""

    def __init__(self, mirror: Mirror[T], cluster: Cluster, api: str, namespace: str, label_selector: str) -> None:
        self.listed = 0
        self.first_list = asyncio.Event()
        self.heard = time.monotonic()
        self.trouble = ""
        self._mirror = mirror
        self._cluster = cluster
        self._namespace = namespace
        self._path = f"/{api}/namespaces/{namespace}/{mirror.plural}" if namespace else f"/{api}/{mirror.plural}"
        self._selector = label_selector
        self._version = 0
        self._stale = 0
        self._list_due = 0.0  # monotonic

    async def run(self) -> None:
        pause = first = self._cluster.limits.pause
        while True:
            began = time.monotonic()
            try:
                if began >= self._list_due:
                    await self._list()
                await self._watch()
            except Unavailable as error:
                self._note(error)
            except ApiError as error:
                self._list_due = 0.0
                if not isinstance(error, Gone):
                    self._note(error)
            except Exception as error:  # noqa: BLE001  # the copy must outlive what nobody thought of
                self._list_due = 0.0
                self._note(error)
                _log.exception("mirror of %s: unexpected error; listing again", self._path)
            pause = first if time.monotonic() - began > 1 else min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret

    def _note(self, error: Exception) -> None:
        trouble = f"{type(error).__name__}: {error}"
        if trouble != self.trouble:
            _log.warning("watch of %s: %s", self._path, trouble)
        self.trouble = trouble

    def _hear(self) -> None:
        self.heard = time.monotonic()
        self.trouble = ""

    async def _list(self) -> None:
        listed: set[Key] = set()
        version = 0
        async with aclosing(self._cluster.pages(self._path, label_selector=self._selector)) as pages:
            async for page, text in pages:
                version = int(text)
                self._believe(version)
                for raw in page:
                    meta = _decode_head(raw).metadata
                    listed.add((meta.namespace, meta.name))
                    self._mirror.put(raw, meta)
                self._hear()
        self._mirror.settle(self._namespace, listed, version)
        self._version = version
        self._stale = 0
        self._list_due = time.monotonic() + RELIST_SECONDS
        self.listed += 1
        self.first_list.set()

    def _believe(self, version: int) -> None:
        if version >= self._version:
            return
        self._stale += 1
        if self._stale <= STALE_LISTS:
            raise Gone(f"a list at version {version} is older than what is known ({self._version})")
        _log.warning("list of %s went back from version %s to %s", self._path, self._version, version)
        self._mirror.forget_versions(self._namespace)
        self._version = version

    async def _watch(self) -> None:
        watch = self._cluster.watch(
            self._path,
            resource_version=str(self._version),
            label_selector=self._selector,
            seconds=random.randint(*WATCH_SECONDS),  # noqa: S311  # no secret
        )
        async with aclosing(watch) as lines:
            async for line in lines:
                self._hear()
                if line:
                    self._take(_decode_event(line))

    def _take(self, event: _Event) -> None:
        head = _decode_head(event.object)
        if event.type == "ERROR":
            raise (Gone if head.code == 410 else ApiError)(f"ERROR event: {head.message}", status=head.code)
        version = int(head.metadata.resource_version)
        if event.type == "DELETED":
            self._mirror.remove((head.metadata.namespace, head.metadata.name), version)
        elif event.type != "BOOKMARK":
            self._mirror.put(event.object, head.metadata)
        self._version = max(self._version, version)
