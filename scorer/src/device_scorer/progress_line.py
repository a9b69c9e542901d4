"""The progress of a long command on a terminal: one line on stderr that is overwritten at most once a second."""

import sys
import time
from collections.abc import Callable

UPDATE_INTERVAL_SECONDS = 1.0


class ProgressLine:
    """A line that is overwritten in place. It prints nothing unless stderr is a terminal, so that logs stay short.

    Args:
        monotonic: The clock, in seconds.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._next_update = monotonic() + UPDATE_INTERVAL_SECONDS
        self._shown = False

    def is_due(self) -> bool:
        """Return True if `show` would print. A tight loop asks before it composes the text."""
        return sys.stderr.isatty() and self._monotonic() >= self._next_update

    def show(self, text: str) -> None:
        """Print the text if an update is due.

        Args:
            text: The new text of the line.
        """
        if self.is_due():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            self._next_update = self._monotonic() + UPDATE_INTERVAL_SECONDS
            self._shown = True

    def clear(self) -> None:
        """Remove the line, before results are printed."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
