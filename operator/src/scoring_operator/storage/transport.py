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

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20
MAX_BODY_BYTES = 64 * 2**20
"""The size of a response's body: a page of 1,000 blobs with 8 KiB of metadata each has 9 MB."""

MAX_RESPONSE_SECONDS = 150
"""The time of a whole response, from its header to its trailer. The read timeout is that of one part of it."""


class LimitedTransport(RequestsTransport):  # type: ignore[misc]  # azure.core exports it without a type
    """A transport whose responses have a limit of size and time."""

    def __init__(self) -> None:
        super().__init__(connection_timeout=CONNECT_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS)

    def open(self) -> None:
        """Open the session."""
        super().open()
        for prefix in ("http://", "https://"):
            self.session.mount(prefix, _TimedAdapter(max_retries=Retry(total=False, redirect=False)))
        self.session.hooks["response"] = [limit_body, strip_properties]


class _TimedReader(io.RawIOBase):
    """The socket of a response, which can be read for MAX_RESPONSE_SECONDS."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw, self._ends_at = raw, time.monotonic() + MAX_RESPONSE_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._ends_at:
            raise TimeoutError(errno.ETIME, "the response takes too long")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _timed_response(*arguments: Any, **more: Any) -> Any:
    """Return a response of the standard library, which is not read yet, with a limit of time."""
    response: Any = HTTPConnection.response_class(*arguments, **more)
    response.fp = io.BufferedReader(_TimedReader(response.fp.detach()))
    return response


class _TimedConnection(HTTPConnection):
    response_class = staticmethod(_timed_response)  # type: ignore[assignment]


class _TimedTlsConnection(HTTPSConnection):
    response_class = staticmethod(_timed_response)  # type: ignore[assignment]


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


_POOLS = {"http": _TimedPool, "https": _TimedTlsPool}


class _TimedAdapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *arguments: Any, **more: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **more)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def limit_body(response: requests.Response, **_: Any) -> None:
    """Limit the size of the body of a response, which is not read yet.

    Raises:
        ChunkedEncodingError: The response states a size above the limit.
    """
    size = response.headers.get("Content-Length", "")
    if response.request.method != "HEAD" and size.isdecimal() and float(size) > MAX_BODY_BYTES:
        response.close()
        raise ChunkedEncodingError(f"the response has more than {MAX_BODY_BYTES:,} bytes")
    raw: Any = weakref.proxy(response.raw)  # an unread response is closed as soon as it is dropped
    response.raw.stream = partial(_limited_parts, raw)


def strip_properties(response: requests.Response, **_: Any) -> None:
    """Remove the properties of blobs from a listing of names before the SDK parses it.

    Properties are not used, but cause most of the CPU time and memory of a large listing.
    """
    query = parse_qs(urlsplit(response.url).query)
    if response.ok and query.get("comp") == ["list"] and "include" not in query:
        head, *blobs = response.content.split(b"<Properties>")
        rest = (blob.partition(b"</Blob>")[2] for blob in blobs)
        response._content = b"</Blob>".join([head, *rest])  # noqa: SLF001  # requests has no public setter


def _limited_parts(raw: BaseHTTPResponse, size: int, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: FBT001  the signature of urllib3
    """Yield the parts of a body. Raises ProtocolError if it is larger than MAX_BODY_BYTES."""
    left = MAX_BODY_BYTES
    for part in raw.__class__.stream(raw, size, decode_content):  # type() is that of the weak reference
        left -= len(part)
        if left < 0:
            raw.close()
            raise ProtocolError(OSError(errno.EFBIG, "the response is too large"))
        yield part
