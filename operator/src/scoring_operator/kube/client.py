"""The verbs of the Kubernetes API, and the retries of transient errors.

A read is retried until it succeeds or the retry budget is used up. A write is sent once: if its response is lost,
`Unavailable` is raised, and the next pass finds out whether the write was applied. A throttled write (429) was not
applied, so it is retried after the delay of the header Retry-After (RFC 9110, section 10.2.3).
"""

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from scoring_operator.errors import ApiError, LeaseLost, Throttled, Unavailable
from scoring_operator.kube.credential_sources import load_credentials
from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.limiter import AdaptiveLimiter
from scoring_operator.kube.listing import Listing, ListLimits, Page, read_list, read_pages
from scoring_operator.kube.transport import Observer, Request, Transport, read_content

T = TypeVar("T")
Object = dict[str, Any]

# The API server compares the JSON text of an operation `test`, in which Go's encoder escapes these characters.
_GO_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

MAX_READS = 64  # at once, with the patches of status; each of thousands of runs has a request at the start


@dataclass(frozen=True)
class ClientTimeouts:
    """Time limits of requests, in seconds, the size of a page, and the limits of lists.

    Attributes:
        request: The time limit of a request.
        page: The time limit of one page of a list.
        retry_budget: The time limit of one call, including its retries.
        idle: The time without a byte after which a watch is dead. The server sends a bookmark every minute.
        initial_backoff: The delay before the first retry. Each retry doubles the delay, up to 10 seconds.
        page_size: The number of objects in a page. A Job of 50 devices has 10 KB.
        lists: The limits of lists.
    """

    request: float = 30.0
    page: float = 60.0
    retry_budget: float = 60.0
    idle: float = 75.0
    initial_backoff: float = 0.2
    page_size: int = 200
    lists: ListLimits = field(default_factory=ListLimits)


_DEFAULT_TIMEOUTS = ClientTimeouts()


