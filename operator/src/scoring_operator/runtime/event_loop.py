"""An event loop that wakes up less often: what happens within some milliseconds is handled together.

A wake-up costs more than the work that it does, because other processes use the caches of the CPU meanwhile. Network
drivers gather packets for the same reason (Linux: NAPI).
"""

import asyncio
import selectors
import time
from collections.abc import Callable

MAX_WORK_SECONDS = 0.005  # after more work, a wake-up costs little in comparison, so a long list does not wait


class GatheringSelector(selectors.DefaultSelector):
    """A selector that, after a wait, gathers further events for some time.

    Args:
        gathering_time: The function that returns the time in seconds, after each wait; 0 to return at once.
        sleep: The function that waits.
        clock: The function that returns monotonic seconds.
    """

    def __init__(
        self,
        gathering_time: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._gathering_time = gathering_time
        self._sleep = sleep
        self._clock = clock
        self._last_wait_ended = clock()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the files that are ready, as `selectors.BaseSelector.select` does.

        Nothing is gathered if a file is ready without a wait, or if the caller worked for long since the last wait.

        Args:
            timeout: The longest time to wait in seconds, without the time to gather. The default has no limit.
        """
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        worked = self._clock() - self._last_wait_ended
        ready = super().select(timeout)
        if worked < MAX_WORK_SECONDS and (gathering_time := self._gathering_time()) > 0:
            self._sleep(gathering_time)
            ready = super().select(0)
        self._last_wait_ended = self._clock()
        return ready


def new_event_loop(gathering_time: Callable[[], float]) -> asyncio.AbstractEventLoop:
    """Return an event loop that handles together what happens within some time.

    Args:
        gathering_time: The function that returns the seconds by which a response, an event or a timer may be late.
    """
    return asyncio.SelectorEventLoop(GatheringSelector(gathering_time))
