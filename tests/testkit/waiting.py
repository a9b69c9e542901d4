"""Waiting for a condition with a deadline. No test sleeps for a fixed time in the hope that something has happened."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T | None],
    description: str,
    *,
    seconds: float = 180,
    interval: float = 0.05,
    state: Callable[[], str] = str,
) -> T:
    """Call a condition until its result is true, and return the result.

    Args:
        condition: The condition to check.
        description: The text that the failure names.
        seconds: The time limit, in seconds.
        interval: The pause between two checks, in seconds.
        state: Returns what a failure shows in addition, such as the objects that the condition is about.

    Raises:
        AssertionError: The condition did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {description} {state()}"
        time.sleep(interval)
    return result


async def until_async(
    condition: Callable[[], T | None], description: str = "the condition", *, seconds: float = 120
) -> T:
    """Call a condition until its result is true, and return the result; other tasks run between two checks.

    Args:
        condition: The condition to check; it must not block.
        description: The text that the failure names.
        seconds: The time limit, in seconds.

    Raises:
        AssertionError: The condition did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {description}"
        await asyncio.sleep(0.005)
    return result


def shortest(measure: Callable[[], float], limit: float, *, times: int = 4) -> float:
    """Measure until a result is below a limit, and return the last result.

    Other programs on the machine lengthen a measurement. They never shorten it, so one short result shows the claim.

    Args:
        measure: The function that returns a number of seconds.
        limit: The number of seconds below which the measurement ends.
        times: The largest number of measurements.
    """
    for _ in range(times - 1):
        if (seconds := measure()) < limit:
            return seconds
    return measure()
