"""The command line: `fleetscore`, and `kubectl fleetscore`. It prints; the library reads."""

import sys
from collections.abc import Sequence
from pathlib import Path

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
from fleetscore.cli.output import console
from fleetscore.errors import FleetscoreError

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Returns:
        0, 1 for an error, 2 for invalid arguments or a failed run of `wait`, 3 for its timeout, 130 after Ctrl-C.
    """
    program = "kubectl fleetscore" if Path(sys.argv[0]).name.startswith("kubectl-") else "fleetscore"
    try:
        app(None if arguments is None else list(arguments), prog_name=program)
    except FleetscoreError as error:
        console(error=True).print(f"error: {error}", markup=False)
        return EXIT_ERROR
    except KeyboardInterrupt:  # typer handles it only while a command runs
        return EXIT_INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_ERROR
    return 0
