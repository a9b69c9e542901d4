"""Retries of a failing call, with back-off and a deadline. Independent of the kind of storage.

The retries of the Azure SDK are disabled (azure.py). The SDK waits 20 seconds after one response 503, ignores the
header Retry-After of 429, and does not know a deadline. Here back-off is exponential with jitter, and a longer
Retry-After is honoured. An unreachable host ends the call within seconds, and no call outlasts its deadline.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from device_scorer.errors import TransientError

MAX_DAMAGED_READS = 3
"""Number of downloads of a blob whose content does not match its length or checksum."""

MIN_TIMEOUT_SECONDS = 0.2
"""The shortest timeout of a request, for a view whose deadline is over."""

_Result = TypeVar("_Result")


class RetryPolicy(NamedTuple):
    """The limits of one call with all its attempts. All values are in seconds.

    Attributes:
        max_retry_seconds: The time after which the call ends, even if its deadline is later.
        max_unreachable_seconds: The time after which the call ends if every attempt failed before the request was
            sent (refused connections, unknown hosts).
        initial_backoff_seconds: The time between the first two attempts. It doubles after each attempt.
        max_backoff_seconds: The longest time between two attempts, unless the server requests a longer one.
        connect_timeout_seconds: The time for one connection.
        read_timeout_seconds: The time for the next byte of a response.
    """

    max_retry_seconds: float = 60.0
    max_unreachable_seconds: float = 5.0
    initial_backoff_seconds: float = 0.3
    max_backoff_seconds: float = 8.0
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 20.0


DEFAULT_RETRY_POLICY = RetryPolicy()


class RetryableFailure(NamedTuple):
    """A failed attempt that a retry may fix.

    Attributes:
        error: The error to raise if the retries end.
        maybe_applied: True if the request may have reached the server and changed something.
        retry_after_seconds: The time that the server requests before the next attempt; None without a request.
    """

    error: TransientError
    maybe_applied: bool = True
    retry_after_seconds: float | None = None


class Clock(Protocol):
    """The part of the module `time` that retries use."""

    def monotonic(self) -> float:
        """Return the seconds of a clock that is never set."""

    def sleep(self, seconds: float, /) -> None:
        """Wait for a number of seconds."""


def call_with_retry(
    attempt: Callable[[], _Result],
    classify: Callable[[Exception], RetryableFailure],
    *,
    deadline: float,
    policy: RetryPolicy = DEFAULT_RETRY_POLICY,
    on_maybe_applied: Callable[[], None] = lambda: None,
    clock: Clock = time,
) -> _Result:
    """Call a function until it returns, and return its result.

    Args:
        attempt: The function.
        classify: A function that turns an exception into a RetryableFailure, or raises if a retry does not help.
        deadline: The time at which the call ends, on the clock of `time.monotonic()`, in seconds.
        policy: The limits of the call.
        on_maybe_applied: A function that is called after each failed attempt that may have changed something.
        clock: The clock.

    Raises:
        TransientError: The error of the last attempt, with the number of attempts. It is raised as soon as the next
            attempt would begin after a limit.
    """
    started, unreachable_since = clock.monotonic(), None
    attempts = 0
    while True:
        try:
            return attempt()
        except Exception as error:  # noqa: BLE001  classify knows the exceptions of the call and raises all others
            failure = classify(error)
        attempts += 1
        now = clock.monotonic()
        if failure.maybe_applied:
            unreachable_since = None
            on_maybe_applied()
        elif unreachable_since is None:
            unreachable_since = now
        backoff_seconds = _backoff_seconds(attempts, failure.retry_after_seconds or 0.0, policy)
        give_up_at = min(deadline, started + policy.max_retry_seconds)
        if unreachable_since is not None:
            give_up_at = min(give_up_at, unreachable_since + policy.max_unreachable_seconds)
        if now + backoff_seconds >= give_up_at:
            times = f"{attempts} attempts" if attempts > 1 else "1 attempt"
            raise type(failure.error)(f"{failure.error} ({times} in {now - started:.0f} s)")
        clock.sleep(backoff_seconds)


def _backoff_seconds(attempts: int, retry_after_seconds: float, policy: RetryPolicy) -> float:
    """Return the time before the next attempt. A server can make it longer, but not shorter."""
    from random import uniform  # noqa: PLC0415  most processes need no retry

    exponential_seconds = min(policy.max_backoff_seconds, policy.initial_backoff_seconds * 2.0 ** (attempts - 1))
    # The jitter spreads the attempts of the pods, also if the server gives all of them the same time.
    jittered_seconds = exponential_seconds * uniform(0.7, 1.3)  # noqa: S311  the jitter is not a secret
    return max(jittered_seconds, retry_after_seconds * uniform(1.0, 1.25))  # noqa: S311  as above
