"""The command `doctor`: it checks an installation, and names the cure of what is wrong."""

import os
from collections.abc import Mapping
from typing import Any

import typer

from fleetscore import __version__
from fleetscore.cli.output import Column, Table, keyed
from fleetscore.cli.session import INSTALLATION, Session, examples, with_session
from fleetscore.texts import MAX_TEXT_CHARS, printable

MIN_CHARS = 100
"""Characters of the state of a subject that a line has at least."""

app = typer.Typer()


def _sentence(row: Mapping[str, Any]) -> str:
    """Return a finding as one line: the subject, its state and the cure. A long state is cut, and a cure is not."""
    state = row["message"] if row["subject"] in row["message"] else f"{row['subject']}: {row['message']}"
    end = f"; {row['cure']}" if row["cure"] else ""
    return printable(state, max_chars=max(MIN_CHARS, MAX_TEXT_CHARS - len(end))) + end


_COLUMNS = (
    Column("RESULT", keyed("result")),
    Column("CHECK", keyed("check")),
    Column("FINDING", _sentence),
)


@app.command(rich_help_panel=INSTALLATION, epilog=examples("fleetscore doctor --use-fleet-secret"))
@with_session
def doctor(session: Session, *, ctx: typer.Context) -> None:
    """Check the cluster, the rights, the clock, the fleets, schedules and consoles, and name the cure of a problem.

    A check that needs a right that the user lacks has the result UNKNOWN, and names the right. Without --fleet, all
    fleets are checked.

    Exit codes: 0 no check has the result PROBLEM, 1 one has, or the cluster cannot be reached.
    """
    # The checks import the SDK of Azure, which takes longer than the other commands.
    from fleetscore.doctor.cluster_checks import check_cluster  # noqa: PLC0415
    from fleetscore.doctor.console_checks import check_consoles  # noqa: PLC0415
    from fleetscore.doctor.findings import exit_code, in_order  # noqa: PLC0415
    from fleetscore.doctor.fleet_checks import check_fleets, check_schedules  # noqa: PLC0415
    from fleetscore.doctor.gather import gather  # noqa: PLC0415
    from fleetscore.doctor.gather_fleets import Options  # noqa: PLC0415

    cluster = session.open_cluster()
    cluster.object("/version", "get the version")  # without an API server, no other check says anything
    source = ctx.get_parameter_source("fleet")
    named = source is not None and source.name == "COMMANDLINE"  # the default is a fleet's name, too
    options = Options(os.environ, session.use_fleet_secret, session.fleet if named else "")
    facts = gather(cluster, __version__, options)
    checks = (check_cluster, check_fleets, check_schedules, check_consoles)
    findings = list(in_order(finding for check in checks for finding in check(facts)))
    session.print(Table(_COLUMNS, [finding.as_json() for finding in findings], "check", "no checks"))
    raise typer.Exit(exit_code(findings))
