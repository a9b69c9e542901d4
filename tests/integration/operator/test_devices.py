"""Which devices a run has, and how many go into a Job; on a real API server."""

import pytest

from scoring_operator.controller.timings import Timings
from scoring_operator.planner.types import PlannerLimits
from tests.testkit.in_memory_storage import InMemoryStorage, storage_with_devices
from tests.testkit.running_controller import RunController
from tests.testkit.runs import Runs, ended, hour


def devices_of(runs: Runs) -> list[list[str]]:
    """Return the devices of each scoring Job, from the arguments of its pod."""
    every = [job["spec"]["template"]["spec"]["containers"][0]["args"] for job in runs.jobs()]
    return sorted(arguments[arguments.index("--") + 1 :] for arguments in every)


@pytest.mark.field("spec.devices.ids")
async def test_ids_select_devices_with_and_without_a_model(runs: Runs, running_controller: RunController) -> None:
    async with running_controller(storage_with_devices(5)):
        runs.create(devices={"ids": ["press-3", "unheard-of"]})
        status = await ended(runs)
        assert status["devices"]["total"] == 2
        assert devices_of(runs) == [["press-3"], ["unheard-of"]]
        runs.create("other", devices={"ids": ["press-4"]}, window=hour(1))
        await ended(runs, "other")
    assert devices_of(runs) == [["press-3"], ["press-4"], ["unheard-of"]]


@pytest.mark.field("spec.devices.include")
async def test_include_selects_the_devices_that_match_a_glob(runs: Runs, running_controller: RunController) -> None:
    storage = InMemoryStorage(["press-1", "press-12", "pump-1", "Press-1", "fan#1"], data=["press-99", "pump-99"])
    async with running_controller(storage):
        runs.create(devices={"include": ["press-?", "fan*"]})
        status = await ended(runs)
        assert devices_of(runs) == [["fan#1"], ["press-1"]]
        assert status["withoutModel"]["count"] == 0
        runs.create("other", devices={"include": ["p*p-*", "press-9?"]}, window=hour(1))
        status = await ended(runs, "other")
    assert devices_of(runs) == [["fan#1"], ["press-1"], ["pump-1"]]
    assert status["withoutModel"] == {"count": 2, "samples": ["press-99", "pump-99"]}


@pytest.mark.field("spec.devicesPerJob")
@pytest.mark.parametrize(("count", "sizes"), [(4, [1] * 4), (9, [3, 3, 3]), (10, [1, 3, 3, 3])])
async def test_auto_packs_devices_only_above_the_target_number_of_jobs(
    runs: Runs, running_controller: RunController, count: int, sizes: list[int]
) -> None:
    timings = Timings(planner=PlannerLimits(max_auto_jobs=4))
    async with running_controller(storage_with_devices(count), timings=timings):
        runs.create(devicesPerJob="Auto")
        status = await ended(runs)
    assert status["devices"]["scored"] == count
    assert sorted(map(len, devices_of(runs))) == sizes
