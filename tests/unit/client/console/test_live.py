import json
from typing import Any

from fleetscore.console.live import LiveStreams, figures, listed_runs
from fleetscore.errors import ClusterUnavailable


def run(name: str, *, ended: bool = False, **devices: int) -> dict[str, Any]:
    conditions = [{"type": "Complete", "status": "True"}] if ended else []
    return {"metadata": {"name": name}, "status": {"phase": "Running", "devices": devices, "conditions": conditions}}


def test_figures_count_devices_that_are_done() -> None:
    found = figures(run("a", total=5, scored=2, failed=1, active=2))
    assert (found["done"], found["total"], found["counts"]["failed"], found["ended"]) == (3, 5, 1, False)


def test_ended_runs_are_listed_after_the_active_ones() -> None:
    runs = [run("z", ended=True), run("a"), run("b"), run("c"), run("y", ended=True)]
    assert [one["metadata"]["name"] for one in listed_runs(runs)] == ["a", "b", "c", "z", "y"]


def test_at_most_100_runs_are_listed_and_50_of_them_active() -> None:
    ended, active = [run("z", ended=True)] * 101, [run("a")] * 51
    names = [one["metadata"]["name"] for one in listed_runs([*ended, *active])]
    assert names == ["a"] * 50 + ["z"] * 50
    assert len(listed_runs(ended)) == 100


async def test_stream_sends_changes_and_problems_and_ends() -> None:
    results: list[Any] = [[{"done": 1}], [{"done": 1}], ClusterUnavailable("it is down\nreally"), [{"done": 2}]]

    def read(_: str) -> list[dict[str, Any]]:
        found = results.pop(0)
        if isinstance(found, Exception):
            raise found
        return list(found)

    streams = LiveStreams(read, poll_seconds=0.001, max_seconds=0.004)
    found = [event async for event in streams.events("")]
    assert found == [
        'event: runs\ndata: [{"done": 1}]\n\n',
        ": unchanged\n\n",
        "event: problem\ndata: " + json.dumps("it is down\nreally") + "\n\n",
        'event: runs\ndata: [{"done": 2}]\n\n',
    ]


async def test_number_of_streams_is_limited() -> None:
    streams = LiveStreams(lambda _: [], poll_seconds=0.001, max_seconds=0.001)
    opened = [streams.events("") for _ in range(16)]
    for one in opened:
        await anext(one)
    assert streams.is_full
    late = [event async for event in streams.events("")]  # it passed the check of the route before the others began
    assert [event.partition("data")[0] for event in late] == ["retry: 10000\nevent: problem\n"]
    for one in opened:
        await one.aclose()
    assert not streams.is_full
