"""The HTTP server of the console."""

import socket
from collections.abc import Collection

import uvicorn

from fleetscore.console.app import create_app
from fleetscore.console.connections import MAX_CONNECTIONS, BoundedProtocol
from fleetscore.console.reader import LIMITS, ReaderLimits
from fleetscore.console.security import LOCAL_HOSTS
from fleetscore.fleet import Fleet

ALL_ADDRESSES = "*"
SHUTDOWN_SECONDS = 1


def listen(address: str, port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        address: An address of this machine; ALL_ADDRESSES for all, with IPv6 if the machine has it.
        port: The port; 0 for a free one.

    Raises:
        OSError: The address is not one of this machine, or the port is in use.
    """
    if address != ALL_ADDRESSES:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def make_server(
    fleet: Fleet,
    hosts: Collection[str] = LOCAL_HOSTS,
    *,
    limits: ReaderLimits = LIMITS,
    protocol: type[BoundedProtocol] = BoundedProtocol,
) -> uvicorn.Server:
    """Return the server of a fleet's console.

    Args:
        fleet: The fleet.
        hosts: The allowed names of the Host header.
        limits: The limits of the pages' data.
        protocol: The protocol of a connection.
    """
    config = uvicorn.Config(
        create_app(fleet, hosts=hosts, limits=limits),
        lifespan="off",
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        http=protocol,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ws="none",
    )
    return uvicorn.Server(config)


def serve(fleet: Fleet, listener: socket.socket, hosts: Collection[str] = LOCAL_HOSTS) -> None:
    """Serve the console until the process is stopped.

    Args:
        fleet: The fleet.
        listener: The listening socket.
        hosts: The allowed names of the Host header.
    """
    make_server(fleet, hosts).run(sockets=[listener])
