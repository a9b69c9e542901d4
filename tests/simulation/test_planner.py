"""Random runs, planned to their end: each device gets the outcome that its Jobs had."""

import pytest

from scoring_operator.planner.plan import make_plan
from scoring_operator.resources.status import build_status
from tests.simulation.planner_world import a_world
from tests.testkit.builders import NOW, an_observation


def simulate(seed: int, *, crashes: bool) -> None:
    world = a_world(seed)
    progress = world.run_to_end(crashes=crashes)
    world.check_end(progress)
    assert crashes or len(set(world.created)) == len(world.created)
    observation = an_observation(progress)
    status = build_status(world.run, make_plan(world.run, observation, NOW), observation, NOW)
    counts = dict(status["devices"])
    assert counts.pop("total") == sum(counts.values())


@pytest.mark.parametrize("seed", range(300))
def test_ended_run_has_the_true_outcome_of_each_device(seed: int) -> None:
    simulate(seed, crashes=False)


@pytest.mark.parametrize("seed", range(300, 500))
def test_run_whose_operator_crashes_has_the_true_outcome_of_each_device(seed: int) -> None:
    simulate(seed, crashes=True)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(500, 10_000, 500))
def test_ten_thousand_runs_have_the_true_outcome_of_each_device(first: int) -> None:
    for seed in range(first, first + 500):
        simulate(seed, crashes=seed % 2 == 0)
