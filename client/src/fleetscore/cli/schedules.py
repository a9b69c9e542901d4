"""The command `schedules`: the schedules of a namespace and their windows."""

from datetime import UTC, datetime

import typer

from fleetscore.cli.output import Column, Table, columns, console
from fleetscore.cli.session import RUNS, Session, examples, with_session
from fleetscore.cluster import release
from fleetscore.contract.schedules import SCHEDULE_LABEL
from fleetscore.contract.windows import format_time
from fleetscore.errors import AccessDenied
from fleetscore.runs.cron_job import read_cron_job
from fleetscore.runs.schedule_state import schedule_state

MAX_LISTED_WINDOWS = 168

app = typer.Typer()


@app.command(rich_help_panel=RUNS, epilog=examples("fleetscore schedules -o yaml"))
@with_session
def schedules(session: Session) -> None:
    """List the schedules: their last and next firing in UTC, and the number of open windows.

    An open window is due and has no complete run; `-o yaml` and `-o json` list the open windows.
    """
    cluster = session.open_cluster()
    jobs = list(release.list_objects(cluster, release.CRON_JOBS, cluster.namespace, selector=SCHEDULE_LABEL))
    runs, now, rows = list(cluster.runs()), datetime.now(UTC), []
    try:
        settings = release.read_schedules(cluster)
    except AccessDenied as error:
        settings = {}
        console(error=True).print(f"the open windows are unknown: {error}")
    for job in map(read_cron_job, jobs):
        schedule = settings.get(job.schedule)
        state = schedule_state(job, schedule, runs, now, max_windows=MAX_LISTED_WINDOWS)
        rows.append(
            {
                "Name": job.schedule,
                "Cron": job.times,
                "TimeZone": job.zone,
                "Suspended": job.suspended,
                "Last": format_time(job.last) if job.last else "",
                "Next": format_time(state.next) if state.next else "",
                "Open": [{"Window": one.window.column, "State": one.state} for one in state.open_windows]
                if schedule
                else None,
                "CronJob": job.name,
            }
        )
    listed = [
        *columns("Name", "Cron", "TimeZone+", "Last"),
        Column("NEXT", lambda row: "suspended" if row["Suspended"] else row["Next"] or "unknown"),
        Column("OPEN", lambda row: "" if row["Open"] is None else len(row["Open"]), right=True),
        *columns("CronJob+"),
    ]
    empty = f"namespace {cluster.namespace} has no schedules; set `schedules` in the chart's values"
    session.print(Table(listed, rows, "Name", empty))
