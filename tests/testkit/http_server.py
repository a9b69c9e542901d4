"""The base of all fake HTTP servers of the tests: a quiet handler for every method, and a server in a thread."""

import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

from tests.testkit.tls import Tls

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class RequestHandler(BaseHTTPRequestHandler):
    """A handler whose `handle_request` serves every method."""

    protocol_version = "HTTP/1.1"

    def handle_request(self) -> None:
        """Respond to the request."""
        raise NotImplementedError

    def read_body(self) -> bytes:
        """Return the body of the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def respond(self, status: int, content: bytes = b"", headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Send a whole response; HEAD gets no content."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def respond_json(self, status: int, document: Any, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Send a JSON document."""
        self.respond(status, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Log nothing."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Return the handler of a method: the base class looks for do_GET and its kin."""
        if name.startswith("do_"):
            return self.handle_request
        raise AttributeError(name)


class _QuietServer(ThreadingHTTPServer):
    """A server that prints no traceback of a connection that its client has closed."""

    request_queue_size = 128  # with the default of 5, parallel requests to a busy process wait seconds for a connection

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serve(
    handler: type[RequestHandler], *, host: str = "127.0.0.1", tls: Tls | None = None, **state: Any
) -> Iterator[str]:
    """Serve requests in threads, and yield the server's URL.

    Args:
        handler: The handler class.
        host: The address to listen on; the port is a free one.
        tls: The server's certificate. None: plain HTTP.
        state: The attributes of the handler class that this server has.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server_type = type("Server", (_QuietServer,), {"address_family": family})
    server = server_type((host, 0), type("Handler", (handler,), state))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        # The threads of the requests make the handshakes, so that a handshake that fails does not end the server.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
