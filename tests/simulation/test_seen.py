"""Jobs that the operator created or observed: they are not created again after lost responses and deletions."""

from contextlib import closing

import pytest

from tests.simulation.api import CONFIG_MAPS, JOBS, Write
from tests.simulation.world import WINDOW, World


def delete_both_and_expect_next_rounds(world: World) -> None:
    """Delete the run's two Jobs, and check that each batch continues in the next round."""
    for name in list(world.api.objects[JOBS]):
        world.remove(JOBS, name)
    world.advance(60)
    assert world.violations == []
    assert len(world.jobs(finished=False)) == 2


@pytest.mark.fault("F10", "F15")
@pytest.mark.parametrize("refusals", [["500"] * 8, ["lost"] * 8, ["silence"]], ids=["refused", "lost", "silent"])
@pytest.mark.parametrize("seconds", [0.7, 1.0, 1.4, 1.8, 2.5])
def test_jobs_deleted_while_saves_fail_continue_in_the_next_round(refusals: list[str], seconds: float) -> None:
    with closing(World(3, devices=2, max_jobs=1000)) as world:
        world.create_run("run", {"window": WINDOW, "parallelism": 2, "maxFailedDevices": "100%"})
        world.advance(seconds)
        world.api.faults.extend(refusals)
        while not world.api.objects[JOBS]:
            world.advance(0.1)
        world.advance(0.5)
        delete_both_and_expect_next_rounds(world)


@pytest.mark.fault("F10", "F15")
@pytest.mark.parametrize("seed", range(20))
def test_job_deleted_after_its_lost_creation_response_is_not_created_again(seed: int) -> None:
    with closing(World(seed, devices=2, max_jobs=1000)) as world:
        saves: list[Write] = []

        def lose_what_follows(write: Write) -> None:
            if (
                write.collection == CONFIG_MAPS and write.before and not saves
            ):  # the reservations: the two Jobs are next
                saves.append(write)
                world.api.faults.extend(["lost"] * 2)

        world.api.on_write.append(lose_what_follows)
        world.create_run("run", {"window": WINDOW, "parallelism": 2, "maxFailedDevices": "100%"})
        while len(world.api.objects[JOBS]) < 2:
            world.advance(0.01)
        world.advance(0.2)  # until they are observed: an event takes 0.1 s, and the watch is read every 0.1 s
        delete_both_and_expect_next_rounds(world)


@pytest.mark.fault("T12")
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_jobs_of_a_cancelled_run_count_until_they_are_deleted(seed: int, *, silent: bool) -> None:
    later = {"start": "2018-08-29T00:00:00Z", "end": "2018-08-29T01:00:00Z"}
    with closing(World(seed, devices=6, max_jobs=3)) as world:
        world.create_run("one", {"window": WINDOW, "parallelism": 3, "maxFailedDevices": "100%"})
        while not world.api.objects[JOBS]:
            world.advance(0.001)
        if silent:  # the informer shows none of its Jobs
            world.api.close_watches("silence")
        world.create_run("two", {"window": later, "parallelism": 3, "maxFailedDevices": "100%"})
        world.advance(3)
        world.edit_run("one", cancel=True)
        world.advance(200)
        assert world.violations == []
        assert world.at_work() == {"two": 3}
