"""Responses with a stored file. A file may be large and its reader slow, so few are in memory at the same time."""

import asyncio
import threading
from collections.abc import Callable, Mapping

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

PART_BYTES = 64 * 1024
MAX_DOWNLOAD_SECONDS = 600.0


class Downloads:
    """The responses with stored files that are in work.

    Args:
        count: The largest number at the same time.
        max_seconds: The seconds in which a client must read its response; it gets no more of it afterwards.
    """

    def __init__(self, count: int, *, max_seconds: float = MAX_DOWNLOAD_SECONDS) -> None:
        self._free, self._max_seconds = threading.BoundedSemaphore(count), max_seconds

    def respond(self, read: Callable[[], bytes], media_type: str, headers: Mapping[str, str]) -> Response:
        """Return a response with a file, or one that asks the client to try again later.

        Args:
            read: The function that reads the file.
            media_type: Its media type.
            headers: Further headers.
        """
        if not self._free.acquire(blocking=False):
            text = "other downloads are in work; try again in some seconds\n"
            return PlainTextResponse(text, 503, {"Retry-After": "10"})
        try:
            return _Parts(read(), media_type, headers, self._free.release, self._max_seconds)
        except BaseException:
            self._free.release()
            raise


class _Parts(Response):
    """A response that is sent as fast as its client reads, so that the server holds its content once."""

    def __init__(
        self,
        content: bytes,
        media_type: str,
        headers: Mapping[str, str],
        release: Callable[[], None],
        max_seconds: float,
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._release, self._max_seconds = release, max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; a client that needs too long gets no more of it."""
        del scope, receive
        try:
            async with asyncio.timeout(self._max_seconds):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                for at in range(0, len(self.body), PART_BYTES):
                    part = self.body[at : at + PART_BYTES]
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return
        finally:
            self._release()