_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class KubeClient:
    """A client of one API server with one account, created by `async with KubeClient.connect() as client`.

    Args:
        transport: The connections to the API server.
        timeouts: The time limits of requests.
        may_write: The fence, checked before each write and each retry of a write.
    """

    def __init__(
        self, transport: Transport, timeouts: ClientTimeouts, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        self._transport = transport
        self.timeouts = timeouts
        self._may_write = may_write
        self._retry_not_before: dict[
            str, float
        ] = {}  # monotonic, for throttled requests that used up their retry budget
        self._lists: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(timeouts.lists.max_lists)
        )
        self.limiter = AdaptiveLimiter()
        self._reads = AdaptiveLimiter(MAX_READS, MAX_READS)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        credentials: Credentials | None = None,
        *,
        observer: Observer | None = None,
        timeouts: ClientTimeouts = _DEFAULT_TIMEOUTS,
        transport_type: type[Transport] = Transport,
    ) -> AsyncIterator["KubeClient"]:
        """Open a pool of connections without sending a request.

        Args:
            credentials: The server and the account. The default is from the environment: KUBECONFIG, or the pod's
                service account.
            observer: The function that gets the verb and the status code of each response.
            timeouts: The time limits of requests.
            transport_type: The type of the connections.

        Raises:
            InvalidSettings: The environment has no credentials.
        """
        account = credentials or load_credentials(os.environ)
        async with transport_type.open(account, observer, timeouts.request) as transport:
            yield cls(transport, timeouts)

    def with_fence(self, may_write: Callable[[], bool]) -> "KubeClient":
        """Return a client with the same connections that sends a write only while `may_write()` is True."""
        return KubeClient(self._transport, self.timeouts, may_write)

    @property
    def next_response_is_urgent(self) -> bool:
        """Whether a response lets another request be sent: one waits for a slot, or a single one is in flight."""
        limiters = (self.limiter, self._reads)
        return any(one.has_waiting for one in limiters) or sum(one.in_flight for one in limiters) == 1

    def now(self) -> datetime:
        """Return the API server's current time, in UTC."""
        return self._transport.clock.now()

    async def get(self, path: str) -> Object:
        """Return one object.

        Args:
            path: The path of the object.

        Raises:
            NotFound: The object does not exist.
            ApiError: The request failed; the type says why.
        """
        return _decode_object(await self._send_with_retry(Request("GET", path), (Throttled, Unavailable)))

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        max_items: int | None = None,
        type: type[T],  # noqa: A002  # the usual name of such an argument, as in msgspec
    ) -> Listing[T]:
        """Return a collection, or its first part: no further page is read when a limit is reached.

        Args:
            path: The path of the collection.
            label_selector: The label selector in Kubernetes' notation. The default selects all objects.
            field_selector: The field selector in Kubernetes' notation. The default selects all objects.
            max_items: The number of items after which no further page is read. The default is 10,000.
            type: The type that each item is decoded to.

        Raises:
            Gone: The resource version of the list expired between two pages.
            ApiError: The request failed; the type says why.
        """
        pages = self.pages(path, label_selector=label_selector, field_selector=field_selector)
        async with self._lists[_namespace(path)]:
            return await read_list(pages, msgspec.json.Decoder(type).decode, self.timeouts.lists, max_items=max_items)

    async def pages(
        self, path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncGenerator[Page, None]:
        """Yield a collection page by page, so that 100,000 objects are never in memory at once.

        Args:
            path: The path of the collection.
            label_selector: The label selector in Kubernetes' notation. The default selects all objects.
            field_selector: The field selector in Kubernetes' notation. The default selects all objects.

        Yields:
            The undecoded items of a page, and the resource version of the list.

        Raises:
            Gone: The resource version of the list expired between two pages.
            ApiError: The request failed; the type says why.
        """
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        query = {key: value for key, value in selectors.items() if value}

        async def send(request: Request) -> bytes:
            return await self._send_with_retry(request, (Throttled, Unavailable))

        request = Request("LIST", path, query, timeout=self.timeouts.page)
        async with aclosing(read_pages(send, request, self.timeouts.page_size, self.timeouts.lists)) as pages:
            async for page in pages:
                yield page

    async def watch(
        self, path: str, *, resource_version: str, label_selector: str = "", seconds: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield the events of a collection, one JSON line each, bookmarks included, until the server ends the watch.

        Args:
            path: The path of the collection.
            resource_version: The resource version after which the events begin.
            label_selector: The label selector in Kubernetes' notation. The default selects all objects.
            seconds: The time in seconds after which the server ends the watch.

        Raises:
            Unavailable: The connection broke, or no byte arrived for `timeouts.idle` seconds.
            Gone: The resource version has expired.
            ApiError: The server rejected the watch; the type says why.
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
        """Create an object and return its metadata as stored by the server.

        Args:
            path: The path of the collection.
            body: The object, or its JSON text.

        Raises:
            AlreadyExists: An object of this name exists; the caller checks its owner.
            Unavailable: It is unknown whether the object was created.
            ApiError: The request failed; the type says why.
        """
        encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return _decode_object(
            await self._send_with_retry(Request("POST", path, body=encoded), (Throttled,), self.limiter)
        )

    async def patch(
        self, path: str, body: Object, *, resource_version: str | None = None, subresource: str = ""
    ) -> Object:
        """Apply a merge patch to an object and return the object; a patch of a subresource does not wait for creates.

        Args:
            path: The path of the object.
            body: The patch.
            resource_version: The version that the object must have. The default accepts every version.
            subresource: The name of a subresource, such as "status".

        Raises:
            Conflict: The object has another version.
            ApiError: The request failed; the type says why.
        """
        if resource_version is not None:
            body = body | {"metadata": body.get("metadata", {}) | {"resourceVersion": resource_version}}
        return await self._patch(path, msgspec.json.encode(body), "application/merge-patch+json", subresource)

    async def json_patch(self, path: str, operations: Sequence[Object], *, subresource: str = "") -> Object:
        """Apply a JSON patch to an object and return the object; a patch of a subresource does not wait for creates.

        Args:
            path: The path of the object.
            operations: The operations of the patch (RFC 6902).
            subresource: The name of a subresource, such as "status".

        Raises:
            Invalid: An operation `test` failed, or the new object is invalid.
            ApiError: The request failed; the type says why.
        """
        text = msgspec.json.encode(operations).decode().translate(_GO_ESCAPES)
        return await self._patch(path, text.encode(), "application/json-patch+json", subresource)

    async def _patch(self, path: str, body: bytes, content_type: str, subresource: str) -> Object:
        whole = f"{path}/{subresource}" if subresource else path
        request = Request("PATCH", whole, body=body, content_type=content_type)
        return _decode_object(await self._send_with_retry(request, (Throttled,), None if subresource else self.limiter))

    async def replace(self, path: str, body: Object) -> Object:
        """Replace an object and return its new metadata, if the object still has the `metadata.resourceVersion`.

        Args:
            path: The path of the object.
            body: The new object, with the resource version of the old one.

        Raises:
            Conflict: The object has another version.
            ApiError: The request failed; the type says why.
        """
        request = Request("PUT", path, body=msgspec.json.encode(body))
        return _decode_object(await self._send_with_retry(request, (Throttled,)))

    async def delete(self, path: str, *, uid: str | None = None, resource_version: str | None = None) -> None:
        """Delete an object; the garbage collector deletes its dependents in the background.

        Args:
            path: The path of the object.
            uid: The uid that the object must have. The default accepts every uid.
            resource_version: The version that the object must have. The default accepts every version.

        Raises:
            NotFound: The object does not exist.
            Conflict: The object has another uid or version.
            ApiError: The request failed; the type says why.
        """
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if any(preconditions.values()):
            options["preconditions"] = {key: value for key, value in preconditions.items() if value}
        await self._send_with_retry(
            Request("DELETE", path, body=msgspec.json.encode(options)), (Throttled,), self.limiter
        )

    async def _send_with_retry(
        self, request: Request, retryable: tuple[type[ApiError], ...], limiter: AdaptiveLimiter | None = None
    ) -> bytes:
        """Send a request and retry transient errors until `timeouts.retry_budget` is used up.

        The requests of all namespaces take turns, so that none waits for thousands of another one. A Lease has to be
        renewed in time, so its requests do not wait.
        """
        limiter = limiter or self._reads
        description = str(request)
        await asyncio.sleep(self._retry_not_before.get(description, 0.0) - time.monotonic())
        self._retry_not_before.pop(description, None)
        deadline = time.monotonic() + self.timeouts.retry_budget
        step = self.timeouts.initial_backoff
        while True:
            try:
                if "/leases" in request.path:
                    return await self._send(request)
                return await limiter.run(self._send(request), Throttled, _namespace(request.path))
            except retryable as error:
                pause = max(step, error.retry_after or 0.0) * random.uniform(1.0, 1.25)  # noqa: S311  # not a secret
                if time.monotonic() + pause > deadline:
                    self._retry_not_before[description] = time.monotonic() + min(
                        error.retry_after or 0.0, self.timeouts.retry_budget
                    )
                    raise
            await asyncio.sleep(pause)
            step = min(2 * step, 10.0)

    async def _send(self, request: Request) -> bytes:
        if request.method != "GET" and not self._may_write():  # after the wait for a slot
            raise LeaseLost("this process is not the leader", request=str(request))
        async with self._transport.send(request) as response:
            return await read_content(response, request)


def _namespace(path: str) -> str:
    """Return the namespace of a path; empty for a path of the cluster."""
    return path.partition("/namespaces/")[2].partition("/")[0]
