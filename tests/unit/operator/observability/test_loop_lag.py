"""The lag of an event loop."""

import asyncio
import re
import time

import pytest

from scoring_operator.observability import loop_lag


async def measured(seconds: float) -> list[float]:
    """Return the lags while the loop is blocked once."""
    lags: list[float] = []
    task = asyncio.create_task(loop_lag.measure_lag(lags.append))
    await asyncio.sleep(0)
    time.sleep(seconds)  # noqa: ASYNC251  # the block to be measured
    while not lags:  # noqa: ASYNC110  # the measurement announces nothing
        await asyncio.sleep(0.01)
    task.cancel()
    return lags


async def test_block_of_the_loop_is_recorded_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert (loop_lag.LAG_INTERVAL_SECONDS, loop_lag.MAX_LAG_SECONDS) == (0.5, 1.0)
    monkeypatch.setattr(loop_lag, "LAG_INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(loop_lag, "MAX_LAG_SECONDS", 0.1)
    assert max(await measured(0.3)) > 0.2
    assert re.search(r"the event loop was blocked for \d+\.", caplog.text)


async def test_lag_of_an_idle_loop_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop_lag, "LAG_INTERVAL_SECONDS", 0.01)
    for _ in range(4):  # a machine that stalls blocks the loop too
        caplog.clear()
        if (lag := min(await measured(0))) < 1:
            break
    assert lag < 1
    assert caplog.text == ""
