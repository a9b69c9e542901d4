"""The pace of the operator: how soon free slots are used and ends are reported, and how often it lists pods."""

from contextlib import closing

import pytest

from tests.simulation.api import CONFIG_MAPS, JOBS, PODS, RUNS, SLOWEST, Write
from tests.simulation.world import WINDOW, World


def test_pods_are_listed_at_most_every_2_seconds_while_jobs_complete() -> None:
    with closing(World(7, devices=40, max_jobs=1000)) as world:
        world.create_run("run", {"window": WINDOW, "parallelism": 8, "maxFailedDevices": "100%"})
        world.advance(5)
        for _ in range(30):
            world.end_job(world.jobs(finished=False)[0], "done")
            world.advance(0.4)
        ends = [job["status"]["conditions"][0]["type"] for job in world.api.objects[JOBS].values() if "status" in job]
        assert len(ends) == 30
        # A failed Job is inspected in the next pass.
        assert world.api.lists[PODS] <= 30 * 0.4 / 2.0 + ends.count("Failed") + 1


def test_free_slots_are_used_during_a_slow_list_of_pods() -> None:
    with closing(World(0, devices=40, max_jobs=1000)) as world:
        world.create_run("run", {"window": WINDOW, "parallelism": 8, "maxFailedDevices": "100%"})
        world.advance(5)
        world.api.slow[PODS] = 20.0
        for _ in range(7):
            world.end_job(world.jobs(finished=False)[0], "silent")
            world.advance(0.8)
        assert world.api.lists[PODS] == 0
        assert len(world.jobs(finished=False)) == 8


def test_jobs_whose_deletion_no_event_shows_cause_one_request_each() -> None:
    with closing(World(1, devices=4, max_jobs=1000)) as world:
        world.create_run("run", {"window": WINDOW, "parallelism": 4, "maxFailedDevices": "100%"})
        world.advance(5)
        world.api.losses.extend(["drop"] * 4)
        for name in world.jobs(finished=False):
            world.remove(JOBS, name)
        world.edit_run("run", cancel=True)
        before = world.api.requests
        world.advance(60)
        assert world.api.objects[RUNS]["run"]["status"]["phase"] == "Cancelled"
        assert world.api.requests - before <= 4 + 20  # per Job, and for everything else


def create_runs(world: World, *names: str, parallelism: int, pause: float = 0) -> None:
    """Create runs with different windows, so that none blocks another; `pause` is the seconds after each."""
    for name in names:
        hour = len(world.parallelism)
        window = {"start": f"2018-08-29T{hour:02}:00:00Z", "end": f"2018-08-29T{hour + 1:02}:00:00Z"}
        world.create_run(name, {"window": window, "parallelism": parallelism, "maxFailedDevices": "100%"})
        world.advance(pause)


@pytest.mark.parametrize("seed", range(5))
def test_new_run_uses_all_its_slots_at_once_below_the_limit(seed: int) -> None:
    with closing(World(seed, devices=40, max_jobs=1000)) as world:
        at: dict[str, list[float]] = {"one": [], "two": []}

        def record(write: Write) -> None:
            if write.collection == JOBS:
                at[write.name.partition("-")[0]].append(world.time.now())

        world.api.on_write.append(record)
        create_runs(world, *at, parallelism=8)
        world.advance(10)
        for times in at.values():
            assert len(times) == 8
            assert times[-1] - times[0] < 1.5 * 0.2  # all in one pass


@pytest.mark.parametrize("seed", range(5))
def test_new_runs_share_too_few_slots(seed: int) -> None:
    with closing(World(seed, devices=40, max_jobs=32)) as world:
        create_runs(world, "one", parallelism=20, pause=10)
        create_runs(world, "two", "three", "four", parallelism=30)
        world.advance(10)
        jobs = world.at_work()
        assert jobs.total() == 32
        assert min(jobs["two"], jobs["three"], jobs["four"]) >= 2


@pytest.mark.parametrize("names", [["one"], ["one", "two"]])
@pytest.mark.parametrize("seed", range(5))
def test_run_with_its_share_uses_it_again_at_once(seed: int, names: list[str]) -> None:
    with closing(World(seed, devices=40, max_jobs=8)) as world:
        create_runs(world, *names, parallelism=30, pause=10)
        for _ in range(3):
            for name in world.jobs(finished=False):
                world.end_job(name, "record-only")
            world.advance(1.0 + 1.5)
            assert len(world.jobs(finished=False)) == 8


