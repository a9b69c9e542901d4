"""One HTTP exchange with the API server: TLS, token, server time, and error responses as typed exceptions.

`client` decides which errors are retried.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from scoring_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    InvalidSettings,
    NotFound,
    QuotaExceeded,
    ResponseTooLarge,
    Throttled,
    Unavailable,
)
from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.server_clock import ServerClock

Observer = Callable[[str, int], None]
"""A function that gets the verb and the HTTP status of each response (0: no response)."""

ACCEPT_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
"""The Accept header of POST and PUT: return only metadata, because the caller already has the object."""

CONNECT_TIMEOUT_SECONDS = 10.0
MAX_TOKEN_AGE_SECONDS = 10.0  # then the token's file is read again
QUOTA_TEXTS = ("exceeded quota", "status unknown for quota")  # the second until a new ResourceQuota has its usage


@dataclass(frozen=True)
class Request:
    """A request to the API server.

    Attributes:
        verb: The HTTP method, or LIST or WATCH.
        path: The path without a query.
        query: The parameters of the query.
        body: The body, if the method has one.
        content_type: The media type of the body.
        timeout: The time limit of the whole exchange in seconds. The default is that of the transport.
        idle_timeout: The time limit between two bytes in seconds. If it is set, `timeout` does not apply.
        max_bytes: The largest response that is read whole; None for no limit.
    """

    verb: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    timeout: float | None = None
    idle_timeout: float | None = None
    max_bytes: int | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.verb in ("LIST", "WATCH") else self.verb

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


class Transport:
    """A pool of connections to one API server with one account, created by `open`."""

    def __init__(
        self,
        credentials: Credentials,
        session: aiohttp.ClientSession,
        observer: Observer | None,
        timeout_seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.clock = ServerClock()
        self._credentials = credentials
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._observe = observer or (lambda _verb, _status: None)
        self._authorization: str | None = None
        self._token_read_at = -MAX_TOKEN_AGE_SECONDS
        self._tls = tls

    @classmethod
    @asynccontextmanager
    async def open(
        cls, credentials: Credentials, observer: Observer | None, timeout_seconds: float
    ) -> AsyncIterator["Transport"]:
        """Open the pool without sending a request.

        Args:
            credentials: The server and the account.
            observer: The function that gets the verb and the status code of each response.
            timeout_seconds: The default time limit of an exchange.
        """
        tls = credentials.ssl_context()
        connector = aiohttp.TCPConnector(limit=0, ssl=tls, keepalive_timeout=60)
        # Uncompressed: the server is near, and decompression costs more than the transfer.
        headers = [
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", "fleetscore-operator"),
            *credentials.headers,
        ]
        async with aiohttp.ClientSession(connector=connector, headers=headers, proxy=credentials.proxy) as session:
            yield cls(credentials, session, observer, timeout_seconds, tls)

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield its response; after status 401 read the token again and retry once.

        Raises:
            ApiError: The response is an error or is missing; the type says which.
        """
        try:
            response = await self._send_once(request)
            if response.status == 401:
                response.release()
                await self._renew_identity()
                response = await self._send_once(request)
            async with response:
                if response.status >= 400:
                    raise _error_for(response, await response.read(), str(request))
                yield response
        except InvalidSettings as error:
            raise Forbidden(str(error), request=str(request)) from error
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            self._observe(request.verb, 0)
            raise Unavailable(f"{type(error).__name__}: {error}".rstrip(": "), request=str(request)) from error

    async def _send_once(self, request: Request) -> aiohttp.ClientResponse:
        query = f"?{urlencode(request.query)}" if request.query else ""
        headers = {"Content-Type": request.content_type} if request.body is not None else {}
        if request.method in ("POST", "PUT"):
            headers["Accept"] = ACCEPT_METADATA
        if authorization := await self._current_authorization():
            headers["Authorization"] = authorization
        sent = time.monotonic()
        response = await self._session.request(
            request.method,
            URL(f"{self._credentials.server}{request.path}{query}", encoded=True),
            data=request.body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(
                total=None if request.idle_timeout else request.timeout or self._timeout_seconds,
                sock_connect=CONNECT_TIMEOUT_SECONDS,
                sock_read=request.idle_timeout,
            ),
            allow_redirects=False,
        )
        self.clock.observe(response.headers.get("Date", ""), sent, time.monotonic())
        self._observe(request.verb, response.status)
        return response

    async def _current_authorization(self) -> str | None:
        now = time.monotonic()
        if now - self._token_read_at >= MAX_TOKEN_AGE_SECONDS:
            try:
                self._authorization = await self._read_authorization(renew=False)
            except OSError:
                if self._authorization is None:
                    raise
            self._token_read_at = now
        return self._authorization

    async def _renew_identity(self) -> None:
        """Read the token again after status 401; an exec plugin gives a new token or client certificate."""
        self._token_read_at = -MAX_TOKEN_AGE_SECONDS
        if self._credentials.exec_plugin:
            await self._read_authorization(renew=True)
            if self._tls:
                self._credentials.load_client_certificate(self._tls)

    async def _read_authorization(self, *, renew: bool) -> str | None:
        if not self._credentials.exec_plugin:
            return self._credentials.authorization()
        return await asyncio.to_thread(self._credentials.authorization, renew=renew)  # the program takes seconds


async def read_content(response: aiohttp.ClientResponse, request: Request) -> bytes:
    """Return the whole content of a response.

    Args:
        response: The response.
        request: Its request, with the limit.

    Raises:
        ResponseTooLarge: The content has more bytes than the limit. The rest is not read.
    """
    if request.max_bytes is None:
        return await response.read()
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > request.max_bytes:
            response.close()
            raise ResponseTooLarge(f"more than {request.max_bytes} bytes", request=str(request))
    return bytes(content)


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""


def _error_for(response: aiohttp.ClientResponse, body: bytes, request: str) -> ApiError:
    """Return the exception for an error response."""
    try:
        status = msgspec.json.decode(body, type=_Status)
    except msgspec.MsgspecError:
        status = _Status(message=body[:200].decode(errors="replace"))
    return _error_type(response.status, status, response.method)(
        status.message or f"HTTP {response.status}",
        status=response.status,
        reason=status.reason,
        retry_after=_retry_after(response),
        request=request,
    )


_ERROR_BY_CODE: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: Gone,
    413: Invalid,
    422: Invalid,
    429: Throttled,
}


def _error_type(code: int, status: _Status, method: str) -> type[ApiError]:
    if code >= 500:
        return Unavailable
    if code == 409 and method == "POST" and status.reason != "Conflict":
        return AlreadyExists
    if code == 403 and any(text in status.message for text in QUOTA_TEXTS):
        return QuotaExceeded
    return _ERROR_BY_CODE.get(code, ApiError)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None
