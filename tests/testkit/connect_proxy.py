"""An HTTP proxy that opens tunnels to HTTPS servers (CONNECT), with or without a login."""

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.testkit.http_server import RequestHandler, serve


@dataclass
class ConnectProxy:
    """The proxy's state, for tests to set and read."""

    url: str = ""
    """The URL without a login."""
    login: str = ""
    """The user and the password that the proxy requires, separated by a colon; empty for none."""
    status: int = 200
    """The status of the response to a request for a tunnel that has the login; 0 for no response."""
    requests: list[str] = field(default_factory=list)
    """The host and port of each request for a tunnel, in order."""

    def url_with(self, login: str) -> str:
        """Return the URL with a login."""
        return self.url.replace("://", f"://{login}@")


class _Handler(RequestHandler):
    state: ConnectProxy

    def handle_request(self) -> None:
        self.state.requests.append(self.path)
        expected = f"Basic {base64.b64encode(self.state.login.encode()).decode()}"
        if self.state.login and self.headers.get("Proxy-Authorization") != expected:
            self.respond(407, b"log in", {"Proxy-Authenticate": 'Basic realm="proxy"'})
        elif self.state.status == 200 and self.command == "CONNECT":
            self._open_tunnel()
        elif self.state.status:
            self.respond(self.state.status)
        self.close_connection = True

    def _open_tunnel(self) -> None:
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_copy, args=(upstream, self.connection))
            back.start()
            _copy(self.connection, upstream)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until one end closes its connection, then close both."""
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def connect_proxy() -> Iterator[ConnectProxy]:
    """Run a proxy."""
    proxy = ConnectProxy()
    with serve(_Handler, state=proxy) as proxy.url:
        yield proxy
