"""Waiting for a condition with a deadline. No test sleeps for a fixed time in the hope that something has happened."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T | None], description: str, *, seconds: float = 180, interval: float = 0.05) -> T:
    """Call a condition until its result is true, and return the result.

    Args:
        condition: The condition to check.
        description: The text that the failure names.
        seconds: The time limit, in seconds.
        interval: The pause between two checks, in seconds.

    Raises:
        AssertionError: The condition did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {description}"
        time.sleep(interval)
    return result


async def until_async(
    condition: Callable[[], T | None], description: str = "the condition", *, seconds: float = 30
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