@pytest.mark.parametrize("seed", range(5))
def test_run_with_its_share_is_not_delayed_by_a_waiting_run(seed: int) -> None:
    with closing(World(seed, devices=40, max_jobs=24)) as world:
        create_runs(world, "one", "two", parallelism=30)
        world.advance(10)
        create_runs(world, "three", parallelism=30, pause=10)
        assert world.at_work() == {"one": 12, "two": 12}
        for name in [name for name in world.jobs(finished=False) if name.startswith("one-")]:
            world.end_job(name, "record-only")
        world.advance(1.4)
        assert world.at_work()["one"] == 8


@pytest.mark.parametrize("how", ["done", "killed"])
@pytest.mark.parametrize("seed", range(5))
def test_free_slots_are_soon_shared_by_all_waiting_runs(seed: int, how: str) -> None:
    with closing(World(seed, devices=40, max_jobs=32)) as world:
        create_runs(world, "one", parallelism=32, pause=5)
        create_runs(world, "two", "three", "four", *(ended := [f"five{number}" for number in range(6)]), parallelism=32)
        for name in ended:  # they demand no Job
            world.edit_run(name, cancel=True)
        world.advance(5)
        for turn in range(1, 5):
            mine = [name for name in world.jobs(finished=False) if name.startswith("one-")]
            for name in mine[:6]:
                world.end_job(name, how)
            world.advance(1.0 + 3)
            jobs = world.at_work()
            assert jobs.pop("one") == 32 - 6 * turn
            assert jobs.total() == 6 * turn
            if turn == 1:
                assert jobs == {"two": 2, "three": 2, "four": 2}


@pytest.mark.parametrize("seed", range(5))
def test_end_of_a_run_is_reported_as_soon_as_it_is_saved(seed: int) -> None:
    with closing(World(seed, devices=2, max_jobs=1000)) as world:
        at: dict[str, float] = {}

        def record(write: Write) -> None:
            at[write.collection] = world.time.now()
            if write.collection == RUNS and write.after and "completionTime" in write.after["status"]:
                at.setdefault("end", world.time.now() - at[CONFIG_MAPS])

        world.api.on_write.append(record)
        world.create_run("run", {"window": WINDOW, "parallelism": 2, "maxFailedDevices": "100%"})
        world.advance(5)
        for name in world.jobs(finished=False):
            world.end_job(name, "done")
            written = at[RUNS]
            while at[RUNS] == written:  # the other Job ends right after status was written
                world.advance(0.01)
        world.advance(5)
        assert at["end"] <= 2 * SLOWEST


@pytest.mark.parametrize("seed", range(5))
def test_job_completed_before_the_cancellation_is_recorded(seed: int) -> None:
    with closing(World(seed, devices=20, max_jobs=1000)) as world:
        world.create_run("run", {"window": WINDOW, "parallelism": 8, "maxFailedDevices": "100%"})
        world.advance(5)
        world.end_job(world.jobs(finished=False)[0], "done")
        while not world.api.lists[PODS]:
            world.advance(0.01)
        for name in world.jobs(finished=False)[:3]:
            world.end_job(name, "done")
        world.advance(2 * SLOWEST)  # the operator has observed them by now
        world.edit_run("run", cancel=True)
        world.advance(5)
        status = world.api.objects[RUNS]["run"]["status"]
        assert (status["phase"], status["devices"]["notRun"]) == ("Cancelled", 16)


@pytest.mark.parametrize("seed", range(5))
def test_jobs_of_an_ended_run_are_deleted_ten_per_second(seed: int) -> None:
    with closing(World(seed, devices=70, max_jobs=1000)) as world:
        deleted: list[float] = []

        def record(write: Write) -> None:
            if write.collection == JOBS and write.verb == "DELETE":
                deleted.append(world.time.now())

        world.api.on_write.append(record)
        world.create_run("run", {"window": WINDOW, "parallelism": 70, "maxFailedDevices": "100%"})
        for _ in range(10):  # the report Job too
            world.advance(2)
            for name in world.jobs(finished=False):
                world.end_job(name, "done")
        world.advance(60 + 70 / 10 + 5)
        assert len(deleted) >= 70 * 0.8  # failed Jobs are kept
        waves = (later - earlier for earlier, later in zip(deleted, deleted[10:], strict=False))
        assert min(waves) > 1 - 2 * SLOWEST
