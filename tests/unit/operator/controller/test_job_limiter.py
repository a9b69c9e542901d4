import asyncio
from dataclasses import replace

import pytest

from scoring_operator.controller.job_limiter import JobLimiter
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.errors import RunDeleted
from scoring_operator.planner.progress import Completion, Progress, finish
from scoring_operator.planner.queueing import Demand
from tests.testkit.builders import NOW, a_batch, a_job, a_progress, a_run

ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}


class Limiter(JobLimiter):
    """A limiter that records the runs that it wakes."""

    def __init__(self, max_jobs: int, offer_delay: float = 0.0) -> None:
        self.woken: list[str] = []
        super().__init__(max_jobs, offer_delay, self.woken.append)

    def start(self, uid: str, *active: str, devices: int = 100, phase: str = "Running", hour: int = 0) -> JobTracker:
        """Add a run with some active Jobs."""
        window = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
        jobs = JobTracker(30.0)
        for name in active:
            jobs.on_event(None, a_job(name))
        self.add(Demand(a_run(uid=uid, window=window), phase, a_progress_with(active, devices)), jobs)
        return jobs


def a_progress_with(names: tuple[str, ...], devices: int) -> Progress:
    batches = {name: a_batch(str(at)) for at, name in enumerate(names)}
    return replace(a_progress(devices), open_batches=batches)


def test_single_run_gets_the_whole_limit() -> None:
    limiter = Limiter(10)
    limiter.start("one")
    assert limiter.allocate("one").slots == 10


def test_run_that_needs_less_than_its_share_gets_what_it_needs() -> None:
    limiter = Limiter(10)
    limiter.start("one", devices=3)
    allocation = limiter.allocate("one")
    assert (allocation.slots, allocation.shortfall) == (3, 0)


def test_active_jobs_of_other_runs_reduce_the_slots() -> None:
    limiter = Limiter(4)
    limiter.start("one")
    limiter.start("two", "a", "b", "c", hour=1)
    allocation = limiter.allocate("one")
    assert (allocation.slots, allocation.shortfall) == (1, 1)


def test_run_beyond_the_limit_starts_a_quarter_of_its_share_at_once() -> None:
    limiter = Limiter(32)
    limiter.start("one")
    limiter.start("two", hour=1)
    assert limiter.allocate("one").slots == 4


def test_run_that_has_its_share_takes_all_of_it_again_at_once() -> None:
    limiter = Limiter(32)
    limiter.start("one")
    limiter.start("two", hour=1)
    with limiter.reserve("one", [], shortfall=0):
        pass
    assert limiter.allocate("one").slots == 16


def test_reserved_jobs_count_as_active_until_they_are_created() -> None:
    limiter = Limiter(4)
    jobs = limiter.start("one", "a")
    limiter.start("two", hour=1)
    with limiter.reserve("one", ["b", "c"], shortfall=0):
        jobs.expect("b")
        assert limiter.active("one") == 3
        assert limiter.allocate("two").slots == 1
    assert limiter.active("one") == 1


def test_unfinished_jobs_of_an_ended_run_count() -> None:
    limiter = Limiter(4)
    limiter.start("one", "a", "b")
    ended = finish(a_progress_with(("a",), 3), Completion("Failed", "Cancelled", "", NOW))
    limiter.update(Demand(a_run(uid="one"), "Cancelled", ended))
    limiter.start("two", hour=1)
    assert limiter.active("one") == 2
    limiter.update_run(a_run(uid="one", status=ENDED))
    assert limiter.allocate("two").slots == 2


def test_conflicting_run_is_blocked_and_an_ended_run_counts_later_ones() -> None:
    limiter = Limiter(4)
    limiter.start("one")
    limiter.start("two", phase="Queued")
    assert limiter.allocate("two").blocked_by == "hourly"
    limiter.update_run(a_run(uid="one", status=ENDED, schedule="hourly"))
    later = a_run(uid="two", status=ENDED, schedule="hourly", window={"start": NOW, "end": NOW})
    limiter.update_run(later)
    assert limiter.allocate("one").later_runs == 1


def test_removed_run_ends_its_pass_and_frees_its_slots() -> None:
    limiter = Limiter(2)
    limiter.start("one", "a", "b")
    limiter.start("two", hour=1)
    assert limiter.allocate("two").slots == 0
    limiter.remove("one")
    limiter.update(Demand(a_run(uid="one"), "Running", None))
    limiter.update_run(a_run(uid="one"))
    with pytest.raises(RunDeleted):
        limiter.allocate("one")
    assert limiter.allocate("two").slots == 2


async def test_free_slots_are_offered_once_to_the_run_that_waited_longest() -> None:
    limiter = Limiter(2)
    limiter.start("one", "a")
    limiter.start("two", hour=1)
    limiter.start("three", phase="Queued", hour=2)
    for _ in range(3):
        limiter.offer_free_slots()
    await asyncio.sleep(0.01)
    assert limiter.woken == ["one"]
    limiter.offer_free_slots()
    await asyncio.sleep(0.01)
    assert limiter.woken == ["one", "two"]


async def test_no_run_is_woken_without_a_free_slot_or_without_a_shortfall() -> None:
    full, content = Limiter(1), Limiter(9)
    full.start("one", "a")
    content.start("one", "a")
    with content.reserve("one", [], shortfall=0):
        pass
    for limiter in (full, content):
        limiter.offer_free_slots()
    await asyncio.sleep(0.01)
    assert (full.woken, content.woken) == ([], [])
