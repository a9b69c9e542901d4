"""Ctrl-C: temporary files that are deleted in any case, and a process that ends at any moment without a traceback.

A signal may arrive while a module is imported or an object is deleted. Python then turns KeyboardInterrupt into another
error (such as RuntimeError if a class is being created), or prints it and continues.
"""

import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Self

from fleetscore.errors import StorageUnavailable

REPEAT_SECONDS = 3.0
"""Seconds until a command that still runs is interrupted again: its library has caught the interrupt, or it cleans up.

Further signals of the user are ignored for as long, because they would interrupt the cleaning up.
"""

_temporary: set[Path] = set()


@contextmanager
def temporary_path(folder: Path, prefix: str) -> Iterator[Path]:
    """Yield an unused path in a folder, and delete the file or folder that exists there at the end.

    Args:
        folder: The folder.
        prefix: The first characters of the name.
    """
    path = folder / f"{prefix}{secrets.token_hex(8)}"
    _temporary.add(path)  # before it exists, so that an interrupt in between leaves nothing
    try:
        yield path
    finally:
        _delete(path)
        _temporary.discard(path)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder that only this user can read, and delete it at the end.

    Raises:
        StorageUnavailable: The folder or a file in it cannot be written.
    """
    try:
        with temporary_path(Path(tempfile.gettempdir()), "fleetscore-") as folder:
            folder.mkdir(mode=0o700)
            yield folder
    except OSError as error:
        text = f"temporary files cannot be written: {error.strerror or error}"
        raise StorageUnavailable(f"{text}; free some space, or set TMPDIR to another folder") from error


class Interrupts:
    """A context in which SIGINT ends the process: without a traceback, temporary files and waiting for threads.

    Args:
        code: The exit code of an interrupted process.
        repeat_seconds: The seconds until a process that still runs is interrupted again.
    """

    def __init__(self, code: int, *, repeat_seconds: float = REPEAT_SECONDS) -> None:
        self._code, self._repeat_seconds = code, repeat_seconds
        self._last: float | None = None

    def __enter__(self) -> Self:
        """Begin to handle SIGINT."""
        signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """End the process if a signal was received, whatever its error has become; ignore later signals."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self._last is None:
            return
        for path in list(_temporary):
            _delete(path)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(self._code)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._last is not None and now < self._last + self._repeat_seconds:
            return
        self._last = now
        sys.unraisablehook = lambda _: None
        again = threading.Timer(self._repeat_seconds, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()
        raise KeyboardInterrupt


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
