"""F20: the API server's clock is set in the middle of a run; deadlines run on the run's own clock."""

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


def begin(world: World) -> None:
    """A run whose first pods have started."""
    world.create_run("run", {"window": WINDOW, "parallelism": 3, "activeDeadlineSeconds": 120})
    world.let_pass(5)
    for name in world.jobs(finished=False):
        world.start_pod(name)
    world.let_pass(5)


def status(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.api.objects[RUNS]["run"]["status"]
    return found


@pytest.mark.fault("F20")
@pytest.mark.parametrize("hours", [1, -1, 24], ids=["forward", "back", "a-day-forward"])
def test_a_run_is_not_ended_by_a_clock_that_is_set(world: World, hours: int) -> None:
    begin(world)
    world.api.clock_off = 3600.0 * hours
    world.let_pass(30)
    assert status(world)["phase"] == "Running"
    for name in world.jobs(finished=False):
        world.end_job(name, "done")
    world.let_pass(10)
    assert status(world)["phase"] == "Complete"


@pytest.mark.fault("F20")
@pytest.mark.parametrize("hours", [0, 1, -1], ids=["true", "forward", "back"])
def test_a_deadline_passes_after_its_seconds_whatever_the_clock_was_set_to(world: World, hours: int) -> None:
    begin(world)
    world.api.clock_off = 3600.0 * hours
    world.let_pass(105)
    assert status(world)["phase"] == "Running"
    world.let_pass(20)
    assert (status(world)["phase"], status(world)["conditions"][-1]["reason"]) == ("Failed", "DeadlineExceeded")


@pytest.mark.fault("F20", "F10")
@pytest.mark.parametrize("fate", ["500", "lost"])
@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
def test_a_clock_that_was_set_is_minded_though_it_cannot_be_saved_at_once(
    world: World, hours: int, fate: str, first: int
) -> None:
    begin(world)
    world.end_job(world.jobs(finished=False)[0], "done")
    world.api.clock_off = 3600.0 * hours
    world.api.faults.extend([""] * first + [fate])
    world.let_pass(95)
    assert status(world)["phase"] == "Running"
    world.let_pass(30)
    assert (status(world)["phase"], status(world)["conditions"][-1]["reason"]) == ("Failed", "DeadlineExceeded")
