"""The progress of work that takes more than two seconds, as one line on standard error."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

DELAY_SECONDS = 2.0
INTERVAL_SECONDS = 0.5
_Item = TypeVar("_Item")


def track(
    items: Iterable[_Item],
    total: int | None,
    what: str,
    *,
    stream: TextIO | None = None,
    delay_seconds: float = DELAY_SECONDS,
    interval_seconds: float = INTERVAL_SECONDS,
) -> Iterator[_Item]:
    """Yield the items, and show how many are done after a delay, on a terminal or in a notebook.

    Args:
        items: The items; the work on one is done when the next one is taken.
        total: The number of items; None if it is unknown.
        what: The noun of the items, in the plural.
        stream: The stream; None for standard error.
        delay_seconds: The seconds after which the number is shown for the first time.
        interval_seconds: The seconds after which another number is shown.
    """
    target = sys.stderr if stream is None else stream
    shows = target.isatty() or "ipykernel" in sys.modules
    due, shown = time.monotonic() + delay_seconds, ""
    end = what if total is None else f"of {total:,} {what}"
    try:
        for done, item in enumerate(items):
            if shows and time.monotonic() >= due:
                due, shown = time.monotonic() + interval_seconds, f"{done:,} {end}"
                target.write(f"\r{shown}")
                target.flush()
            yield item
    finally:
        if shown:
            target.write(f"\r{' ' * len(shown)}\r")  # an escape sequence would be text on a dumb terminal
            target.flush()
