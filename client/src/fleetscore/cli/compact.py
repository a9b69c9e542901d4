"""The command `compact`: one file of predictions per window."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleetscore.cli.next_steps import report_again
from fleetscore.cli.output import Table, columns, console
from fleetscore.cli.session import RESULTS, TIME_FORMS, Session, examples, with_session
from fleetscore.contract.windows import format_time, parse_time

app = typer.Typer()


class FileFormat(StrEnum):
    """The format of the files."""

    PARQUET = "parquet"
    CSV = "csv"


@app.command(
    rich_help_panel=RESULTS,
    epilog=examples("fleetscore compact --start 2018-08-01 --end 2018-09-01 --to out --format csv"),
)
@with_session
def compact(
    session: Session,
    *,
    start: Annotated[str, typer.Option("--start", metavar="TIME", help=f"First instant: {TIME_FORMS}.")],
    end: Annotated[
        str, typer.Option("--end", metavar="TIME", help="First instant after the windows, in the same form.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Folder of the files, which is created.")],
    format_: Annotated[
        FileFormat,
        typer.Option(
            "--format", metavar="parquet|csv", help="Format of the files; parquet needs `fleetscore[parquet]`."
        ),
    ] = FileFormat.PARQUET,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write again the files that exist; by default they are kept.")
    ] = False,
) -> None:
    """Write the predictions of each window into one file, in place of one file per device."""
    fleet = session.open_fleet()
    first, after = parse_time(start), parse_time(end)
    rows = [
        {
            "Window": one.window.column,
            "State": "written" if one.written else "kept",
            "Devices": one.devices if one.written else None,
            "Bytes": one.size,
            "File": str(one.path),
        }
        for one in fleet.compact(first, after, to, format_.value, replace=replace)
    ]
    omitted = fleet.windows_without_report(first, after)
    if omitted:
        text = f"windows without a report are omitted: {len(omitted):,}, first {omitted[0].column}"
        next_step = f"a report is written at the end of a run, or by {report_again(session.store, omitted[0])}"
        console(error=True).print(f"warning: {text}; {next_step}")
    of_windows = " of windows with a report" if omitted else ""
    empty = f"no predictions{of_windows} from {format_time(first)} to {format_time(after)}"
    shown = columns("Window", "State", "Devices#", "Bytes#", "File+")
    session.print(Table(list(shown), rows, "File", empty))
