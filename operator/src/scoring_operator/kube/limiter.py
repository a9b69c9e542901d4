"""How many writes may be under way at once: found out by additive increase and multiplicative decrease, as TCP does.

Pure but for waiting: it knows neither HTTP nor Kubernetes.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

INITIAL_LIMIT = 16
MAX_IN_FLIGHT = 32  # each has a TLS connection, for which asyncio keeps 256 KiB; 32 create some 300 Jobs a second
DECREASE_FACTOR = 0.7


class AdaptiveLimiter:
    """An adaptive semaphore around writes.

    The limit grows by one for each window of successes in which it was the limit that held writes back, and shrinks to
    seven tenths on a rejection, at most once per round trip: rejections of writes that were sent before the last
    decrease say nothing about the new limit.
    """

    def __init__(self, initial_limit: int = INITIAL_LIMIT, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self.limit = float(initial_limit)
        self.in_flight = 0
        self._max_in_flight = max_in_flight
        self._successes = 0
        self._decreases = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def run(self, write: Coroutine[None, None, T], rejection: type[Exception]) -> T:
        """Wait for a turn, do the write, and learn from how it went.

        Args:
            write: The write.
            rejection: The exception by which it says that it came too fast.
        """
        try:
            await self._acquire()
        except BaseException:
            write.close()
            raise
        decreases = self._decreases
        try:
            result = await write
        except rejection:
            self._rejected(decreases)
            raise
        else:
            self._succeeded()
            return result
        finally:
            self._release()

    def _succeeded(self) -> None:
        if self.in_flight < int(self.limit):
            return
        self._successes += 1
        if self._successes >= self.limit:
            self._successes = 0
            self.limit = min(self.limit + 1, self._max_in_flight)

    def _rejected(self, decreases: int) -> None:
        if decreases == self._decreases:
            self._decreases += 1
            self._successes = 0
            self.limit = max(1.0, self.limit * DECREASE_FACTOR)

    async def _acquire(self) -> None:
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()  # the slot came together with the cancellation: pass it on
            raise

    def _release(self) -> None:
        self.in_flight -= 1
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
