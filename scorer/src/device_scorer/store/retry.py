"""How long a failing call is tried again, and when it is given up. Knows no storage: the edge says what an error means.

The SDK's own retries are off (azure_blobs.py), since they would wait 20 s after one 503, ignore Retry-After and 429,
and know no deadline. Here pauses grow with jitter, Retry-After is honoured, a host that cannot be reached at all is
given up in seconds, and nothing outlives the deadline.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from device_scorer.errors import PassingError

PATIENCE = 60.0
"""Seconds after which one call is given up, whatever the deadline."""

UNREACHABLE_PATIENCE = 5.0
"""Seconds of nothing but refused connections and unknown hosts after which it is given up."""

_PAUSE, _LONGEST_PAUSE = 0.3, 8.0
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failure worth another attempt; `reached`: the request may have arrived and taken effect."""

    error: PassingError
    reached: bool = True
    retry_after: float | None = None


def persist(
    attempt: Callable[[], _Answer],
    understand: Callable[[Exception], Trouble],
    *,
    deadline: float,
    on_reached: Callable[[], None] = lambda: None,
) -> _Answer:
    """Call `attempt` until it answers or patience or the deadline (`time.monotonic()`) is over.

    `understand` turns an exception into Trouble, or raises where another attempt would not help; `on_reached` is told
    of each failed attempt that may have taken effect. Raises the last Trouble's error.
    """
    began, away = time.monotonic(), None
    tries = 0
    while True:
        try:
            return attempt()
        except Exception as error:  # noqa: BLE001  the edge knows which exceptions there are; it raises the others again
            trouble = understand(error)
        tries += 1
        now = time.monotonic()
        if trouble.reached:
            away = None
            on_reached()
        elif away is None:
            away = now
        pause = trouble.retry_after
        if pause is None:
            jitter = random.uniform(0.7, 1.3)  # noqa: S311  spreads load, keeps no secret
            pause = min(_LONGEST_PAUSE, _PAUSE * 2 ** (tries - 1)) * jitter
        ends = min(deadline, began + PATIENCE)
        if away is not None:
            ends = min(ends, away + UNREACHABLE_PATIENCE)
        if now + pause >= ends:
            times = f"{tries} attempts" if tries > 1 else "1 attempt"
            raise type(trouble.error)(f"{trouble.error} ({times} in {now - began:.0f} s)")
        time.sleep(pause)
