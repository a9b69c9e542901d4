"""Runs whose Jobs a ResourceQuota or an admission policy rejects."""

from contextlib import closing

import pytest

from tests.simulation.api import JOBS, RUNS, Object
from tests.simulation.saved import positions_of
from tests.simulation.world import WINDOW, World

NEXT_WINDOW = {"start": "2018-08-29T00:00:00Z", "end": "2018-08-29T01:00:00Z"}


def limit_jobs(world: World, count: int) -> None:
    """Add a ResourceQuota for the number of Jobs."""

    def reject(collection: str, _item: Object) -> str:
        full = collection == JOBS and len(world.api.objects[JOBS]) >= count
        return f"exceeded quota: jobs, requested: count/jobs.batch=1, used: count/jobs.batch={count}" if full else ""

    world.api.rejection = reject


def work(world: World, seconds: int) -> None:
    """Let all Jobs end within a second, for some seconds."""
    for _ in range(seconds):
        for name in world.jobs(finished=False):
            world.end_job(name, "done")
        world.advance(1)


def spec(parallelism: int, window: dict[str, str] = WINDOW) -> Object:
    return {"window": window, "parallelism": parallelism, "maxFailedDevices": "100%"}


def reported(world: World, name: str) -> str:
    conditions = world.api.objects[RUNS][name]["status"]["conditions"]
    return str(next(found["reason"] for found in conditions if found["type"] == "Reported"))


@pytest.mark.parametrize("count", [1, 5, 12])
def test_run_is_complete_with_a_quota_that_its_finished_jobs_fill(count: int) -> None:
    with closing(World(1, devices=12, max_jobs=1000)) as world:
        limit_jobs(world, count)
        world.create_run("run", spec(12))
        work(world, 100)
        status = world.api.objects[RUNS]["run"]["status"]
        assert (status["phase"], status["devices"]["total"], status["devices"]["notRun"]) == ("Complete", 12, 0)
        assert reported(world, "run") not in ("ReportPending", "ReportRunning")
        assert world.violations == []


def test_ended_runs_leave_the_quota_of_jobs_to_other_runs() -> None:
    with closing(World(1, devices=12, max_jobs=1000)) as world:
        limit_jobs(world, 12)
        world.create_run("one", spec(12))
        work(world, 10)
        world.create_run("two", spec(12, NEXT_WINDOW))
        work(world, 100)
        assert {run["status"]["phase"] for run in world.api.objects[RUNS].values()} == {"Complete"}
        assert world.violations == []


def test_kept_failed_jobs_of_an_ended_run_leave_the_quota_to_the_next_run() -> None:
    with closing(World(1, devices=12, max_jobs=1000)) as world:
        limit_jobs(world, 13)
        world.create_run("one", spec(12) | {"retries": 0})
        world.advance(5)
        for name in world.jobs(finished=False):
            world.end_job(name, "killed")
        work(world, 10)
        limit_jobs(world, len(world.jobs(finished=True)))
        work(world, 70)
        limit_jobs(world, len(world.jobs(finished=True)))
        world.create_run("two", spec(12, NEXT_WINDOW))
        work(world, 200)
        assert world.api.objects[RUNS]["two"]["status"]["phase"] == "Complete"
        assert world.violations == []


@pytest.mark.parametrize(("parallelism", "denied"), [(1, {0}), (4, {2}), (3, {0, 1, 2, 3, 4}), (12, {2, 7}), (2, {11})])
def test_policy_that_rejects_the_jobs_of_some_devices_does_not_stop_the_others(
    parallelism: int, denied: set[int]
) -> None:
    with closing(World(1, devices=12, max_jobs=1000)) as world:

        def reject(collection: str, item: Object) -> str:
            denies = collection == JOBS and denied.intersection(positions_of(item))
            return "admission policy: the device is under maintenance" if denies else ""

        world.api.rejection = reject
        world.create_run("run", spec(parallelism))
        work(world, 60)
        status = world.api.objects[RUNS]["run"]["status"]
        assert (status["phase"], status["devices"]["pending"]) == ("Running", len(denied))
        stalled = next(found for found in status["conditions"] if found["type"] == "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "Forbidden")
        assert "under maintenance" in status["message"]
        denied.clear()
        work(world, 60)
        assert world.api.objects[RUNS]["run"]["status"]["phase"] == "Complete"
        assert world.violations == []


def test_run_ends_at_its_deadline_with_the_rejection_of_its_last_job() -> None:
    with closing(World(1, devices=12, max_jobs=1000)) as world:
        rejected = "admission policy: the device is under maintenance"
        world.api.rejection = lambda kind, item: rejected if kind == JOBS and 2 in positions_of(item) else ""
        world.create_run("run", spec(4) | {"activeDeadlineSeconds": 60})
        work(world, 100)
        status = world.api.objects[RUNS]["run"]["status"]
        assert (status["phase"], status["devices"]["notRun"]) == ("Failed", 1)
        assert status["message"].startswith("1 of 12 devices had no outcome when the deadline passed")
        assert status["message"].endswith(rejected)
