"""The HTTP server of the console."""

import socket

import uvicorn

from fleetscore.console.app import create_app
from fleetscore.fleet import Fleet

MAX_CONNECTIONS = 64
SHUTDOWN_SECONDS = 1


def make_server(fleet: Fleet) -> uvicorn.Server:
    """Return the server of a fleet's console."""
    config = uvicorn.Config(
        create_app(fleet),
        lifespan="off",
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ws="none",
    )
    return uvicorn.Server(config)


def serve(fleet: Fleet, listener: socket.socket) -> None:
    """Serve the console until the process is stopped.

    Args:
        fleet: The fleet.
        listener: The listening socket.
    """
    make_server(fleet).run(sockets=[listener])
