"""Connections of the console that send no request."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import create_connection

import pytest

from fleetscore import Fleet
from fleetscore.console import connections
from fleetscore.console.server import listen, make_server

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
MANY = 2 * connections.MAX_CONNECTIONS


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    server = make_server(Fleet.folder(tmp_path))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)


def test_connections_without_a_request_keep_no_probe_out(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(create_connection(("127.0.0.1", port), 30)).sendall(b"GET / HTTP/1.1\r\nX: ")
        probe = stack.enter_context(create_connection(("127.0.0.1", port), 30))
        probe.sendall(REQUEST)
        assert probe.recv(20).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nX: ", REQUEST], ids=["silent", "slow", "kept"])
def test_connection_without_a_further_request_is_closed(
    port: int, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    with create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(first)
        while connection.recv(4096):
            pass
