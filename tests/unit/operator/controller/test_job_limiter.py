import asyncio
from dataclasses import replace

import msgspec
import pytest

from scoring_operator.api.fleets import Fleet, parse_fleet
from scoring_operator.api.names import job_name
from scoring_operator.controller.job_limiter import MAX_EXACT_RUNS, SHARES_SECONDS, JobLimiter
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.errors import RunDeleted
from scoring_operator.planner.progress import Completion, Progress, finish
from scoring_operator.planner.queueing import Demand
from scoring_operator.planner.types import JobLimits
from tests.testkit.builders import NOW, a_batch, a_job, a_progress, a_run

ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}


class Limiter(JobLimiter):
    """A limiter that records the runs that it wakes."""

    def __init__(self, max_jobs: int, offer_delay: float = 0.0, *, namespace: int | None = None) -> None:
        self.woken: list[str] = []
        super().__init__(JobLimits(max_jobs, namespace), offer_delay, self.woken.append)

    def start(
        self,
        uid: str,
        *active: str,
        devices: int = 100,
        phase: str = "Running",
        hour: int = 0,
        namespace: str = "scoring",
        fleet: Fleet | None = None,
    ) -> JobTracker:
        """Add a run with some active Jobs."""
        window = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
        jobs = JobTracker(30.0)
        for name in active:
            jobs.on_event(None, a_job(name))
        run = a_run(uid=uid, window=window, namespace=namespace)
        self.add(Demand(run, phase, a_progress_with(active, devices), fleet), jobs)
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


@pytest.mark.fault("T12")
def test_ended_run_has_a_slot_for_its_report_until_it_ended_or_the_run_is_deleted() -> None:
    limiter = Limiter(1)
    pending = {
        "conditions": [*ENDED["conditions"], {"type": "Reported", "status": "Unknown", "reason": "ReportPending"}]
    }
    for uid in ("one", "two", "three"):
        limiter.start(uid)
        limiter.update_run(a_run(uid=uid, status=pending))
    assert [limiter.allocate(uid).slots for uid in ("one", "two")] == [1, 0]
    limiter.update_run(a_run(uid="one", status=ENDED))
    assert [limiter.allocate(uid).slots for uid in ("one", "two", "three")] == [0, 1, 0]
    limiter.remove("two")
    assert limiter.allocate("three").slots == 1


@pytest.mark.fault("T12")
def test_forged_runs_of_a_schedule_do_not_count_for_its_history() -> None:
    schedule = {"namespace": "scoring", "name": "hourly"}
    fleet = parse_fleet({"name": "default", "namespaces": ["scoring"], "schedules": [schedule]})
    limiter = Limiter(4)
    for name, uid, hour in (("hourly-20180828t000000z", "real", 0), ("forged", "forged", 1)):
        window = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
        run = a_run(name, uid=uid, status=ENDED, schedule="hourly", window=window)
        limiter.add(Demand(run, "Complete", None, fleet), JobTracker(30.0))
    assert limiter.allocate("real").later_runs == 0


def test_removed_run_ends_its_pass_and_frees_its_slots_when_its_jobs_are_deleted() -> None:
    limiter = Limiter(2)
    jobs = limiter.start("one", "a", "b")
    limiter.start("two", hour=1)
    assert limiter.allocate("two").slots == 0
    limiter.remove("one")
    limiter.update(Demand(a_run(uid="one"), "Running", None))
    limiter.update_run(a_run(uid="one"))
    with pytest.raises(RunDeleted):
        limiter.allocate("one")
    assert limiter.allocate("two").slots == 0
    jobs.on_event(a_job("a"), a_job("a", deleting=True))
    assert limiter.allocate("two").slots == 0
    for name in ("a", "b"):
        jobs.on_event(a_job(name), None)
    assert limiter.allocate("two").slots == 2


def test_run_that_is_being_deleted_keeps_the_slots_of_its_jobs() -> None:
    limiter = Limiter(3)
    limiter.start("one", "a", "b")
    limiter.start("two", hour=1)
    limiter.update_run(msgspec.structs.replace(a_run(uid="one"), deleting=True))
    assert limiter.active("one") == 2
    assert limiter.allocate("two").slots == 1


@pytest.mark.fault("T12")
def test_jobs_that_others_created_for_an_ended_run_take_no_slot() -> None:
    limiter = Limiter(20)
    jobs = limiter.start("one", devices=2)
    failed = {"conditions": [{"type": "Failed", "status": "True"}], "devices": {"total": 2}}
    limiter.update_run(a_run(uid="one", status=failed))
    for number in range(20):
        jobs.on_event(None, a_job(f"forged-{number}", suspended=True))
    limiter.start("two", hour=1, namespace="other")
    assert limiter.active("one") == 0
    assert limiter.allocate("two").slots == 20


def test_job_of_an_ended_run_is_known_by_its_positions_after_a_restart() -> None:
    limiter = Limiter(20)
    jobs = limiter.start("one", devices=2)
    ended = a_run(uid="one", status={**ENDED, "devices": {"total": 2}})
    limiter.update_run(ended)
    jobs.on_event(None, a_job(job_name("hourly", "one", 0, 1, 0), positions="0-1"))
    jobs.on_event(None, a_job("forged", positions="0-1"))
    assert limiter.active("one") == 1
    limiter.update_run(a_run(uid="one", status=ENDED))
    assert limiter.active("one") == 0


