"""The transport of Azure's SDK: it limits responses in time and size, and shortens listings of names."""

import errno
import io
import time
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError

from scoring_operator.storage.limits import DEFAULT_LIMITS, StorageLimits

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20


class LimitedTransport(RequestsTransport):  # type: ignore[misc]  # azure.core exports it without a type
    """A transport whose responses have a limit of size and time.

    Args:
        limits: The limits of a response.
    """

    def __init__(self, limits: StorageLimits = DEFAULT_LIMITS) -> None:
        super().__init__(connection_timeout=CONNECT_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS)
        self._limits = limits

    def open(self) -> None:
        """Open the session."""
        super().open()
        for prefix in ("http://", "https://"):
            self.session.mount(prefix, _TimedAdapter(self._limits.response_timeout))
        self.session.hooks["response"] = [partial(limit_body, max_bytes=self._limits.max_body_bytes), strip_properties]


class _TimedReader(io.RawIOBase):
    """The socket of a response, which can be read for some seconds."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw, self._ends_at = raw, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._ends_at:
            raise TimeoutError(errno.ETIME, "the response takes too long")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _timed_pools(seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    """Return the types of urllib3's pools by scheme. Their responses have a limit of time."""

    def timed_response(*arguments: Any, **more: Any) -> Any:
        response: Any = HTTPConnection.response_class(*arguments, **more)  # it is not read yet
        response.fp = io.BufferedReader(_TimedReader(response.fp.detach(), seconds))
        return response

    class Connection(HTTPConnection):
        response_class = staticmethod(timed_response)  # type: ignore[assignment]

    class TlsConnection(HTTPSConnection):
        response_class = staticmethod(timed_response)  # type: ignore[assignment]

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    return {"http": Pool, "https": TlsPool}


class _TimedAdapter(HTTPAdapter):
    """An adapter whose responses have a limit of time, and which repeats no request."""

    def __init__(self, seconds: float) -> None:
        self._pools = _timed_pools(seconds)
        super().__init__(max_retries=Retry(total=False, redirect=False))

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *arguments: Any, **more: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **more)
        manager.pool_classes_by_scheme = self._pools
        return manager


def limit_body(response: requests.Response, *, max_bytes: int, **_: Any) -> None:
    """Limit the size of the body of a response, which is not read yet.

    Args:
        response: The response.
        max_bytes: The limit.

    Raises:
        ChunkedEncodingError: The response states a size above the limit.
    """
    size = response.headers.get("Content-Length", "")
    if response.request.method != "HEAD" and size.isdecimal() and float(size) > max_bytes:
        response.close()
        raise ChunkedEncodingError(f"the response has more than {max_bytes:,} bytes")
    raw: Any = weakref.proxy(response.raw)  # an unread response is closed as soon as it is dropped
    response.raw.stream = partial(_limited_parts, raw, max_bytes)


def strip_properties(response: requests.Response, **_: Any) -> None:
    """Remove the properties of blobs from a listing of names before the SDK parses it.

    Properties are not used, but cause most of the CPU time and memory of a large listing.
    """
    query = parse_qs(urlsplit(response.url).query)
    if response.ok and query.get("comp") == ["list"] and "include" not in query:
        head, *blobs = response.content.split(b"<Properties>")
        rest = (blob.partition(b"</Blob>")[2] for blob in blobs)
        response._content = b"</Blob>".join([head, *rest])  # noqa: SLF001  # requests has no public setter


def _limited_parts(
    raw: BaseHTTPResponse,
    max_bytes: int,
    size: int,
    decode_content: bool | None = None,  # noqa: FBT001  the signature of urllib3
) -> Iterator[bytes]:
    """Yield the parts of a body. Raises ProtocolError if it is larger than the limit."""
    left = max_bytes
    for part in raw.__class__.stream(raw, size, decode_content):  # type() is that of the weak reference
        left -= len(part)
        if left < 0:
            raw.close()
            raise ProtocolError(OSError(errno.EFBIG, "the response is too large"))
        yield part
