"""Commands that show runs: `status` and `wait`."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from fleetscore.cli.output import Column, Format, Table, console, print_documents, print_lines
from fleetscore.cli.session import RUNS, Session, examples, with_session
from fleetscore.cli.watch import show_progress
from fleetscore.cli.watch import watch as watch_run
from fleetscore.cluster.connection import Cluster
from fleetscore.contract.windows import Window
from fleetscore.errors import NotFound
from fleetscore.runs.follow import follow
from fleetscore.runs.state import describe, has_ended, is_complete, window_text

EXIT_RUN_FAILED = 2
EXIT_TIMEOUT = 3
MAX_LISTED_RUNS = 20


RunArgument = Annotated[
    str | None, typer.Argument(metavar="RUN", help="Name of the run; by default the one that was created last.")
]
app = typer.Typer()


def _value(*path: str) -> Any:
    def get(row: Mapping[str, Any]) -> object:
        found: Any = row
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return "" if found is None else found

    return get


_RUN_COLUMNS = (
    Column("NAME", _value("metadata", "name")),
    Column("WINDOW", window_text),
    Column("PHASE", lambda row: _value("status", "phase")(row) or "not seen yet"),
    Column("TOTAL", _value("status", "devices", "total"), wide=True, right=True),
    Column("SCORED", _value("status", "devices", "scored"), right=True),
    Column("FAILED", _value("status", "devices", "failed"), right=True),
    Column("ANOMALIES", _value("status", "results", "anomalies"), right=True),
    Column("FLEET", _value("spec", "fleet"), wide=True),
    Column("DURATION", _value("status", "duration"), wide=True),
    Column("MESSAGE", _value("status", "message"), wide=True),
)


@app.command(
    rich_help_panel=RUNS,
    epilog=examples("fleetscore status", "fleetscore status hourly-20180828t230000z --watch"),
)
@with_session
def status(
    session: Session,
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Name of the run; by default all runs are listed, the newest window first."),
    ] = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow a run until it ends; without RUN the one created last.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help=f"List all runs; by default {MAX_LISTED_RUNS}.")] = False,
) -> None:
    """List the runs, or show one run: its counts, its message, its failed devices and the next step.

    With --watch, a terminal shows a bar per outcome, the pace, the time left and the cause that the run waits for.
    """
    cluster = session.open_cluster()
    if run is None and not watch:
        runs = sorted(fleet_runs(cluster, session.fleet), key=_newest_first)
        rows = [{**one, "metadata": {"name": one["metadata"]["name"], **one["metadata"]}} for one in runs]
        text = f"namespace {cluster.namespace} has no runs of fleet {session.fleet}"
        empty = f"{text}; check -n and --fleet, or create one with `fleetscore run --window WINDOW`"
        shown = rows if all_ else rows[:MAX_LISTED_RUNS]
        table = Table(_RUN_COLUMNS, [{**one, "name": one["metadata"]["name"]} for one in shown], "name", empty)
        session.print(table)
        return
    name = run or newest_run(cluster, session.fleet)
    if not watch:
        print_run(session, cluster.run(name))
    elif session.output in (Format.TABLE, Format.WIDE):
        watch_run(follow(lambda: cluster.run(name)), console())
    else:
        for found in follow(lambda: cluster.run(name)):
            print_run(session, found)


@app.command(rich_help_panel=RUNS, epilog=examples("fleetscore wait hourly-20180828t230000z --timeout 600"))
@with_session
def wait(
    session: Session,
    run: RunArgument = None,
    *,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Seconds to wait; 0 waits without a limit.", min=0)
    ] = 0,
) -> None:
    """Wait until a run has ended, and show it. The progress is on standard error.

    Exit codes: 0 the run is complete, 2 it failed or was cancelled, 3 the timeout.
    """
    cluster = session.open_cluster()
    name = run or newest_run(cluster, session.fleet)
    found = show_progress(follow(lambda: cluster.run(name), timeout_seconds=timeout), console(error=True))
    if found is None or not has_ended(found):
        console(error=True).print(
            f"run {name} has not ended after {timeout:g} s; `fleetscore status {name}` shows the reason"
        )
        raise typer.Exit(EXIT_TIMEOUT)
    print_run(session, found)
    raise typer.Exit(0 if is_complete(found) else EXIT_RUN_FAILED)


def print_run(session: Session, run: Mapping[str, Any], sentence: str = "") -> None:
    """Print one run.

    Args:
        session: The shared options, with the format.
        run: The run.
        sentence: The text for people; empty for the description of the run.
    """
    if session.output in (Format.JSON, Format.YAML):
        print_documents(run, session.output)
    elif session.output is Format.NAME:
        print(run["metadata"]["name"])
    else:
        print_lines([sentence] if sentence else describe(run))


def fleet_runs(cluster: Cluster, fleet: str) -> Iterator[dict[str, Any]]:
    """Return the runs of a fleet in the cluster's namespace, in the order of their names."""
    return (run for run in cluster.runs() if run["spec"].get("fleet", "default") == fleet)


def _newest_first(run: Mapping[str, Any]) -> tuple[float, str]:
    start = Window.parse(f"{run['spec']['window']['start']}/{run['spec']['window']['end']}").start
    return (-start.timestamp(), run["metadata"]["name"])


def newest_run(cluster: Cluster, fleet: str) -> str:
    """Return the run that was created last. Raises NotFound without a run."""
    found = max(fleet_runs(cluster, fleet), key=lambda run: str(run["metadata"]["creationTimestamp"]), default=None)
    if found is None:
        text = f"namespace {cluster.namespace} has no runs of fleet {fleet}"
        raise NotFound(f"{text}; name another with -n or --fleet, or create one with `fleetscore run --window WINDOW`")
    return str(found["metadata"]["name"])
