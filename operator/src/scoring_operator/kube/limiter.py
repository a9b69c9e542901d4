"""A limiter of concurrent writes with additive increase and multiplicative decrease (AIMD), as in TCP.

AIMD: Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks"
(1989). The module does not know HTTP or Kubernetes.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

INITIAL_LIMIT = 16
MAX_IN_FLIGHT = 32  # each needs a TLS connection with 256 KiB of buffers; 32 create about 300 Jobs a second
DECREASE_FACTOR = 0.7


class AdaptiveLimiter:
    """A semaphore for writes whose limit adapts to rejections.

    The limit grows by one after `limit` successes that finished while the limit was reached. A rejection multiplies the
    limit by `DECREASE_FACTOR`, at most once per round trip. Rejections of writes that were sent before the last
    decrease do not count. Writes wait in groups, and the group with the fewest writes in flight is next. So a group
    with many or slow writes does not keep the others waiting.

    Args:
        initial_limit: The limit at the start.
        max_in_flight: The maximum of the limit.
    """

    def __init__(self, initial_limit: int = INITIAL_LIMIT, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self.limit = float(initial_limit)
        self.in_flight = 0
        self._max_in_flight = max_in_flight
        self._successes = 0
        self._decreases = 0
        self._by_group: Counter[str] = Counter()  # in flight
        # If several groups have the same number in flight, the first of them is next.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @property
    def has_waiting(self) -> bool:
        """Whether a write waits for a slot."""
        return bool(self._waiting)

    async def run(self, write: Coroutine[None, None, T], rejection: type[Exception], group: str = "") -> T:
        """Wait for a slot, run a write, and adapt the limit to its result.

        Args:
            write: The write.
            rejection: The type of exception that the write raises when the server throttles it.
            group: The group of the write.
        """
        try:
            await self._acquire(group)
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
            self._release(group)

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

    async def _acquire(self, group: str) -> None:
        if self.in_flight < int(self.limit) and not self._waiting:
            self._start(group)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(group, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release(group)  # the slot arrived together with the cancellation: release it
            raise

    def _start(self, group: str) -> None:
        self.in_flight += 1
        self._by_group[group] += 1

    def _release(self, group: str) -> None:
        self.in_flight -= 1
        self._by_group[group] -= 1
        if not self._by_group[group]:
            del self._by_group[group]
        while self._waiting and self.in_flight < int(self.limit):
            group, turn = self._next_turn()
            if not turn.done():
                self._start(group)
                turn.set_result(None)

    def _next_turn(self) -> tuple[str, asyncio.Future[None]]:
        group = min(self._waiting, key=self._by_group.__getitem__)
        turns = self._waiting.pop(group)
        turn = turns.popleft()
        if turns:
            self._waiting[group] = turns  # at the end
        return group, turn
