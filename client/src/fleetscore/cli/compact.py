"""The command `compact`: one file of predictions per window."""

from pathlib import Path
from typing import Annotated

import typer

from fleetscore.cli.output import Table, columns
from fleetscore.cli.session import Session, with_session
from fleetscore.contract.windows import format_time, parse_time

app = typer.Typer()


@app.command()
@with_session
def compact(
    session: Session,
    *,
    start: Annotated[str, typer.Option("--start", help="First instant, such as 2018-08-01T00:00Z.")],
    end: Annotated[str, typer.Option("--end", help="First instant after the windows.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of the files.")],
    format_: Annotated[str, typer.Option("--format", help="parquet or csv.", metavar="parquet|csv")] = "parquet",
    replace: Annotated[bool, typer.Option("--replace", help="Write again the files that exist.")] = False,
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
        for one in fleet.compact(first, after, to, format_, replace=replace)
    ]
    empty = f"no predictions from {format_time(first)} to {format_time(after)}"
    shown = columns("Window", "State", "Devices#", "Bytes#", "File+")
    session.print(Table(list(shown), rows, "File", empty))
