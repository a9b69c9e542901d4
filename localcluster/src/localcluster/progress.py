"""The progress line of a step: its description, its elapsed time and its usual time.

A terminal shows one line that is rewritten every second. A log gets a line at the start, every 15 seconds and at the
end. Steps do not nest: a step within a step prints its own lines.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_LOG_INTERVAL_SECONDS = 15.0
_TERMINAL_INTERVAL_SECONDS = 1.0


def format_duration(seconds: float) -> str:
    """Return a duration in seconds as minutes and seconds, e.g. ``6:40``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def progress_line(description: str, elapsed_seconds: float, usual_seconds: float | None) -> str:
    """Return the progress line, e.g. ``building helm: 0:31 (usually 2:20)``."""
    usual = "" if usual_seconds is None else f" (usually {format_duration(usual_seconds)})"
    return f"{description}: {format_duration(elapsed_seconds)}{usual}"


class StepProgress:
    """A printer of the steps of a command.

    Args:
        stream: The stream to print to. The default is standard error; standard output has the command's result.
        now: The clock in seconds.
    """

    def __init__(self, stream: TextIO | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._now = now
        self._terminal = self._stream.isatty()
        self._lock = threading.Lock()

    def print_line(self, text: str) -> None:
        """Print one line."""
        with self._lock:
            self._stream.write(text + "\n")
            self._stream.flush()

    @contextmanager
    def step(self, description: str, *, usual_seconds: float | None = None, delay_seconds: float = 0) -> Iterator[None]:
        """Show the step's progress while the body runs, then how long it took.

        Args:
            description: The step, such as ``building helm``.
            usual_seconds: The usual duration in seconds, if known.
            delay_seconds: The time in seconds before the first line. A step that ends before that prints nothing.
        """
        started = self._now()
        done = threading.Event()
        shown = threading.Event()
        interval = _TERMINAL_INTERVAL_SECONDS if self._terminal else _LOG_INTERVAL_SECONDS

        def tick() -> None:
            if delay_seconds and done.wait(delay_seconds):
                return
            shown.set()
            self._show(progress_line(description, self._now() - started, usual_seconds))
            while not done.wait(interval):
                self._show(progress_line(description, self._now() - started, usual_seconds))

        ticker = threading.Thread(target=tick, name="progress", daemon=True)
        ticker.start()
        outcome = "stopped after"
        try:
            yield
            outcome = "done in"
        finally:
            done.set()
            ticker.join()
            if shown.is_set():
                self._finish_line(f"{description}: {outcome} {self._now() - started:.1f} s")

    def _show(self, text: str) -> None:
        with self._lock:
            self._stream.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
            self._stream.flush()

    def _finish_line(self, text: str) -> None:
        with self._lock:
            self._stream.write(f"\r\x1b[K{text}\n" if self._terminal else f"{text}\n")
            self._stream.flush()
