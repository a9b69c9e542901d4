"""The Kubernetes API's verbs, and what to do when the API server refuses one.

Reads are repeated until they have an answer. A write goes out once: where its answer is lost, `Unavailable` is raised
and the engine's next pass finds out whether it was done. A write that the server turned away for coming too fast (429)
was not done: it waits as long as the server says and goes out again.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from scoring_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    LeaseLost,
    NotFound,
    QuotaExceeded,
    Throttled,
    Unavailable,
)
from scoring_operator.kube import credentials as credentials_module
from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.limiter import AdaptiveLimiter
from scoring_operator.kube.transport import Observer, Request, Transport

__all__ = [
    "AlreadyExists",
    "ApiError",
    "KubeClient",
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "LeaseLost",
    "NotFound",
    "QuotaExceeded",
    "Throttled",
    "Unavailable",
]

T = TypeVar("T")
Object = dict[str, Any]
Page = tuple[list[msgspec.Raw], str]  # items and resource version; `list` is a method's name below
Listing = tuple[list[T], str]


@dataclass(frozen=True)
class ClientTimeouts:
    """How long to wait for the API server, in seconds, and how much to ask at once."""

    request: float = 30.0
    page: float = 60.0  # one page of a list
    retry_budget: float = 60.0  # how long one call goes on repeating a request
    idle: float = 75.0  # the server sends a bookmark each minute: a watch without one is dead
    initial_backoff: float = 0.2  # before the first repetition; each further one doubles it
    page_size: int = 200  # a Job of 50 devices is 10 KB


_DEFAULT_TIMEOUTS = ClientTimeouts()


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_page = msgspec.json.Decoder(_Page).decode


class KubeClient:
    """An API server as one account sees it. Use `async with Cluster.connect() as cluster`."""

    def __init__(
        self, transport: Transport, timeouts: ClientTimeouts, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        self._transport = transport
        self.timeouts = timeouts
        self._may_write = may_write
        self._retry_not_before: dict[str, float] = {}  # monotonic, for requests that were given up while throttled
        self.limiter = AdaptiveLimiter()

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        credentials: Credentials | None = None,
        *,
        observer: Observer | None = None,
        timeouts: ClientTimeouts = _DEFAULT_TIMEOUTS,
    ) -> AsyncIterator["KubeClient"]:
        """Open a connection pool; nothing is sent yet.

        Args:
            credentials: As whom; None: as the environment says (KUBECONFIG, or the pod's service account).
            observer: Told of each answer.
            limits: How long to wait.

        Raises:
            SettingsInvalid: There are no credentials.
        """
        account = credentials or credentials_module.load(os.environ)
        async with Transport.open(account, observer, timeouts.request) as transport:
            yield cls(transport, timeouts)

    def with_fence(self, may_write: Callable[[], bool]) -> "KubeClient":
        """Give the same cluster, but one to which nothing is written, not even a repetition, unless `may_write()`."""
        return KubeClient(self._transport, self.timeouts, may_write)

    def now(self) -> datetime:
        """Give the API server's time, in UTC."""
        return self._transport.clock.now()

    async def get(self, path: str) -> Object:
        """Read one object. Raises `NotFound` and the other `ApiError`s."""
        return _decode_object(await self._send_with_retry(Request("GET", path), (Throttled, Unavailable)))

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        type: type[T],  # noqa: A002  # the word that says it
    ) -> Listing[T]:
        """Read a collection.

        Args:
            path: Of the collection.
            label_selector: In Kubernetes' notation; empty: all.
            field_selector: In Kubernetes' notation; empty: all.
            type: What each item is decoded to.

        Returns:
            The items, and the resource version that a watch may go on from.

        Raises:
            ApiError: As its type says; `Gone` where the collection changed too much while it was read.
        """
        items: Listing[T] = ([], "")
        decode = msgspec.json.Decoder(type).decode
        pages = self.pages(path, label_selector=label_selector, field_selector=field_selector)
        async with aclosing(pages):
            async for page, version in pages:
                items[0].extend(decode(item) for item in page)
                items = (items[0], version)
        return items

    async def pages(
        self, path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncGenerator[Page, None]:
        """Read a collection page by page, so that 100,000 objects are never in memory at once; else like `list`."""
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        query = {"limit": str(self.timeouts.page_size)} | {key: value for key, value in selectors.items() if value}
        while True:
            request = Request("LIST", path, query, timeout=self.timeouts.page)
            page = _decode_page(await self._send_with_retry(request, (Throttled, Unavailable)))
            yield page.items or [], page.metadata.resource_version
            if not page.metadata.continue_:
                return
            query = query | {"continue": page.metadata.continue_}

    async def watch(
        self, path: str, *, resource_version: str, label_selector: str = "", seconds: int
    ) -> AsyncGenerator[bytes, None]:
        """Follow a collection's changes, one JSON line per event, bookmarks among them, until the server closes.

        Args:
            path: Of the collection.
            resource_version: Changes after this one.
            label_selector: In Kubernetes' notation; empty: all.
            seconds: After which the server should close.

        Raises:
            Unavailable: The connection broke, or nothing came for 75 seconds.
            ApiError: The server refused the watch; `Gone` where the resource version is too old.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        } | ({"labelSelector": label_selector} if label_selector else {})
        request = Request("WATCH", path, query, idle_timeout=self.timeouts.idle)
        async with self._transport.send(request) as response:
            pending = b""
            async for chunk in response.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    yield line

    async def create(self, path: str, body: Object | bytes) -> Object:
        """Create an object in a collection; gives back its metadata as the server stored them.

        Raises:
            AlreadyExists: There is one of that name: look whose it is.
            Unavailable: It may or may not have been created.
            ApiError: As its type says.
        """
        encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return _decode_object(
            await self._send_with_retry(Request("POST", path, body=encoded), (Throttled,), self.limiter)
        )

    async def patch(
        self, path: str, body: Object, *, resource_version: str | None = None, subresource: str = ""
    ) -> Object:
        """Change an object by a merge patch; one of a subresource (status) goes ahead of all other writes.

        Args:
            path: Of the object.
            body: The patch.
            resource_version: The patch counts only for this version of the object.
            subresource: Such as "status".

        Raises:
            Conflict: The object has another version.
            ApiError: As its type says.
        """
        if resource_version is not None:
            body = body | {"metadata": body.get("metadata", {}) | {"resourceVersion": resource_version}}
        whole = f"{path}/{subresource}" if subresource else path
        request = Request("PATCH", whole, body=msgspec.json.encode(body), content_type="application/merge-patch+json")
        return _decode_object(await self._send_with_retry(request, (Throttled,), None if subresource else self.limiter))

    async def replace(self, path: str, body: Object) -> Object:
        """Put an object in the place of the version that its `metadata.resourceVersion` names (compare and swap).

        Gives back its new metadata.

        Raises:
            Conflict: The object has another version.
            ApiError: As its type says.
        """
        request = Request("PUT", path, body=msgspec.json.encode(body))
        return _decode_object(await self._send_with_retry(request, (Throttled,)))

    async def delete(self, path: str, *, uid: str | None = None) -> None:
        """Delete an object; what it owns is collected in the background.

        Args:
            path: Of the object.
            uid: Delete only the object with this uid.

        Raises:
            NotFound: It is gone already.
            Conflict: It is another object of the same name.
            ApiError: As its type says.
        """
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        await self._send_with_retry(
            Request("DELETE", path, body=msgspec.json.encode(options)), (Throttled,), self.limiter
        )

    async def _send_with_retry(
        self, request: Request, retryable: tuple[type[ApiError], ...], limiter: AdaptiveLimiter | None = None
    ) -> bytes:
        """Send, and send again while the refusal is one of those that pass, for at most the patience of `limits`."""
        description = str(request)
        await asyncio.sleep(self._retry_not_before.get(description, 0.0) - time.monotonic())
        self._retry_not_before.pop(description, None)
        deadline = time.monotonic() + self.timeouts.retry_budget
        step = self.timeouts.initial_backoff
        while True:
            if request.method != "GET" and not self._may_write():
                raise LeaseLost("this operator is not the active one", request=description)
            try:
                return await (limiter.run(self._send(request), Throttled) if limiter else self._send(request))
            except retryable as error:
                pause = max(step, error.retry_after or 0.0) * random.uniform(1.0, 1.25)  # noqa: S311  # no secret
                if time.monotonic() + pause > deadline:
                    self._retry_not_before[description] = time.monotonic() + min(
                        error.retry_after or 0.0, self.timeouts.retry_budget
                    )
                    raise
            await asyncio.sleep(pause)
            step = min(2 * step, 10.0)

    async def _send(self, request: Request) -> bytes:
        async with self._transport.send(request) as response:
            return await response.read()
