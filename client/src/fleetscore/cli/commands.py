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
    run_changes,
    runs,
    schedules,
    ui,
    windows,
)
from fleetscore.cli.session import examples

app = typer.Typer(
    name="fleetscore",
    help="Runs, incidents and predictions of a fleet. `fleetscore COMMAND --help` explains each command.",
    epilog="Exit codes: 0 success; 1 an error, with its reason and the next step, or a problem of `doctor`; "
    "2 an unknown or missing argument, a failed run of `wait` or `backfill`, or other bytes of `replay`; "
    "3 the timeout of `wait`; 130 Ctrl-C.\n\n" + examples("fleetscore incidents --store ./folder"),
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(runs.app)
app.add_typer(run_changes.app)
app.add_typer(backfill.app)
app.add_typer(schedules.app)
app.add_typer(windows.app)
app.add_typer(device.app)
app.add_typer(logs.app)
app.add_typer(replay.app)
app.add_typer(reports.app)
app.add_typer(ui.app)
app.add_typer(compact.app)
app.add_typer(mutes.app)
app.add_typer(doctor.app)
app.add_typer(completion.app)
