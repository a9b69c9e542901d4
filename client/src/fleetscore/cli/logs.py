"""The command `logs`: the log of the pod that scored a device."""

import json
from typing import Annotated

import typer

from fleetscore.cli.output import Format, print_documents
from fleetscore.cli.runs import fleet_runs, newest_run
from fleetscore.cli.session import RESULTS, WINDOW_FORMS, DeviceArgument, Session, examples, with_session
from fleetscore.cluster import release
from fleetscore.cluster.connection import RUN_UID_LABEL, Cluster
from fleetscore.contract.windows import Window
from fleetscore.errors import NotFound
from fleetscore.runs.jobs import (
    CONTAINER_NAME,
    DEVICE_LABEL,
    JOB_NAME_LABEL,
    device_label,
    job_of,
    lines_of,
    newest_pod,
)
from fleetscore.runs.state import has_ended
from fleetscore.texts import printable

MAX_LOG_BYTES = 10 * 2**20

app = typer.Typer()


@app.command(rich_help_panel=RESULTS, epilog=examples("fleetscore logs press-7 --window 2018-08-28T23:00Z --tail 20"))
@with_session
def logs(
    session: Session,
    device: DeviceArgument,
    *,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="NAME", help="Name of the run; by default the fleet's run created last."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            "--window", metavar="WINDOW", help=f"The newest run of this window: {WINDOW_FORMS}; by default of any."
        ),
    ] = None,
    tail: Annotated[
        int | None,
        typer.Option("--tail", metavar="N", help="Read only the last N lines of the log; by default all.", min=1),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Also print lines about other devices in the pod. "
            "By default, only lines about this device are printed.",
        ),
    ] = False,
) -> None:
    """Print the log of the pod that scored a device, also if the pod scores several devices."""
    cluster = session.open_cluster()
    found = cluster.run(run or _run_of(cluster, session.fleet, window))
    pod = _pod_of(cluster, found, device)
    name = pod["metadata"]["name"]
    query = {"container": CONTAINER_NAME, "limitBytes": str(MAX_LOG_BYTES)}
    query |= {"tailLines": str(tail)} if tail else {}
    path = f"{release.PODS.path(cluster.namespace, name)}/log"
    log = cluster.request(path, f"get the log of pod {name}", query=query, accept="*/*").content.decode(
        errors="replace"
    )
    lines = log.splitlines() if all_ else list(lines_of(log, device))
    if session.output is Format.NAME:
        print(name)
    elif session.output in (Format.JSON, Format.YAML):
        print_documents({"run": found["metadata"]["name"], "pod": name, "lines": lines}, session.output)
    else:
        print("\n".join(_printable(line) for line in lines))


def _run_of(cluster: Cluster, fleet: str, window: str | None) -> str:
    if window is None:
        return newest_run(cluster, fleet)
    wanted = Window.parse(window)
    runs = [one for one in fleet_runs(cluster, fleet) if _window_of(one) == wanted]
    newest = max(runs, key=lambda one: str(one["metadata"]["creationTimestamp"]), default=None)
    if newest is None:
        text = f"namespace {cluster.namespace} has no run of fleet {fleet} for {wanted.column}"
        raise NotFound(f"{text}; `fleetscore status` lists the runs")
    return str(newest["metadata"]["name"])


def _window_of(run: dict[str, dict[str, dict[str, str]]]) -> Window:
    return Window.parse(f"{run['spec']['window']['start']}/{run['spec']['window']['end']}")


def _pod_of(cluster: Cluster, run: dict[str, dict[str, str]], device: str) -> dict[str, dict[str, str]]:
    """Return the pod that scored a device in a run. Raises NotFound, with the reason, if it does not exist."""
    of_run = f"{RUN_UID_LABEL}={run['metadata']['uid']},app.kubernetes.io/component=scorer"
    own = release.list_objects(
        cluster, release.JOBS, cluster.namespace, selector=f"{of_run},{DEVICE_LABEL}={device_label(device)}"
    )
    job = job_of(own, device) or job_of(
        release.list_objects(cluster, release.JOBS, cluster.namespace, selector=of_run), device
    )
    name = run["metadata"]["name"]
    if job is None:
        reason = (
            "a minute after its end, its Jobs are deleted, except for up to 50 failed ones"
            if has_ended(run)
            else "it may not be created yet"
        )
        text = f"run {name} has no Job of device {printable(device)}: {reason}"
        raise NotFound(f"{text}; `fleetscore failed` and `fleetscore status {name}` have its outcome")
    selector = f"{JOB_NAME_LABEL}={job['metadata']['name']}"
    pod = newest_pod(release.list_objects(cluster, release.PODS, cluster.namespace, selector=selector))
    if pod is None:
        text = f"Job {job['metadata']['name']} of device {printable(device)} has no pod"
        raise NotFound(f"{text}; `fleetscore status {name}` names the cause")
    return dict(pod)


def _printable(line: str) -> str:
    """Return a line of a log without control characters; JSON lines keep their escapes."""
    return json.dumps(line)[1:-1] if any(not one.isprintable() for one in line.replace("\t", " ")) else line
