"""The command `backfill`: runs for the windows of a range that have no complete run."""

import time
from contextlib import suppress
from typing import Annotated, Any

import typer

from fleetscore.cli.output import Format, Table, columns, console
from fleetscore.cli.run_changes import DryRun
from fleetscore.cli.runs import EXIT_RUN_FAILED
from fleetscore.cli.session import LENGTH_FORMS, RUNS, TIME_FORMS, Session, examples, with_session
from fleetscore.cluster import release
from fleetscore.cluster.connection import GROUP, KIND, VERSION, Cluster
from fleetscore.contract.schedules import BACKFILL_LABEL, Schedule
from fleetscore.contract.windows import Window, parse_duration, parse_time
from fleetscore.errors import ClusterUnavailable, NotFound, UsageInvalid
from fleetscore.runs.follow import MAX_FAILED_READS, POLL_SECONDS
from fleetscore.runs.gaps import FAILED, MISSING, WindowState, covers, run_name, window_states, windows_in
from fleetscore.runs.state import has_ended, is_complete, progress_line

WITHOUT_SCHEDULE = "backfill"
"""The name of the schedule in labels and names of runs if none is given."""

app = typer.Typer()


@app.command(
    rich_help_panel=RUNS,
    epilog=examples(
        "fleetscore backfill --from 2018-08-28 --to 2018-08-29 --dry-run client",
        "fleetscore backfill --from 2018-08-28 --to 2018-08-29 --schedule hourly",
    ),
)
@with_session
def backfill(
    session: Session,
    *,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help=f"Start of the first window: {TIME_FORMS}.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Latest end of a window, in the same form.")],
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule", metavar="NAME",
            help="The schedule whose windows and settings the runs have; by default none: the whole fleet is scored.",
        ),
    ] = None,
    length: Annotated[
        str,
        typer.Option("--length", metavar="LENGTH", help=f"Length of a window without --schedule: {LENGTH_FORMS}."),
    ] = "1h",
    max_concurrent: Annotated[
        int, typer.Option("--max-concurrent", metavar="N", help="Largest number of active runs.", min=1, max=100)
    ] = 1,
    gaps_only: Annotated[
        bool, typer.Option("--gaps-only", help="Skip windows with a failed run; by default they get a new run.")
    ] = False,
    dry_run: Annotated[
        DryRun,
        typer.Option(
            "--dry-run", metavar="none|client", help="`client` lists the windows and their runs, and creates nothing."
        ),
    ] = DryRun.NONE,
) -> None:  # fmt: skip
    """Create a run for each window of a range without a complete one, the oldest first, and wait for them.

    The command may be interrupted: existing runs continue, and the same command creates the others.

    Exit codes: 0 every created run is complete, 2 one of them failed.
    """
    cluster = session.open_cluster()
    found = _schedule(cluster, session.fleet, schedule, length)
    runs = list(cluster.runs())
    states = window_states(windows_in(parse_time(start), parse_time(end), found), runs, found, matches=covers)
    todo = [one.window for one in states if one.state == MISSING or (one.state == FAILED and not gaps_only)]
    if dry_run is DryRun.CLIENT:
        listed = [{"Window": one.window.column, "State": one.state, "Run": one.run} for one in states]
        session.print(Table(list(columns("Window", "State", "Run")), listed, "Window", "no windows"))
        return
    quiet = session.output not in (Format.TABLE, Format.WIDE)
    if not quiet:
        console().print(summary(states, len(todo)))
    taken = {str(run["metadata"]["name"]) for run in runs}
    ended = _Backfill(cluster, found, taken, max_concurrent, quiet=quiet).run(todo)
    rows = [{"name": run["metadata"]["name"], "complete": is_complete(run)} for run in ended]
    if quiet:
        session.print(Table(list(columns("name", "complete")), rows, "name", "no runs were created"))
    if not all(row["complete"] for row in rows):
        raise typer.Exit(EXIT_RUN_FAILED)


def summary(states: list[WindowState], todo: int) -> str:
    """Return the number of windows by state, and of the runs that are created."""
    counts = {one.state: sum(other.state == one.state for other in states) for one in states}
    text = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"{_count(len(states), 'window')}: {text}; {_count(todo, 'run')} {'is' if todo == 1 else 'are'} created"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _schedule(cluster: Cluster, fleet: str, name: str | None, length: str) -> Schedule:
    if name is None:
        return Schedule(WITHOUT_SCHEDULE, fleet, parse_duration(length))
    schedules = release.read_schedules(cluster)
    if name not in schedules:
        known = ", ".join(sorted(schedules)) or "none"
        raise NotFound(f"namespace {cluster.namespace} has no schedule {name}; it has {known}")
    return schedules[name]


class _Backfill:
    """The runs of a backfill that are active."""

    def __init__(
        self, cluster: Cluster, schedule: Schedule, taken: set[str], max_concurrent: int, *, quiet: bool
    ) -> None:
        self._cluster, self._schedule, self._taken = cluster, schedule, taken
        self._max_concurrent, self._quiet = max_concurrent, quiet

    def run(self, windows: list[Window]) -> list[dict[str, Any]]:
        """Create the runs of the windows, at most some at once, and return them after their ends.

        Raises:
            ClusterUnavailable: Several attempts in succession failed.
        """
        waiting = list(windows)
        active: list[str] = []
        ended: list[dict[str, Any]] = []
        failed = 0
        while waiting or active:
            try:
                while waiting and len(active) < self._max_concurrent:
                    active.append(self._create(waiting[0]))
                    del waiting[0]
                time.sleep(POLL_SECONDS)
                found = [self._read(name) for name in active]
            except ClusterUnavailable:
                failed += 1
                if failed == MAX_FAILED_READS:
                    raise
                time.sleep(POLL_SECONDS)
                continue
            failed = 0
            for run in filter(has_ended, found):
                active.remove(run["metadata"]["name"])
                ended.append(run)
                self._print(f"{progress_line(run)} ({len(ended)} of {len(windows)})")
        return ended

    def _read(self, name: str) -> dict[str, Any]:
        """Return a run; one that was deleted has failed."""
        try:
            return self._cluster.run(name)
        except NotFound:
            status = {"phase": "Deleted", "conditions": [{"type": "Failed", "status": "True"}]}
            return {"metadata": {"name": name}, "status": status}

    def _create(self, window: Window) -> str:
        name = run_name(self._schedule, window, self._taken)
        labels = {BACKFILL_LABEL: self._schedule.name, "app.kubernetes.io/managed-by": "fleetscore"}
        manifest = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {"name": name, "labels": labels},
            "spec": self._schedule.spec(window),
        }
        try:
            self._cluster.create_run(manifest)
        except UsageInvalid as error:
            if not self._covers(name, window):
                raise UsageInvalid(f"{error}; the same command continues with the other windows") from error
        self._taken.add(name)
        self._print(f"{name}: created for {window.column}")
        return name

    def _covers(self, name: str, window: Window) -> bool:
        """Return True if a run covers a window: it was created meanwhile, or the response to its creation was lost."""
        with suppress(NotFound):
            return window_states([window], [self._cluster.run(name)], self._schedule, matches=covers)[0].run == name
        return False

    def _print(self, text: str) -> None:
        if not self._quiet:
            console().print(text)
