"""Commands that list, create and change runs."""

import secrets
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from fleetscore.cli.output import Column, Format, Table, console, print_documents
from fleetscore.cli.session import Session, with_session
from fleetscore.cli.watch import watch as watch_run
from fleetscore.cluster.connection import GROUP, KIND, VERSION, Cluster
from fleetscore.contract.windows import Window, format_time
from fleetscore.errors import NotFound, UsageInvalid
from fleetscore.runs.follow import follow
from fleetscore.runs.state import describe, has_ended, is_complete, to_retry

EXIT_RUN_FAILED = 2
EXIT_TIMEOUT = 3
MAX_LISTED_RUNS = 20
RunArgument = Annotated[str | None, typer.Argument(metavar="RUN", help="Name of the run; the newest by default.")]
DryRun = Annotated[
    str, typer.Option("--dry-run", help="`client` prints the manifest and creates nothing.", metavar="none|client")
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
    Column("WINDOW", _value("status", "window")),
    Column("PHASE", _value("status", "phase")),
    Column("TOTAL", _value("status", "devices", "total"), wide=True, right=True),
    Column("SCORED", _value("status", "devices", "scored"), right=True),
    Column("FAILED", _value("status", "devices", "failed"), right=True),
    Column("ANOMALIES", _value("status", "results", "anomalies"), right=True),
    Column("FLEET", _value("spec", "fleet"), wide=True),
    Column("DURATION", _value("status", "duration"), wide=True),
    Column("MESSAGE", _value("status", "message"), wide=True),
)


@app.command()
@with_session
def status(
    session: Session,
    run: RunArgument = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the run until it ends.")] = False,
    all_: Annotated[bool, typer.Option("--all", help=f"List all runs, not the newest {MAX_LISTED_RUNS}.")] = False,
) -> None:
    """List the runs, or show one run: its counts, its pace and its message."""
    cluster = session.open_cluster()
    if run is None and not watch:
        runs = sorted(fleet_runs(cluster, session.fleet), key=_newest_first)
        rows = [{**one, "metadata": {"name": one["metadata"]["name"], **one["metadata"]}} for one in runs]
        empty = f"namespace {cluster.namespace} has no runs of fleet {session.fleet}; `fleetscore run` creates one"
        shown = rows if all_ else rows[:MAX_LISTED_RUNS]
        table = Table(_RUN_COLUMNS, [{**one, "name": one["metadata"]["name"]} for one in shown], "name", empty)
        session.print(table)
        return
    name = run or newest_run(cluster, session.fleet)
    if session.output is Format.NAME:
        print(name)
    elif session.output in (Format.JSON, Format.YAML):
        for found in follow(lambda: cluster.run(name)) if watch else [cluster.run(name)]:
            print_documents(found, session.output)
    elif watch:
        watch_run(follow(lambda: cluster.run(name)), console())
    else:
        console().print("\n".join(describe(cluster.run(name))), markup=False)


@app.command()
@with_session
def wait(
    session: Session,
    run: RunArgument = None,
    *,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait; 0 waits without a limit.", min=0)] = 0,
) -> None:
    """Wait until a run has ended; exit with 0 if it is complete, 2 if it failed, 3 after the timeout."""
    cluster = session.open_cluster()
    name = run or newest_run(cluster, session.fleet)
    *_, found = follow(lambda: cluster.run(name), timeout_seconds=timeout)
    if not has_ended(found):
        console(error=True).print(f"run {name} has not ended after {timeout:g} s", markup=False)
        raise typer.Exit(EXIT_TIMEOUT)
    console().print("\n".join(describe(found)), markup=False)
    raise typer.Exit(0 if is_complete(found) else EXIT_RUN_FAILED)


