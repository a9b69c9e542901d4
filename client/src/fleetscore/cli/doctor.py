"""The command `doctor`: it checks an installation, and names the cure of what is wrong."""

import os
from collections.abc import Mapping
from typing import Any

import typer

from fleetscore import __version__
from fleetscore.cli.output import Column, Table, keyed
from fleetscore.cli.session import Session, with_session
from fleetscore.doctor.cluster_checks import check_cluster
from fleetscore.doctor.findings import exit_code, in_order
from fleetscore.doctor.fleet_checks import check_fleets, check_schedules
from fleetscore.doctor.gather import gather

app = typer.Typer()


def _sentence(row: Mapping[str, Any]) -> str:
    """Return a finding as one line: the subject, its state and the cure."""
    return f"{row['subject']}: {row['message']}" + (f"; {row['cure']}" if row["cure"] else "")


_COLUMNS = (
    Column("RESULT", keyed("result")),
    Column("CHECK", keyed("check")),
    Column("FINDING", _sentence),
)


@app.command()
@with_session
def doctor(session: Session) -> None:
    """Check the cluster, the rights, the clock, the fleets and the schedules; exit with 1 on a problem.

    A check without the right to look has the result UNKNOWN, and names the right.
    """
    cluster = session.open_cluster()
    cluster.request("/version", "get the version")  # without an API server, no other check says anything
    facts = gather(cluster, __version__, use_fleet_secret=session.use_fleet_secret, environment=os.environ)
    findings = list(in_order([*check_cluster(facts), *check_fleets(facts), *check_schedules(facts)]))
    session.print(Table(_COLUMNS, [finding.as_json() for finding in findings], "check", "no checks"))
    raise typer.Exit(exit_code(findings))
