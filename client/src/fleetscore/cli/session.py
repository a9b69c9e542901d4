"""The options that all commands share, and the fleet and the cluster that they select."""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetscore.cli.next_steps import Option, set_place
from fleetscore.cli.output import Format, Table, print_table
from fleetscore.cluster.connection import Cluster
from fleetscore.contract.fleets import FleetLayout
from fleetscore.errors import ClusterNotConfigured, UsageInvalid
from fleetscore.fleet import Fleet

RUNS, RESULTS, MAINTENANCE, INSTALLATION = "Runs", "Results", "Maintenance", "Installation"
"""The groups of the commands in `fleetscore --help`."""

_WHERE = "Where"
DEFAULT_FLEET = "default"
_IDENTITY_VARIABLE = "FLEETSCORE_USE_FLEET_SECRET"
WINDOW_FORMS = "2018-08-28T23:00Z (an hour), 2018-08-28T23:00Z/15m or START/END, in UTC"
TIME_FORMS = "2018-08-28T13:00Z, or 2018-08-28 for its midnight; UTC without an offset"
LENGTH_FORMS = "15m, 4h, 7d or 1h30m"
WindowOption = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="WINDOW", help=f"The window: {WINDOW_FORMS}; the newest with a report by default."
    ),
]
DeviceArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the device, such as press-7.")]


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
        str | None, typer.Option(
            "--context", metavar="NAME", help="Context of the kubeconfig; its current one by default.",
            rich_help_panel=_WHERE,
        ),
    ] = None  # fmt: skip
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", metavar="NAME", help="Namespace of the runs; that of the context by default.",
            rich_help_panel=_WHERE,
        ),
    ] = None  # fmt: skip
    fleet: Annotated[
        str, typer.Option("--fleet", metavar="NAME", help="Name of the fleet.", rich_help_panel=_WHERE)
    ] = DEFAULT_FLEET
    store: Annotated[
        Path | None,
        typer.Option(
            "--store", metavar="FOLDER",
            help="Folder with the models, data and predictions of a fleet, which needs no cluster; the storage of the "
            "cluster's fleet by default.",
            rich_help_panel=_WHERE,
        ),
    ] = None  # fmt: skip
    use_fleet_secret: Annotated[
        bool,
        typer.Option(
            "--use-fleet-secret",
            envvar=_IDENTITY_VARIABLE,
            help="Read storage with the fleet's Secret; by default with your own credential or identity.",
            rich_help_panel=_WHERE,
        ),
    ] = False
    output: Annotated[
        Format,
        typer.Option(
            "--output", "-o", metavar="FORMAT",
            help="table, wide (a table with all columns), json, yaml or name (one name a line).",
            rich_help_panel="Output",
        ),
    ] = Format.TABLE  # fmt: skip

    def open_fleet(self, fleets: Mapping[str, FleetLayout] | None = None) -> Fleet:
        """Open the fleet of the folder or of the cluster.

        Args:
            fleets: The fleets by name from a trusted source; None for those of the release's ConfigMap.
        """
        if self.store is not None:
            return Fleet.folder(self.store)
        where = (self.context, self.namespace, self.fleet)
        try:
            return Fleet.connect(*where, use_fleet_secret=self.use_fleet_secret, fleets=fleets)
        except ClusterNotConfigured as error:
            raise ClusterNotConfigured(f"{error}, or name a folder with --store") from error

    def open_cluster(self) -> Cluster:
        """Connect to the cluster. Raises UsageInvalid if a folder is named: it has no runs."""
        if self.store is not None:
            raise UsageInvalid("a folder has no runs; omit --store, and name a cluster with --context")
        return Cluster.connect(self.context, self.namespace)

    def place(self) -> list[Option]:
        """Return the options that the commands of next steps need to have the same fleet; a folder needs no others."""
        if self.store is not None:
            return [Option(("--store",), str(self.store))]
        found = [
            Option(("-n", "--namespace"), self.namespace) if self.namespace is not None else None,
            Option(("--context",), self.context) if self.context is not None else None,
            Option(("--fleet",), self.fleet) if self.fleet != DEFAULT_FLEET else None,
            Option(("--use-fleet-secret",))
            if self.use_fleet_secret and not os.environ.get(_IDENTITY_VARIABLE)
            else None,
        ]
        return [one for one in found if one is not None]

    def print(self, table: Table) -> None:
        """Print the result of the command."""
        print_table(table, self.output)


def examples(*commands: str) -> str:
    """Return the last lines of a command's help."""
    return "\n".join([f"Example{'s' * (len(commands) > 1)}:", *(f"  {one}" for one in commands)])


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
        set_place(session.place())
        return function(session, *arguments, **options)

    merged = [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters), *shared]
    # typer keeps single line breaks of all paragraphs except the first one.
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    command.__doc__ = "\n\n".join(one.replace("\n", " ") for one in paragraphs)
    command.__signature__ = own.replace(parameters=merged)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in merged}
    return command
