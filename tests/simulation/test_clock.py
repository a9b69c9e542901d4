"""Jumps of the API server's clock during a run (F20): deadlines count on the run's own clock."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation.api import RUNS
from tests.simulation.world import WINDOW, World


@pytest.fixture
def world() -> Iterator[World]:
    simulated = World(7, devices=3, max_jobs=1000)
    yield simulated
    simulated.close()


def start_run(world: World) -> None:
    """Start a run and its first pods."""
    world.create_run("run", {"window": WINDOW, "parallelism": 3, "activeDeadlineSeconds": 120})
    world.advance(5)
    for name in world.jobs(finished=False):
        world.start_pod(name)
    world.advance(5)


def status(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.api.objects[RUNS]["run"]["status"]
    return found


@pytest.mark.fault("F20")
@pytest.mark.parametrize("hours", [1, -1, 24], ids=["forward", "back", "a-day-forward"])
def test_clock_jump_does_not_end_the_run(world: World, hours: int) -> None:
    start_run(world)
    world.api.clock_off = 3600.0 * hours
    world.advance(30)
    assert status(world)["phase"] == "Running"
    for name in world.jobs(finished=False):
        world.end_job(name, "done")
    world.advance(10)
    assert status(world)["phase"] == "Complete"


@pytest.mark.fault("F20")
@pytest.mark.parametrize("hours", [0, 1, -1], ids=["true", "forward", "back"])
def test_deadline_passes_after_its_seconds_despite_a_clock_jump(world: World, hours: int) -> None:
    start_run(world)
    world.api.clock_off = 3600.0 * hours
    world.advance(105)
    assert status(world)["phase"] == "Running"
    world.advance(20)
    assert (status(world)["phase"], status(world)["conditions"][-1]["reason"]) == ("Failed", "DeadlineExceeded")


@pytest.mark.fault("F20", "F10")
@pytest.mark.parametrize("failure", ["500", "lost"])
@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
def test_clock_jump_with_a_failed_request_is_corrected(world: World, hours: int, failure: str, first: int) -> None:
    start_run(world)
    world.end_job(world.jobs(finished=False)[0], "done")
    world.api.clock_off = 3600.0 * hours
    world.api.faults.extend([""] * first + [failure])
    world.advance(95)
    assert status(world)["phase"] == "Running"
    world.advance(30)
    assert (status(world)["phase"], status(world)["conditions"][-1]["reason"]) == ("Failed", "DeadlineExceeded")