@app.command("run")
@with_session
def create(  # noqa: PLR0913  each option is a field of the run
    session: Session,
    *,
    window: Annotated[str, typer.Option("--window", help="2018-08-28T23:00Z, 2018-08-28T23:00Z/1h or START/END.")],
    device: Annotated[list[str] | None, typer.Option("--device", "-d", help="Device or glob; repeatable.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only this tag; repeatable.")] = None,
    write_policy: Annotated[
        str | None, typer.Option("--write-policy", help="CreateOnly, IfChanged, Overwrite.")
    ] = None,
    devices_per_job: Annotated[str | None, typer.Option("--devices-per-job", help="1 to 500, or Auto.")] = None,
    parallelism: Annotated[int | None, typer.Option("--parallelism", help="Largest number of active Jobs.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run; generated by default.")] = None,
    dry_run: DryRun = "none",
) -> None:
    """Create a run that scores one window."""
    spec: dict[str, Any] = {"fleet": session.fleet, "window": window_json(Window.parse(window))}
    if device:
        spec["devices"] = {"include" if any(set(one) & set("*?") for one in device) else "ids": device}
    per_job = int(devices_per_job) if devices_per_job and devices_per_job.isdecimal() else devices_per_job
    fields = {"tags": tag, "writePolicy": write_policy, "devicesPerJob": per_job, "parallelism": parallelism}
    spec |= {key: value for key, value in fields.items() if value is not None}
    _create(session, name or generated_name("manual"), spec, dry_run)


@app.command()
@with_session
def retry(session: Session, run: RunArgument = None, *, dry_run: DryRun = "none") -> None:
    """Create a run that scores again the devices of a run that failed, were partial or were not run.

    Without such a device, nothing is created, and the exit code is 1.
    """
    cluster = session.open_cluster()
    source = cluster.run(run or newest_run(cluster, session.fleet))
    name = source["metadata"]["name"]
    if not has_ended(source):
        raise UsageInvalid(f"run {name} has not ended; `fleetscore wait {name}` waits for its end")
    if is_complete(source) and not to_retry(source):
        text = f"run {name} has no devices to retry: each is scored or has no readings"
        if not check_dry_run(dry_run):
            raise UsageInvalid(f"{text}; `fleetscore run` scores the window again")
        console(error=True).print(text, markup=False)
    spec = {
        "fleet": source["spec"].get("fleet", "default"),
        "window": source["spec"]["window"],
        "devices": {"retryOf": {"name": name}},
    }
    _create(session, generated_name(f"{name[:37].rstrip('-')}-retry"), spec, dry_run)


@app.command()
@with_session
def suspend(session: Session, run: RunArgument = None) -> None:
    """Pause a run: no Jobs are created, and running pods are stopped."""
    _patch(session, run, {"suspend": True}, "suspended")


@app.command()
@with_session
def resume(session: Session, run: RunArgument = None) -> None:
    """Continue a suspended run."""
    _patch(session, run, {"suspend": False}, "resumed")


@app.command()
@with_session
def cancel(session: Session, run: RunArgument = None) -> None:
    """End a run now; recorded outcomes are kept."""
    _patch(session, run, {"cancel": True}, "cancelled")


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
        raise NotFound(f"{text}; name another with -n or --fleet, or create one with `fleetscore run`")
    return str(found["metadata"]["name"])


def window_json(window: Window) -> dict[str, str]:
    """Return a window as `spec.window` has it."""
    return {"start": format_time(window.start), "end": format_time(window.end)}


def generated_name(prefix: str) -> str:
    """Return a name that no other run has."""
    return f"{prefix}-{secrets.token_hex(3)}"


def check_dry_run(value: str) -> bool:
    """Return True if `--dry-run` is client. Raises UsageInvalid for an unknown value."""
    if value not in ("none", "client"):
        raise UsageInvalid(f"--dry-run {value!r} is invalid: use none or client")
    return value == "client"


def _create(session: Session, name: str, spec: Mapping[str, Any], dry_run: str) -> None:
    only_print = check_dry_run(dry_run)
    manifest: dict[str, Any] = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": name},
        "spec": spec,
    }
    if only_print:
        print_documents(manifest, session.output if session.output is Format.JSON else Format.YAML)
        return
    created = session.open_cluster().create_run(manifest)
    if session.output in (Format.JSON, Format.YAML):
        print_documents(created, session.output)
    elif session.output is Format.NAME:
        print(name)
    else:
        console().print(f"run {name} created; `fleetscore status {name} --watch` follows it", markup=False)


def _patch(session: Session, run: str | None, spec: Mapping[str, Any], result: str) -> None:
    cluster = session.open_cluster()
    name = run or newest_run(cluster, session.fleet)
    if has_ended(cluster.run(name)):
        raise UsageInvalid(f"run {name} has ended already; `fleetscore status` lists the runs")
    cluster.patch_run(name, spec)
    print(name if session.output is Format.NAME else f"run {name} {result}")
