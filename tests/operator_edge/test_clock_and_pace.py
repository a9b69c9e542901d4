import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from scoring_operator.errors import Throttled, Unavailable
from scoring_operator.kube.limiter import AdaptiveLimiter
from scoring_operator.kube.server_clock import ServerClock


def header(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def test_the_servers_time_is_followed_in_both_directions() -> None:
    clock = ServerClock()
    for hours in (1, -1):
        server = datetime.now(UTC) + timedelta(hours=hours)
        monotonic = time.monotonic()
        clock.observe(header(server), monotonic, monotonic)
        assert abs(clock.now() - server) <= timedelta(seconds=1.1)


def test_many_answers_make_the_servers_time_exact() -> None:
    clock = ServerClock()
    server = datetime(2026, 1, 1, tzinfo=UTC)
    for tenth in range(30):  # the server's clock reads 00:00:00.7 at our 1000.0
        local = 1000.0 + tenth / 10
        clock.observe(header(server + timedelta(seconds=0.7 + tenth / 10)), local, local)
    assert clock._offset + 1000.0 - server.timestamp() == pytest.approx(0.7, abs=0.11)


def test_an_unreadable_date_is_passed_over() -> None:
    clock = ServerClock()
    before = clock.now()
    clock.observe("yesterday", 0.0, 0.0)
    assert clock.now() - before < timedelta(seconds=1)


async def through(pace: AdaptiveLimiter, *, refused: bool = False) -> None:
    async def write() -> None:
        await asyncio.sleep(0)
        if refused:
            raise Throttled("slow down")

    await pace.run(write(), Throttled)


async def test_the_limit_grows_by_one_per_window_and_shrinks_once_per_round_trip() -> None:
    pace = AdaptiveLimiter(initial_limit=10)
    await asyncio.gather(*(through(pace) for _ in range(30)))
    assert pace.limit > 10
    pace.limit = 10.0
    await asyncio.gather(*(through(pace, refused=True) for _ in range(10)), return_exceptions=True)
    assert pace.limit == 7.0
    assert pace.in_flight == 0


async def test_writes_that_do_not_reach_the_limit_say_nothing_about_it() -> None:
    pace = AdaptiveLimiter(initial_limit=10)
    for _ in range(100):
        await through(pace)
    assert pace.limit == 10


async def test_the_limit_stays_within_its_bounds() -> None:
    pace = AdaptiveLimiter(initial_limit=2, max_in_flight=3)
    await asyncio.gather(*(through(pace) for _ in range(100)))
    assert pace.limit == 3
    for _ in range(20):
        with pytest.raises(Throttled):
            await through(pace, refused=True)
    assert pace.limit == 1.0


async def test_never_more_writes_are_under_way_than_the_limit() -> None:
    pace = AdaptiveLimiter(initial_limit=4, max_in_flight=4)
    most = 0

    async def write() -> None:
        nonlocal most
        most = max(most, pace.in_flight)
        await asyncio.sleep(0)

    await asyncio.gather(*(pace.run(write(), Throttled) for _ in range(50)))
    assert most == 4


async def test_a_write_that_is_cancelled_while_it_waits_gives_its_turn_away() -> None:
    pace = AdaptiveLimiter(initial_limit=1, max_in_flight=1)
    held = asyncio.Event()
    first = asyncio.create_task(pace.run(held.wait(), Throttled))
    waiting = [asyncio.create_task(through(pace)) for _ in range(2)]
    await asyncio.sleep(0)
    held.set()
    await first
    waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert pace.in_flight == 0
    await through(pace)


async def test_a_failed_write_gives_its_turn_back() -> None:
    pace = AdaptiveLimiter(initial_limit=1, max_in_flight=1)

    async def write() -> None:
        raise Unavailable("gone")

    for _ in range(3):
        with pytest.raises(Unavailable):
            await pace.run(write(), Throttled)
    assert pace.in_flight == 0
