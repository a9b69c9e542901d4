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

from device_scorer.errors import TransientError

MAX_RETRY_SECONDS = 60.0
"""Seconds after which one call is given up, whatever the deadline."""

MAX_UNREACHABLE_SECONDS = 5.0
"""Seconds of nothing but refused connections and unknown hosts after which it is given up."""

_INITIAL_BACKOFF_SECONDS, _MAX_BACKOFF_SECONDS = 0.3, 8.0
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class RetryableFailure:
    """A failure worth another attempt; `reached`: the request may have arrived and taken effect."""

    error: TransientError
    maybe_applied: bool = True
    retry_after_seconds: float | None = None


def call_with_retry(
    attempt: Callable[[], _Result],
    classify: Callable[[Exception], RetryableFailure],
    *,
    deadline: float,
    on_maybe_applied: Callable[[], None] = lambda: None,
) -> _Result:
    """Call `attempt` until it answers or patience or the deadline (`time.monotonic()`) is over.

    `understand` turns an exception into Trouble, or raises where another attempt would not help; `on_reached` is told
    of each failed attempt that may have taken effect. Raises the last Trouble's error.
    """
    started, unreachable_since = time.monotonic(), None
    attempts = 0
    while True:
        try:
            return attempt()
        except Exception as error:  # noqa: BLE001  the edge knows which exceptions there are; it raises the others again
            failure = classify(error)
        attempts += 1
        now = time.monotonic()
        if failure.maybe_applied:
            unreachable_since = None
            on_maybe_applied()
        elif unreachable_since is None:
            unreachable_since = now
        backoff_seconds = failure.retry_after_seconds
        if backoff_seconds is None:
            jitter = random.uniform(0.7, 1.3)  # noqa: S311  spreads load, keeps no secret
            backoff_seconds = min(_MAX_BACKOFF_SECONDS, _INITIAL_BACKOFF_SECONDS * 2 ** (attempts - 1)) * jitter
        give_up_at = min(deadline, started + MAX_RETRY_SECONDS)
        if unreachable_since is not None:
            give_up_at = min(give_up_at, unreachable_since + MAX_UNREACHABLE_SECONDS)
        if now + backoff_seconds >= give_up_at:
            times = f"{attempts} attempts" if attempts > 1 else "1 attempt"
            raise type(failure.error)(f"{failure.error} ({times} in {now - started:.0f} s)")
        time.sleep(backoff_seconds)
