"""Connections of the console that send no request, or read no response."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET, create_connection, socket

import pytest
import uvicorn

from fleetscore import Fleet
from fleetscore.console import connections
from fleetscore.console.connections import BoundedProtocol
from fleetscore.console.server import listen, make_server
from fleetscore.contract import blob_paths
from tests.testkit.console_fleet import WINDOW
from tests.testkit.waiting import until

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
MANY = 2 * connections.MAX_CONNECTIONS


class Impatient(BoundedProtocol):
    """A connection on which a request must arrive at once."""

    request_seconds = 0.2


class Unread(Impatient):
    """A connection that ends only because its client reads nothing."""

    is_unused = False


@pytest.fixture
def protocol() -> type[BoundedProtocol]:
    return BoundedProtocol


@pytest.fixture
def server(tmp_path: Path, protocol: type[BoundedProtocol]) -> uvicorn.Server:
    return make_server(Fleet.folder(tmp_path), protocol=protocol)


@pytest.fixture
def port(server: uvicorn.Server) -> Iterator[int]:
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
            stack.enter_context(create_connection(("127.0.0.1", port), 120)).sendall(b"GET / HTTP/1.1\r\nX: ")
        probe = stack.enter_context(create_connection(("127.0.0.1", port), 120))
        probe.sendall(REQUEST)
        assert probe.recv(20).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("protocol", [Impatient])
@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nX: ", REQUEST], ids=["silent", "slow", "kept"])
def test_connection_without_a_further_request_is_closed(port: int, first: bytes) -> None:
    with create_connection(("127.0.0.1", port), 120) as connection:
        connection.sendall(first)
        while connection.recv(4096):
            pass


@pytest.mark.parametrize("protocol", [Unread])
def test_client_that_reads_nothing_is_cut_off(server: uvicorn.Server, port: int, tmp_path: Path) -> None:
    path = tmp_path / "predictions" / blob_paths.report_name(WINDOW, blob_paths.REPORT_FILE)
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(2**24))  # more than the buffers of both sockets
    request = f"GET /report?window={WINDOW.slug} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket() as client:
        client.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(request.encode())
        assert client.recv(12) == b"HTTP/1.1 200"
        until(lambda: not server.server_state.connections, "the end of the connection")


def test_damaged_body_after_the_response_ends_the_connection_silently(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with create_connection(("127.0.0.1", port), 120) as client:
        client.sendall(REQUEST.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        client.sendall(b"no chunk\r\n")
        while client.recv(4096):
            pass
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("address", ["/", "/healthz", "/no-such-page"])
def test_damaged_body_in_the_packet_of_its_headers_is_rejected_silently(
    port: int, method: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"{method} {address} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with create_connection(("127.0.0.1", port), 120) as client:
        client.sendall(f"{head}no chunk\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 400"
        while client.recv(4096):
            pass
    with create_connection(("127.0.0.1", port), 120) as client:
        client.sendall(REQUEST)
        assert client.recv(12) == b"HTTP/1.1 200"
    assert [record for record in caplog.records if record.exc_info] == []
