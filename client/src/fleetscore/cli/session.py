"""The options that all commands share, and the fleet and the cluster that they select."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetscore.cli.output import Format, Table, print_table
from fleetscore.cluster.connection import Cluster
from fleetscore.contract.fleets import FleetLayout
from fleetscore.errors import UsageInvalid
from fleetscore.fleet import Fleet

_PANEL = "Where"


@dataclass(frozen=True, slots=True)
class Session:
    """The shared options of one command.

    Attributes:
        context: The kubeconfig's context.
        namespace: The namespace of the runs.
        fleet: The name of the fleet.
        store: The folder of a fleet without a cluster.
        use_fleet_secret: True to read the fleet's Secret for storage.
        output: The format of the output.
    """

    context: Annotated[
        str | None, typer.Option("--context", help="Context of the kubeconfig.", rich_help_panel=_PANEL)
    ] = None
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", help="Namespace of the runs; the context's by default.", rich_help_panel=_PANEL
        ),
    ] = None
    fleet: Annotated[str, typer.Option("--fleet", help="Name of the fleet.", rich_help_panel=_PANEL)] = "default"
    store: Annotated[
        Path | None,
        typer.Option("--store", help="Folder of a fleet; no cluster is needed.", rich_help_panel=_PANEL),
    ] = None
    use_fleet_secret: Annotated[
        bool,
        typer.Option(
            "--use-fleet-secret",
            envvar="FLEETSCORE_USE_FLEET_SECRET",
            help="Read storage with the fleet's Secret instead of your own identity.",
            rich_help_panel=_PANEL,
        ),
    ] = False
    output: Annotated[
        Format, typer.Option("--output", "-o", help="Format of the output.", rich_help_panel="Output")
    ] = Format.TABLE

    def open_fleet(self, fleets: Mapping[str, FleetLayout] | None = None) -> Fleet:
        """Open the fleet of the folder or of the cluster.

        Args:
            fleets: The fleets by name from a trusted source; None for those of the release's ConfigMap.
        """
        if self.store is not None:
            return Fleet.folder(self.store)
        where = (self.context, self.namespace, self.fleet)
        return Fleet.connect(*where, use_fleet_secret=self.use_fleet_secret, fleets=fleets)

    def open_cluster(self) -> Cluster:
        """Connect to the cluster. Raises UsageInvalid if a folder is named: it has no runs."""
        if self.store is not None:
            raise UsageInvalid("a folder has no runs; omit --store, and name a cluster with --context")
        return Cluster.connect(self.context, self.namespace)

    def print(self, table: Table) -> None:
        """Print the result of the command."""
        print_table(table, self.output)


def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command whose options are those of the function and the shared ones.

    Args:
        function: The command; its first parameter is the session.
    """
    own = inspect.signature(function)
    parameters = list(own.parameters.values())[1:]
    shared = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.annotation)
        for one in inspect.signature(Session).parameters.values()
    ]

    @functools.wraps(function)
    def command(*arguments: Any, **options: Any) -> Any:
        session = Session(**{one.name: options.pop(one.name) for one in shared})
        return function(session, *arguments, **options)

    merged = [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters), *shared]
    command.__signature__ = own.replace(parameters=merged)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in merged}
    return command
