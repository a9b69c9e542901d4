"""An event loop with a clock of its own: limits of time do not depend on the speed of the machine.

The clock advances only while no socket of the loop is ready. A client and a server in the same loop exchange messages
in no time, and a machine that stalls exceeds no limit.
"""

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")

MAX_WAIT_SECONDS = 0.25


class _Jump(selectors.DefaultSelector):
    """A selector that waits a short time for sockets, and then advances the clock by the timeout."""

    def __init__(self) -> None:
        super().__init__()
        self.now = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select()
        # Data between two sockets of a busy machine may need a moment. The longer the jump, the longer is the wait.
        found = super().select(min(timeout, 0.002 + timeout / 10, MAX_WAIT_SECONDS))
        if not found:
            self.now += max(timeout, 0.0)
        return found


class ThreadlessLoop(asyncio.SelectorEventLoop):
    """An event loop that runs the work of threads at once, so that no test depends on the speed of the machine."""

    def run_in_executor(self, _executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # asyncio passes them by position
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # the awaiting task gets it
            done.set_exception(error)
        return done


class ClockLoop(ThreadlessLoop):
    """An event loop whose clock `time.monotonic` returns while it runs."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now

    def run_forever(self) -> None:
        with mock.patch("time.monotonic", self.time):
            super().run_forever()
