import asyncio
from typing import Any

import pytest

from fleetscore.console import downloads
from fleetscore.console.downloads import Downloads
from fleetscore.errors import NotFound

CONTENT = bytes(range(256)) * 1000


async def sent(response: Any, scope: Any = None) -> list[dict[str, Any]]:
    """Send a response to a client that reads all of it, and return the messages."""
    found: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        found.append(message)

    await response(scope or {"type": "http"}, None, send)
    return found


async def test_files_beyond_the_limit_wait_until_one_is_sent() -> None:
    files = Downloads(1)
    first = files.respond(lambda: CONTENT, "text/csv", {"X-Name": "a"})
    late = files.respond(lambda: CONTENT, "text/csv", {})
    assert (late.status_code, late.headers["Retry-After"]) == (503, "10")
    start, *parts = await sent(first)
    assert dict(start["headers"])[b"content-length"] == b"256000"
    assert b"".join(part["body"] for part in parts) == CONTENT
    assert max(len(part["body"]) for part in parts) == downloads.PART_BYTES
    assert files.respond(lambda: b"", "text/csv", {}).status_code == 200


def test_file_that_cannot_be_read_frees_its_place() -> None:
    def fail() -> bytes:
        raise NotFound("it does not exist")

    files = Downloads(1)
    for _ in range(2):
        with pytest.raises(NotFound):
            files.respond(fail, "text/csv", {})


async def test_client_that_needs_too_long_frees_its_place() -> None:
    async def send(_: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    assert downloads.MAX_DOWNLOAD_SECONDS == 600
    files = Downloads(1, max_seconds=0.01)
    response: Any = files.respond(lambda: CONTENT, "text/csv", {})
    await response({"type": "http"}, None, send)
    assert files.respond(lambda: b"", "text/csv", {}).status_code == 200
