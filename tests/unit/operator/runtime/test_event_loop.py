"""Tests of the event loop that gathers events."""

import asyncio
import selectors
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from scoring_operator.runtime.event_loop import GatheringSelector, new_event_loop

Pair = tuple[socket.socket, socket.socket]


class Recorder:
    """A clock and a sleep that sends a byte on each socket."""

    def __init__(self, *peers: socket.socket) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._peers = peers

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        for peer in self._peers:
            peer.send(b"x")

    def clock(self) -> float:
        return self.now


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    found = [socket.socketpair() for _ in range(2)]
    yield found
    for pair in found:
        for end in pair:
            end.close()


def select(
    recorder: Recorder, pairs: list[Pair], *, gathering_time: float = 0.05, timeout: float, work: float = 0.0
) -> set[object]:
    """Return the sockets that are ready after some seconds of work."""
    with closing(GatheringSelector(lambda: gathering_time, recorder.sleep, recorder.clock)) as selector:
        for end, _ in pairs:
            selector.register(end, selectors.EVENT_READ)
        recorder.now += work
        return {key.fileobj for key, _ in selector.select(timeout)}


def test_events_within_the_gathering_time_are_returned_together(pairs: list[Pair]) -> None:
    recorder = Recorder(*(peer for _, peer in pairs))
    ready = select(recorder, pairs, timeout=0.001, work=0.004)
    assert (ready, recorder.slept) == ({end for end, _ in pairs}, [0.05])


def test_file_that_is_ready_without_a_wait_is_returned_at_once(pairs: list[Pair]) -> None:
    recorder = Recorder()
    pairs[0][1].send(b"x")
    assert (select(recorder, pairs, timeout=10), recorder.slept) == ({pairs[0][0]}, [])


@pytest.mark.parametrize(
    ("gathering_time", "timeout", "work"), [(0.05, 0, 0.0), (0.05, -1, 0.0), (0.05, 0.001, 0.006), (0.0, 0.001, 0.0)]
)
def test_nothing_is_gathered_without_a_wait_or_after_long_work(
    gathering_time: float, timeout: float, work: float, pairs: list[Pair]
) -> None:
    recorder = Recorder()
    ready = select(recorder, pairs, gathering_time=gathering_time, timeout=timeout, work=work)
    assert (ready, recorder.slept) == (set(), [])


def test_work_is_counted_since_the_last_wait() -> None:
    recorder = Recorder()
    with closing(GatheringSelector(lambda: 0.05, recorder.sleep, recorder.clock)) as selector:
        recorder.now += 0.006
        selector.select(0.001)
        recorder.now += 0.004
        selector.select(0.001)
    assert recorder.slept == [0.05]


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

    with asyncio.Runner(loop_factory=lambda: new_event_loop(lambda: 0.005)) as runner:
        assert runner.run(work()) == (b"hello", "from a thread")
