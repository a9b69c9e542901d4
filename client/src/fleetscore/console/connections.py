"""The connections of the console's server: unused and unread ones are closed, so that they keep no other client out."""

import asyncio
import time

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 64
REQUEST_SECONDS = 10.0
"""Seconds in which the headers of a request must arrive."""

MAX_UNREAD_CHECKS = 3
"""Number of checks, one each REQUEST_SECONDS, after which a client that reads nothing of its response is cut off."""


class BoundedProtocol(H11Protocol):
    """A connection that ends if no request arrives in time, if its client does not read, or if newer ones need it."""

    request_seconds = REQUEST_SECONDS
    unused_since = 0.0
    unread_bytes = 0
    unread_checks = 0
    is_lost = False

    @property
    def is_unused(self) -> bool:
        """True if the connection has no request in work: its last response may still wait for the client."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, and end one beyond MAX_CONNECTIONS: the oldest unused, else the oldest unread one."""
        super().connection_made(transport)
        self.unused_since = time.monotonic()
        self._watch()
        others = [one for one in self.connections if isinstance(one, BoundedProtocol) and one is not self]
        unused = [one for one in others if one.is_unused]
        if len(others) + 1 >= MAX_CONNECTIONS and unused:
            min(unused, key=lambda one: (one.transport.get_write_buffer_size() > 0, one.unused_since)).end()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch."""
        self.is_lost = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle data; close the connection if a body is damaged and its response has begun."""
        try:
            super().data_received(data)
        except h11.LocalProtocolError:
            self.end()

    def send_400_response(self, msg: str) -> None:
        """Reject a damaged request, and drop the response of the application, which may have begun to work on it."""
        self._drop_response()
        super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """Wait for the next request of the connection."""
        super().on_response_complete()
        self.unused_since = time.monotonic()

    def end(self) -> None:
        """Close the connection, and drop what its client has not read."""
        self._drop_response()
        self.transport.abort()
        self.connections.discard(self)

    def _drop_response(self) -> None:
        """Ignore what the application still sends: a closing connection accepts no response."""
        if self.cycle is not None:
            self.cycle.disconnected = True

    def _watch(self) -> None:
        """End the connection if it is unused or unread for too long, or check it again later."""
        if self.is_lost:
            return
        unread = self.transport.get_write_buffer_size()
        self.unread_checks = self.unread_checks + 1 if unread and unread == self.unread_bytes else 0
        self.unread_bytes = unread
        waits = not unread and self.is_unused and time.monotonic() - self.unused_since >= self.request_seconds
        if waits or self.unread_checks >= MAX_UNREAD_CHECKS:
            self.end()
        else:
            self.loop.call_later(self.request_seconds, self._watch)
