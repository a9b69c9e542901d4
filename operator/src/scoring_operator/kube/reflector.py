"""The list and the watch of one namespace, which keep an informer's objects up to date.

The list of a namespace that fails is retried for ever. It does not delay the other namespaces.
"""

import asyncio
import logging
import random
import time
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

import msgspec

from scoring_operator.errors import ApiError, Gone, Unavailable
from scoring_operator.kube.client import KubeClient

Key = tuple[str, str]
"""The namespace and the name of an object."""

WATCH_TIMEOUT_SECONDS = (290, 590)  # the range of a watch's length, so that watches do not end at the same time
MAX_STALE_LISTS = 3  # older lists in a row are ignored; after that the server has an older state (a restored backup)
MAX_RETRY_DELAY_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Metadata(Protocol):
    """The metadata that identify a version of an object."""

    @property
    def name(self) -> str:
        """The name."""

    @property
    def namespace(self) -> str:
        """The namespace."""

    @property
    def resource_version(self) -> str:
        """The resource version."""


class KubernetesObject(Protocol):
    """An object that an informer holds."""

    @property
    def metadata(self) -> Metadata:
        """The metadata."""


T = TypeVar("T", bound=KubernetesObject)
T_contra = TypeVar("T_contra", bound=KubernetesObject, contravariant=True)


class _HeadMetadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Head(msgspec.Struct):
    metadata: _HeadMetadata = msgspec.field(default_factory=_HeadMetadata)


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Added(msgspec.Struct, Generic[T], tag_field="type", tag="ADDED"):
    object: T


class _Modified(msgspec.Struct, Generic[T], tag_field="type", tag="MODIFIED"):
    object: T


class _Deleted(msgspec.Struct, tag_field="type", tag="DELETED"):
    object: _Head


class _Bookmark(msgspec.Struct, tag_field="type", tag="BOOKMARK"):
    object: _Head


class _Error(msgspec.Struct, tag_field="type", tag="ERROR"):
    object: _Status


class Store(Protocol[T_contra]):
    """The objects that a reflector updates."""

    def upsert(self, new: T_contra) -> bool:
        """Store an object, unless a newer version of it is known; return False if it is not held."""

    def remove(self, key: Key, version: int) -> None:
        """Remove an object, unless a newer version of it is known."""

    def reset_versions(self, namespace: str) -> None:
        """Accept any next version of the objects of a namespace."""

    def replace_all(self, namespace: str, listed: set[Key], version: int) -> None:
        """Remove the objects that a complete list does not contain."""


class Reflector(Generic[T]):
    """The list and the watch of one namespace.

    Args:
        store: The objects to update.
        client: The client of the API server.
        type: The type that an object is decoded to.
        api: The prefix of the path, such as "apis/batch/v1".
        plural: The resource, such as "jobs".
        namespace: The namespace; empty for all namespaces.
        label_selector: The label selector in Kubernetes' notation; empty for all objects.
        relist_interval: The seconds after which the collection is listed again.

    Attributes:
        namespace: The namespace; empty for all namespaces.
        list_count: The number of completed lists.
        first_list_done: Set after the first list.
        first_try_done: Set after the first list or its first failure.
        last_activity: The monotonic time of the last byte of a list or a watch.
        last_error: Why the namespace cannot be listed or watched now; empty without an error.
    """

    def __init__(
        self,
        store: Store[T],
        client: KubeClient,
        *,
        type: type[T],  # noqa: A002  # the usual name of such an argument, as in msgspec
        api: str,
        plural: str,
        namespace: str,
        label_selector: str,
        relist_interval: float,
    ) -> None:
        self.namespace = namespace
        self.list_count = 0
        self.first_list_done = asyncio.Event()
        self.first_try_done = asyncio.Event()
        self.last_activity = time.monotonic()
        self.last_error = ""
        self._store = store
        self._client = client
        self._decode_object = msgspec.json.Decoder(type).decode
        events = _Added[type] | _Modified[type] | _Deleted | _Bookmark | _Error  # type: ignore[valid-type]
        self._decode_event = msgspec.json.Decoder(events).decode
        self._path = f"/{api}/namespaces/{namespace}/{plural}" if namespace else f"/{api}/{plural}"
        self._selector = label_selector
        self._relist_interval = relist_interval
        self._version = 0
        self._stale_lists = 0
        self._next_list_at = 0.0  # monotonic

    async def run(self) -> None:
        """List and watch until the task is cancelled."""
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
        self.first_try_done.set()
        if isinstance(error, ApiError) and error.status:
            self.last_activity = time.monotonic()  # the server responds, and the process is not the reason

    def _mark_alive(self) -> None:
        self.last_activity = time.monotonic()
        if self.last_error:
            _log.info("watch of %s: it works again", self._path)
        self.last_error = ""

    async def _list(self) -> None:
        listed: set[Key] = set()
        version = 0
        async with aclosing(self._client.pages(self._path, label_selector=self._selector)) as pages:
            async for page, text in pages:
                version = int(text)
                self._check_version(version)
                for new in map(self._decode_object, page):
                    if self._store.upsert(new):
                        listed.add((new.metadata.namespace, new.metadata.name))
                self._mark_alive()
        self._store.replace_all(self.namespace, listed, version)
        self._version = version
        self._stale_lists = 0
        self._next_list_at = time.monotonic() + self._relist_interval
        self.list_count += 1
        self.first_list_done.set()
        self.first_try_done.set()

    def _check_version(self, version: int) -> None:
        if version >= self._version:
            return
        self._stale_lists += 1
        if self._stale_lists <= MAX_STALE_LISTS:
            raise Gone(f"a list has version {version}, which is older than the known version {self._version}")
        _log.warning("list of %s went back from version %s to %s", self._path, self._version, version)
        self._store.reset_versions(self.namespace)
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
                    self._handle_event(self._decode_event(line))

    def _handle_event(self, event: "_Added[T] | _Modified[T] | _Deleted | _Bookmark | _Error") -> None:
        if isinstance(event, _Error):
            status = event.object
            raise (Gone if status.code == 410 else ApiError)(f"ERROR event: {status.message}", status=status.code)
        meta = event.object.metadata
        version = int(meta.resource_version)
        if isinstance(event, _Deleted):
            self._store.remove((meta.namespace, meta.name), version)
        elif not isinstance(event, _Bookmark):
            self._store.upsert(event.object)
        self._version = max(self._version, version)
