"""A Job that this operator created or saw is not created a second time, whatever becomes of it and of the answers."""

from contextlib import closing

import pytest

from tests.simulation.api import CONFIG_MAPS, JOBS, Write
from tests.simulation.world import WINDOW, World


def delete_both_and_see_them_go_on(world: World) -> None:
    """Somebody deletes the run's two Jobs; each batch goes on in a next round."""
    for name in list(world.api.objects[JOBS]):
        world.remove(JOBS, name)
    world.let_pass(60)
    assert world.wrong == []
    assert len(world.jobs(finished=False)) == 2


@pytest.mark.fault("F10", "F15")
@pytest.mark.parametrize("refusals", [["500"] * 8, ["lost"] * 8, ["silence"]], ids=["refused", "lost", "silent"])
@pytest.mark.parametrize("seconds", [0.7, 1.0, 1.4, 1.8, 2.5])
def test_jobs_that_somebody_deletes_while_nothing_can_be_saved_go_on_in_the_next_round(
    refusals: list[str], seconds: float
) -> None:
    with closing(World(3, devices=2, max_jobs=1000)) as world:
        world.create_run("run", {"window": WINDOW, "parallelism": 2, "maxFailedDevices": "100%"})
        world.let_pass(seconds)
        world.api.faults.extend(refusals)
        while not world.api.objects[JOBS]:
            world.let_pass(0.1)
        world.let_pass(0.5)
        delete_both_and_see_them_go_on(world)


@pytest.mark.fault("F10", "F15")
@pytest.mark.parametrize("seed", range(20))
def test_a_job_whose_creation_was_not_answered_and_that_is_gone_at_once_is_not_created_again(seed: int) -> None:
    with closing(World(seed, devices=2, max_jobs=1000)) as world:
        saves: list[Write] = []

        def lose_what_follows(write: Write) -> None:
            if write.collection == CONFIG_MAPS and write.before and not saves:  # the marks: the two Jobs come next
                saves.append(write)
                world.api.faults.extend(["lost"] * 2)

        world.api.on_write.append(lose_what_follows)
        world.create_run("run", {"window": WINDOW, "parallelism": 2, "maxFailedDevices": "100%"})
        while len(world.api.objects[JOBS]) < 2:
            world.let_pass(0.01)
        world.let_pass(0.1)  # until they were seen
        delete_both_and_see_them_go_on(world)


@pytest.mark.fault("T12")
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_jobs_of_a_cancelled_run_count_against_the_limit_until_they_are_gone(seed: int, *, silent: bool) -> None:
    later = {"start": "2018-08-29T00:00:00Z", "end": "2018-08-29T01:00:00Z"}
    with closing(World(seed, devices=6, max_jobs=3)) as world:
        world.create_run("one", {"window": WINDOW, "parallelism": 3, "maxFailedDevices": "100%"})
        while not world.api.objects[JOBS]:
            world.let_pass(0.001)
        if silent:  # the mirror shows none of its Jobs
            world.api.close_watches("silence")
        world.create_run("two", {"window": later, "parallelism": 3, "maxFailedDevices": "100%"})
        world.let_pass(3)
        world.edit_run("one", cancel=True)
        world.let_pass(200)
        assert world.wrong == []
        assert world.at_work() == {"two": 3}
