"""Tells a person at a terminal how far a long command is: one line on stderr, rewritten at most once a second."""

import sys
import time


class ProgressLine:
    """A line that is rewritten in place; off a terminal it stays mute, so that logs hold results only."""

    def __init__(self) -> None:
        self._next_update = time.monotonic() + 1.0
        self._shown = False

    def is_due(self) -> bool:
        """Whether a new line would be shown: ask before composing one in a tight loop."""
        return sys.stderr.isatty() and time.monotonic() >= self._next_update

    def show(self, text: str) -> None:
        """Show the text if it is due."""
        if self.is_due():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            self._next_update = time.monotonic() + 1.0
            self._shown = True

    def clear(self) -> None:
        """Take the line away, before results are printed."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
