"""The lag of an event loop."""

import asyncio
import re
import time
from typing import Any

import pytest

from scoring_operator.observability import loop_lag
from tests.testkit.waiting import until_async


async def measured(seconds: float, **limits: Any) -> list[float]:
    """Return the lags while the loop is blocked once."""
    lags: list[float] = []
    task = asyncio.create_task(loop_lag.measure_lag(lags.append, **limits))
    await asyncio.sleep(0)
    time.sleep(seconds)  # noqa: ASYNC251  # the block to be measured
    await until_async(lambda: lags, "a lag is measured")
    task.cancel()
    return lags


def test_lag_is_measured_twice_a_second_and_logged_above_a_second() -> None:
    assert (loop_lag.LAG_INTERVAL_SECONDS, loop_lag.MAX_LAG_SECONDS) == (0.5, 1.0)


async def test_block_of_the_loop_is_recorded_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert max(await measured(0.3, interval_seconds=0.05, max_lag_seconds=0.1)) > 0.2
    assert re.search(r"the event loop was blocked for \d+\.", caplog.text)


async def test_lag_of_an_idle_loop_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(4):  # a machine that stalls blocks the loop too
        caplog.clear()
        if (lag := min(await measured(0, interval_seconds=0.01))) < 1:
            break
    assert lag < 1
    assert caplog.text == ""


async def test_time_for_which_the_loop_gathers_events_is_not_a_lag() -> None:
    assert max(await measured(0.3, interval_seconds=0.05, gathering_time=lambda: 60.0)) == 0
