"""Tests of the event loop that gathers events."""

import asyncio
import selectors
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from scoring_operator.runtime.event_loop import GatheringSelector, new_event_loop

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    found = [socket.socketpair() for _ in range(2)]
    yield found
    for pair in found:
        for end in pair:
            end.close()


def test_events_within_the_gathering_time_are_returned_together(pairs: list[Pair]) -> None:
    (first, first_peer), (second, second_peer) = pairs
    slept = []

    def second_event_happens(seconds: float) -> None:
        slept.append(seconds)
        second_peer.send(b"x")

    with closing(GatheringSelector(0.02, second_event_happens)) as selector:
        for end in (first, second):
            selector.register(end, selectors.EVENT_READ)
        first_peer.send(b"x")
        ready = {key.fileobj for key, _ in selector.select(10)}
    assert (ready, slept) == ({first, second}, [0.02])


@pytest.mark.parametrize(("gathering_time", "timeout"), [(0.02, 0), (0.02, -1), (0, 10)])
def test_nothing_is_gathered_without_a_wait_or_a_time(gathering_time: float, timeout: float, pairs: list[Pair]) -> None:
    with closing(GatheringSelector(gathering_time, lambda _: pytest.fail("it waited"))) as selector:
        selector.register(pairs[0][0], selectors.EVENT_READ)
        pairs[0][1].send(b"x")
        assert [key.fileobj for key, _ in selector.select(timeout)] == [pairs[0][0]]


def test_loop_handles_responses_timers_and_calls_of_other_threads() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async def work() -> tuple[bytes, str]:
        server = await asyncio.start_server(greet, "127.0.0.1")
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            content = await reader.read()
            writer.close()
        await asyncio.sleep(0.001)
        return content, await asyncio.to_thread(lambda: "from a thread")

    with asyncio.Runner(loop_factory=lambda: new_event_loop(0.005)) as runner:
        assert runner.run(work()) == (b"hello", "from a thread")
