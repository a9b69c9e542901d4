"""The commands of the command line."""

import typer

from fleetscore.cli import (
    backfill,
    compact,
    completion,
    device,
    doctor,
    logs,
    mutes,
    replay,
    reports,
    runs,
    schedules,
    ui,
    windows,
)

app = typer.Typer(
    name="fleetscore",
    help="Runs, incidents and predictions of a fleet. `fleetscore COMMAND --help` explains each command.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(runs.app)
app.add_typer(schedules.app)
app.add_typer(windows.app)
app.add_typer(doctor.app)
app.add_typer(logs.app)
app.add_typer(backfill.app)
app.add_typer(reports.app)
app.add_typer(device.app)
app.add_typer(replay.app)
app.add_typer(mutes.app)
app.add_typer(compact.app)
app.add_typer(completion.app)
app.add_typer(ui.app)
