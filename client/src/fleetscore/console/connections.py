"""The connections of the console's server: unused ones are closed, so that they keep no reader and no probe out."""

import asyncio
import time

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 64
REQUEST_SECONDS = 10.0
"""Seconds in which the headers of a request must arrive."""


class BoundedProtocol(H11Protocol):
    """A connection that is closed if no request arrives in time, or if it is the oldest unused one of too many."""

    unused_since = 0.0

    @property
    def is_unused(self) -> bool:
        """True if the connection is open and waits for the headers of a request."""
        return not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, and close the oldest unused one beyond MAX_CONNECTIONS."""
        super().connection_made(transport)
        self.unused_since = time.monotonic()
        self._watch()
        open_ = [one for one in self.connections if isinstance(one, BoundedProtocol) and not one.transport.is_closing()]
        others = [one for one in open_ if one is not self and one.is_unused]
        if len(open_) >= MAX_CONNECTIONS and others:
            oldest = min(others, key=lambda one: one.unused_since)
            oldest.transport.close()
            self.connections.discard(oldest)

    def on_response_complete(self) -> None:
        """Wait for the next request of the connection."""
        super().on_response_complete()
        self.unused_since = time.monotonic()

    def _watch(self) -> None:
        """Close the connection if it is unused for too long, or check it again later."""
        if self.transport.is_closing():
            return
        if self.is_unused and time.monotonic() - self.unused_since >= REQUEST_SECONDS:
            self.transport.close()
            return
        self.loop.call_later(REQUEST_SECONDS, self._watch)
