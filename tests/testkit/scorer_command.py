"""The scorer's command line, run in this process."""

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

from device_scorer.cli import run


class CommandResult(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


def scorer(*words: str | Path) -> CommandResult:
    """Run a command line and capture its output."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(word) for word in words])
    return CommandResult(code, out.getvalue(), err.getvalue())


def files(folder: Path) -> dict[str, bytes]:
    """Return the name and content of every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
