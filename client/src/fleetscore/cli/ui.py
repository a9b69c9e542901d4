"""The command `ui`: the console of a fleet in a browser."""

import ipaddress
import json
import os
from typing import Annotated

import typer

from fleetscore.cli.output import console
from fleetscore.cli.session import RESULTS, Session, examples, with_session
from fleetscore.contract.documents import short_reason
from fleetscore.contract.fleets import FleetLayout, parse_fleets
from fleetscore.errors import UsageInvalid

ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8087
FLEETS_VARIABLE = "FLEETSCORE_FLEETS"
_PANEL = "In a cluster or behind a proxy"

app = typer.Typer()


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore ui --store ./folder --port 0"))
@with_session
def ui(
    session: Session,
    *,
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="Port to listen on; 0 for a free one.", min=0, max=65535)
    ] = DEFAULT_PORT,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="ADDRESS",
            help="IP address to listen on; * for all. The console has no login: restrict its clients.",
            rich_help_panel=_PANEL,
        ),
    ] = ADDRESS,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="HOST",
            help="Allowed name of the Host header, such as that of a proxy; repeatable; by default only localhost.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    fleets: Annotated[
        str | None,
        typer.Option(
            "--fleets",
            metavar="JSON",
            help="Fleets as JSON, as in the release's fleets.yaml; by default those of the release's ConfigMap.",
            envvar=FLEETS_VARIABLE,
            show_envvar=True,
            rich_help_panel=_PANEL,
        ),
    ] = None,
) -> None:
    """Serve the console until Ctrl-C: the fleet, its heat map, devices, runs and schedules."""
    from fleetscore.console.security import allowed_hosts  # noqa: PLC0415  see below
    from fleetscore.console.server import listen, serve  # noqa: PLC0415  the other commands start without a web framework
    from fleetscore.console.storage_watch import start_watch  # noqa: PLC0415

    hosts = allowed_hosts(allowed_host or ())
    is_local = _is_local(address)
    fleet = session.open_fleet(_parse_fleets(fleets) if fleets else None)
    try:
        listener = listen(address, port)
    except OSError as error:
        where, option = (f"port {port}", "") if address == ADDRESS else (f"port {port} of {address}", "--address or ")
        reason = os.strerror(error.errno or 0)
        raise UsageInvalid(f"{where} cannot be used: {reason}; name another with {option}--port") from error
    with listener:
        found = listener.getsockname()[1]
        shown = "localhost" if address == "*" else f"[{address}]" if ":" in address else address
        console().print(f"console on http://{shown}:{found}/ (Ctrl-C ends it)")
        if not is_local:
            console(error=True).print("The console has no login: every client of this address can read the fleet.")
            start_watch(fleet.store)
        serve(fleet, listener, hosts)


def _is_local(address: str) -> bool:
    try:
        return address != "*" and ipaddress.ip_address(address).is_loopback
    except ValueError as error:
        text = f"address {address!r} is invalid: it must be an IP address of this machine, or * for all"
        raise UsageInvalid(f"{text}; correct --address") from error


def _parse_fleets(text: str) -> dict[str, FleetLayout]:
    try:
        return parse_fleets(json.loads(text))
    except (ValueError, RecursionError) as error:  # ValueError: also a number of more digits than int() converts
        text = f"the fleets are invalid: {short_reason(error)}"
        raise UsageInvalid(f"{text}; correct --fleets or {FLEETS_VARIABLE}") from error
