"""The limiter of concurrent writes."""

import asyncio

import pytest

from scoring_operator.errors import Throttled, Unavailable
from scoring_operator.kube.limiter import AdaptiveLimiter


async def run_write(limiter: AdaptiveLimiter, *, rejected: bool = False) -> None:
    async def write() -> None:
        await asyncio.sleep(0)
        if rejected:
            raise Throttled("slow down")

    await limiter.run(write(), Throttled)


async def test_default_limit_starts_at_16_and_grows_to_32() -> None:
    limiter = AdaptiveLimiter()
    assert limiter.limit == 16
    for _ in range(40):
        await asyncio.gather(*(run_write(limiter) for _ in range(100)))
    assert limiter.limit == 32


async def test_limit_grows_by_one_per_window_and_shrinks_once_per_round_trip() -> None:
    limiter = AdaptiveLimiter(initial_limit=10)
    await asyncio.gather(*(run_write(limiter) for _ in range(30)))
    assert limiter.limit > 10
    limiter.limit = 10.0
    await asyncio.gather(*(run_write(limiter, rejected=True) for _ in range(10)), return_exceptions=True)
    assert limiter.limit == 7.0
    assert limiter.in_flight == 0


async def test_writes_below_the_limit_do_not_change_it() -> None:
    limiter = AdaptiveLimiter(initial_limit=10)
    for _ in range(100):
        await run_write(limiter)
    assert limiter.limit == 10


async def test_limit_stays_between_one_and_its_maximum() -> None:
    limiter = AdaptiveLimiter(initial_limit=2, max_in_flight=3)
    await asyncio.gather(*(run_write(limiter) for _ in range(100)))
    assert limiter.limit == 3
    for _ in range(20):
        with pytest.raises(Throttled):
            await run_write(limiter, rejected=True)
    assert limiter.limit == 1.0


async def test_concurrent_writes_never_exceed_the_limit() -> None:
    limiter = AdaptiveLimiter(initial_limit=4, max_in_flight=4)
    most = 0

    async def write() -> None:
        nonlocal most
        most = max(most, limiter.in_flight)
        await asyncio.sleep(0)

    await asyncio.gather(*(limiter.run(write(), Throttled) for _ in range(50)))
    assert most == 4


async def test_write_cancelled_while_waiting_releases_its_slot() -> None:
    limiter = AdaptiveLimiter(initial_limit=1, max_in_flight=1)
    held = asyncio.Event()
    first = asyncio.create_task(limiter.run(held.wait(), Throttled))
    waiting = [asyncio.create_task(run_write(limiter)) for _ in range(2)]
    await asyncio.sleep(0)
    held.set()
    await first
    waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert limiter.in_flight == 0
    await run_write(limiter)


async def test_failed_write_releases_its_slot() -> None:
    limiter = AdaptiveLimiter(initial_limit=1, max_in_flight=1)

    async def write() -> None:
        raise Unavailable("no response")

    for _ in range(3):
        with pytest.raises(Unavailable):
            await limiter.run(write(), Throttled)
    assert limiter.in_flight == 0


async def test_slow_writes_of_one_group_leave_the_free_slots_to_another() -> None:
    limiter = AdaptiveLimiter(initial_limit=4, max_in_flight=4)
    gates = [asyncio.Event() for _ in range(8)]
    slow = [asyncio.create_task(limiter.run(gate.wait(), Throttled, "slow")) for gate in gates]
    await asyncio.sleep(0)
    fast = [asyncio.create_task(limiter.run(asyncio.sleep(0), Throttled, "fast")) for _ in range(6)]
    gates[0].set()
    await asyncio.wait_for(asyncio.gather(*fast), 5)
    assert [task.done() for task in slow] == [True] + [False] * 7
    for gate in gates:
        gate.set()
    await asyncio.gather(*slow)
    assert limiter.in_flight == 0


async def test_groups_with_few_writes_do_not_wait_for_those_with_many() -> None:
    limiter, order = AdaptiveLimiter(initial_limit=1, max_in_flight=1), []

    async def write(name: str) -> None:
        await asyncio.sleep(0)
        order.append(name)

    many = [asyncio.create_task(limiter.run(write(f"many-{number}"), Throttled, "many")) for number in range(5)]
    await asyncio.sleep(0)
    few = [asyncio.create_task(limiter.run(write(f"few-{number}"), Throttled, "few")) for number in range(2)]
    await asyncio.gather(*many, *few)
    assert order.index("few-1") < order.index("many-4")
