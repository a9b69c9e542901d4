"""Runs a command in this process, as a user would type it, and keeps what it says."""

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

from device_scorer.cli import run


class Said(NamedTuple):
    """Exit code and both outputs."""

    code: int
    out: str
    err: str


def scorer(*words: str | Path) -> Said:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(word) for word in words])
    return Said(code, out.getvalue(), err.getvalue())


def files(folder: Path) -> dict[str, bytes]:
    """Name and content of every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
