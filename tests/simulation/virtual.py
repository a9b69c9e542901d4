"""Virtual time: an event loop whose clock advances only when no task is ready, so that minutes take milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar
from unittest import mock

from tests.testkit.loop_clock import ThreadlessLoop

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):
    """A selector that advances the clock by the timeout instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "no task and no timer is left"
            self.now += max(timeout, 0.0)
        return found


class VirtualTime:
    """An event loop with its own clock, which `time.monotonic` returns while the loop runs.

    Attributes:
        loop: The event loop.
        errors: The errors that no task awaited.
    """

    def __init__(self) -> None:
        self._clock = _Jump()
        self.loop = ThreadlessLoop(self._clock)
        self.errors: list[Mapping[str, Any]] = []
        self.loop.set_exception_handler(self._record)

    def _record(self, _loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        # The garbage collector closes the generators of a killed operator, which may raise.
        if "asynchronous generator" not in str(context.get("exception")):
            self.errors.append(context)

    def now(self) -> float:
        """Return the time of the clock, in seconds."""
        return self._clock.now

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to completion."""
        with mock.patch("time.monotonic", self.now):
            return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.loop.close()