def test_jobs_of_a_run_count_after_a_restart_before_its_first_pass() -> None:
    limiter = Limiter(3)
    run, jobs = a_run(uid="first"), JobTracker(30.0)
    for at in range(3):
        jobs.on_event(None, a_job(job_name(run.name, run.uid, at, at, 0), positions=str(at)))
    limiter.add(Demand(run, "Running", None), jobs)
    limiter.start("second", hour=1)
    assert limiter.allocate("second").slots == 0


def test_many_runs_of_one_namespace_leave_another_its_share() -> None:
    limiter = Limiter(20)
    for number in range(1500):
        limiter.start(f"small-{number}", devices=1, hour=number % 23, namespace="crowd")
    limiter.start("honest")
    with limiter.reserve("honest", [], shortfall=0):
        pass
    assert limiter.allocate("honest").slots == 10


def test_namespace_takes_no_more_than_its_limit_from_others() -> None:
    limiter = Limiter(20, namespace=12)
    limiter.start("crowd", *(f"job-{number}" for number in range(18)), namespace="crowd")
    assert limiter.allocate("crowd").slots == 12
    limiter.start("honest", devices=50)
    with limiter.reserve("honest", [], shortfall=0):
        pass
    assert limiter.allocate("honest").slots == 8


def test_limit_of_a_fleet_bounds_all_its_runs() -> None:
    limiter, fleet = Limiter(20), parse_fleet({"name": "default", "namespaces": ["scoring"], "maxActiveJobs": 5})
    limiter.start("one", "a", "b", "c", fleet=fleet)
    limiter.start("two", hour=1, fleet=fleet)
    assert limiter.allocate("two").slots == 1
    assert limiter.allocate("one").slots == 2


def test_time_without_a_slot_and_behind_another_run_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    limiter = Limiter(1)
    jobs = limiter.start("one", "a")
    limiter.start("two", hour=1)
    limiter.start("three", phase="Queued")
    for uid in ("two", "three"):
        assert limiter.allocate(uid).starved_seconds == limiter.allocate(uid).blocked_seconds == 0
    now[0] += 61
    assert limiter.allocate("two").starved_seconds == 61
    assert limiter.allocate("three").blocked_seconds == 61
    jobs.on_event(a_job("a"), a_job("a", complete=True))
    assert limiter.allocate("two").starved_seconds == 0


async def test_new_shares_are_offered_to_runs_without_a_shortfall() -> None:
    limiter = Limiter(4)
    limiter.start("one", "a")
    with limiter.reserve("one", [], shortfall=0):
        pass
    limiter.offer_new_shares()
    await asyncio.sleep(0.01)
    assert limiter.woken == ["one"]


def test_next_runs_of_an_unknown_run_are_none() -> None:
    limiter = Limiter(4)
    limiter.start("one")
    limiter.start("two", phase="Queued")
    assert limiter.next_runs("one") == ["two"]
    assert limiter.next_runs("missing") == []


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


def test_changed_schedule_of_a_run_changes_its_conflicts() -> None:
    limiter = Limiter(4)
    limiter.start("one")
    limiter.start("two", phase="Queued", hour=1)
    for uid, hour in (("one", 0), ("two", 1)):
        window = {"start": f"2018-08-28T{hour:02}:00:00Z", "end": f"2018-08-28T{hour + 1:02}:00:00Z"}
        limiter.update_run(a_run(uid=uid, schedule="hourly", window=window))
    assert limiter.allocate("two").blocked_by == "hourly"


def test_shares_of_many_runs_are_computed_a_few_times_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    limiter = Limiter(20)
    for number in range(51):
        limiter.start(f"run-{number}", hour=number % 22, devices=1)
    limiter.start("large", hour=22, devices=1, namespace="other")
    assert limiter.allocate("large").slots == 1
    limiter.update(Demand(a_run(uid="large", namespace="other"), "Running", a_progress_with((), 9)))
    assert limiter.allocate("large").slots == 1
    now[0] += 0.2
    assert limiter.allocate("large").slots > 1
    assert (MAX_EXACT_RUNS, SHARES_SECONDS) == (50, 0.2)


def test_run_by_hand_that_is_active_first_pauses_for_a_scheduled_run() -> None:
    limiter = Limiter(10)
    schedules = [{"namespace": "scoring", "name": "hourly"}]
    fleet = parse_fleet({"name": "default", "namespaces": ["scoring"], "schedules": schedules})
    limiter.start("by-hand", fleet=fleet)
    window = {"start": "2018-08-28T00:00:00Z", "end": "2018-08-28T01:00:00Z"}
    official = a_run("hourly-20180828t000000z", uid="official", schedule="hourly", window=window)
    limiter.add(Demand(official, "", None, fleet), JobTracker(30.0))
    waiting, by_hand = limiter.allocate("official"), limiter.allocate("by-hand")
    assert (waiting.blocked_by, waiting.blocker_pauses) == ("hourly", True)
    assert (by_hand.blocked_by, by_hand.blocker_pauses) == ("hourly-20180828t000000z", False)


def test_ended_run_learns_that_a_run_of_its_namespace_waits_for_the_quota_of_jobs() -> None:
    limiter = Limiter(10)
    limiter.start("waiting")
    limiter.add(Demand(a_run(uid="ended", status=ENDED), "Complete", None), JobTracker(30.0))
    limiter.record_quota("waiting", waiting=True)
    limiter.record_quota("gone", waiting=True)
    full = [limiter.allocate("ended").job_quota_full]
    limiter.remove("waiting")
    assert [*full, limiter.allocate("ended").job_quota_full] == [True, False]
