"""The command `ui`: the console of a fleet in a browser."""

import os
import socket
from typing import Annotated

import typer

from fleetscore.cli.output import console
from fleetscore.cli.session import Session, with_session
from fleetscore.errors import UsageInvalid

ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8087

app = typer.Typer()


@app.command()
@with_session
def ui(
    session: Session,
    *,
    port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1; 0 for a free one.", min=0, max=65535)] = (
        DEFAULT_PORT
    ),
) -> None:
    """Serve the console on 127.0.0.1 until Ctrl-C: the fleet, its heat map, devices, runs and schedules."""
    from fleetscore.console.server import serve  # noqa: PLC0415  the other commands start without a web framework

    fleet = session.open_fleet()
    try:
        listener = socket.create_server((ADDRESS, port))
    except OSError as error:
        raise UsageInvalid(
            f"port {port} cannot be used: {os.strerror(error.errno or 0)}; name another with --port"
        ) from error
    with listener:
        found = listener.getsockname()[1]
        console().print(f"console on http://{ADDRESS}:{found}/ (Ctrl-C ends it)", markup=False)
        serve(fleet, listener)
