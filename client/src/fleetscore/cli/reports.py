"""The command `open`: the report of a window in a browser."""

import os
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from fleetscore.cli.output import Format, console, print_documents
from fleetscore.cli.session import RESULTS, Session, WindowOption, examples, with_session
from fleetscore.contract import blob_paths
from fleetscore.contract.windows import Window
from fleetscore.errors import FleetscoreError, UsageInvalid
from fleetscore.fleet import Fleet
from fleetscore.interrupts import temporary_path

app = typer.Typer()


@app.command("open", rich_help_panel=RESULTS, epilog=examples("fleetscore open --window 2018-08-28T23:00Z --print"))
@with_session
def open_report(
    session: Session,
    *,
    window: WindowOption = None,
    print_: Annotated[bool, typer.Option("--print", help="Print the path, and open no browser.")] = False,
) -> None:
    """Open the report of the newest window in a browser; a report in an account is downloaded first."""
    fleet = session.open_fleet()
    found = fleet.to_window(window) if window else fleet.newest_window()
    path = report_path(fleet, found, session.store)
    if session.output in (Format.JSON, Format.YAML):
        print_documents({"window": found.column, "path": str(path)}, session.output)
    else:
        print(path)
    if not print_ and session.output is Format.TABLE and not webbrowser.open(path.as_uri()):
        console(error=True).print("no browser was found; open the file yourself")


def report_path(fleet: Fleet, window: Window, folder: Path | None) -> Path:
    """Return the path of a window's report; without a folder, the report is downloaded into the user's cache.

    Raises:
        NotFound: The window has no report.
    """
    page = fleet.report_page(window)
    if folder is not None:
        return (folder / "predictions" / blob_paths.report_name(window, blob_paths.REPORT_FILE)).resolve()
    cache = _cache_folder()
    path = cache / "fleetscore" / "reports" / blob_paths.encode_id(fleet.layout.name) / window.slug / "report.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with temporary_path(path.parent, ".unfinished-") as temporary:
            temporary.write_bytes(page)
            temporary.replace(path)
    except OSError as error:
        raise FleetscoreError(f"{path} cannot be written: {error.strerror}; set XDG_CACHE_HOME to a folder") from error
    return path


def _cache_folder() -> Path:
    """Return the user's cache. Raises UsageInvalid if no home directory is known, such as for a uid without a name."""
    found = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if found.is_absolute():  # the XDG specification ignores a relative path
        return found
    try:
        return (Path.home() / ".cache").absolute()
    except RuntimeError as error:
        raise UsageInvalid("the home directory is unknown; set HOME, or XDG_CACHE_HOME to a folder") from error
