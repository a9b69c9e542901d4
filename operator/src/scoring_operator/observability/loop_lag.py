"""The lag of an event loop: the time for which a ready task has to wait for its turn."""

import asyncio
import logging
from collections.abc import Callable

LAG_INTERVAL_SECONDS = 0.5  # a block of a second always delays one measurement by half a second or more
MAX_LAG_SECONDS = 1.0  # a longer lag is logged

_log = logging.getLogger(__name__)


async def measure_lag(
    record: Callable[[float], None],
    *,
    interval_seconds: float = LAG_INTERVAL_SECONDS,
    max_lag_seconds: float = MAX_LAG_SECONDS,
    gathering_time: Callable[[], float] = lambda: 0.0,
) -> None:
    """Measure the lag of the running event loop at each interval until cancelled.

    Args:
        record: The function that gets each lag, in seconds.
        interval_seconds: The time between two measurements.
        max_lag_seconds: The lag above which a lag is logged.
        gathering_time: The function that returns the seconds for which the loop gathers events. They are not a lag.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval_seconds
        await asyncio.sleep(interval_seconds)
        lag = max(loop.time() - due - gathering_time(), 0.0)
        record(lag)
        if lag > max_lag_seconds:
            _log.warning("the event loop was blocked for %.1f s; other runs and the renewal of the Lease waited", lag)
