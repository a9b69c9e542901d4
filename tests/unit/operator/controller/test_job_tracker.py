import pytest

from scoring_operator.api.names import job_name, report_job_name
from scoring_operator.controller.job_tracker import (
    MAX_DELETED_JOBS,
    MAX_RECOUNTED_JOBS,
    RECOUNT_SECONDS,
    JobTracker,
    JobTrackers,
)
from tests.testkit.builders import UID, a_job, a_run


def tracker(*visible: str, assumed_timeout: float = 30.0) -> JobTracker:
    """Return a tracker whose informer shows some Jobs."""
    jobs = JobTracker(assumed_timeout)
    for name in visible:
        jobs.on_event(None, a_job(name))
    jobs.acknowledge(visible)
    return jobs


def test_created_job_is_assumed_until_it_is_visible() -> None:
    jobs = tracker()
    jobs.expect("job")
    assert (jobs.snapshot().assumed, jobs.snapshot().seen) == ({"job"}, {"job"})
    jobs.on_event(None, a_job("job"))
    assert jobs.snapshot().assumed == frozenset()
    assert jobs.snapshot().exists("job")


def test_job_that_is_visible_before_the_response_is_not_assumed() -> None:
    jobs = tracker("job")
    jobs.expect("job")
    assert jobs.snapshot().assumed == frozenset()


def test_job_that_was_added_and_deleted_is_seen_until_it_is_acknowledged() -> None:
    jobs = tracker()
    jobs.on_event(None, a_job("job"))
    jobs.on_event(a_job("job"), None)
    assert not jobs.snapshot().exists("job")
    assert jobs.snapshot().seen == {"job"}
    jobs.acknowledge(["job"])
    assert jobs.snapshot().seen == frozenset()


def test_forgotten_job_counts_as_deleted_before_the_informer_shows_that() -> None:
    jobs, calls = tracker("job", "other"), []
    jobs.on_change(lambda: calls.append("changed"))
    jobs.forget("job")
    assert calls == ["changed"]
    jobs.forget("missing")
    assert (list(jobs.snapshot().visible), calls) == (["other"], ["changed"])


def test_end_or_deletion_of_a_job_requires_a_pass() -> None:
    jobs, running, done = tracker(), a_job("job", ready=True), a_job("job", complete=True)
    assert not jobs.on_event(None, running)
    assert jobs.on_event(running, done)
    assert not jobs.on_event(done, done)
    assert jobs.on_event(done, None)
    assert not jobs.on_event(None, None)


def test_suspension_resumption_or_deletion_by_others_requires_a_pass() -> None:
    jobs, running, suspended = tracker(), a_job("job"), a_job("job", suspended=True)
    assert jobs.on_event(running, suspended)
    assert jobs.on_event(suspended, running)
    assert not jobs.on_event(running, running)
    assert jobs.on_event(running, a_job("job", deleting=True))


def test_pod_start_requires_a_pass_only_if_it_is_the_first() -> None:
    jobs, running = tracker(), a_job("job", ready=True)
    assert jobs.on_event(a_job("job"), running, await_first_pod=True)
    assert not jobs.on_event(a_job("job"), running)


def test_assumed_job_is_overdue_after_the_timeout() -> None:
    jobs = tracker(assumed_timeout=-1)
    jobs.expect("job")
    assert jobs.overdue() == {"job"}
    assert jobs.snapshot(without=jobs.overdue()).assumed == frozenset()
    patient = tracker()
    patient.expect("job")
    assert patient.overdue() == set()


def test_inspected_job_is_visible_only_if_it_exists() -> None:
    jobs = tracker()
    for name in ("missing", "existing"):
        jobs.expect(name)
    found = jobs.confirm(["missing", "existing"], {"existing": a_job("existing")})
    assert (found.assumed, list(found.visible)) == (frozenset(), ["existing"])


def test_active_jobs_are_open_jobs_that_exist_and_reserved_ones() -> None:
    jobs = tracker("running", "complete")
    jobs.on_event(a_job("complete"), a_job("complete", complete=True))
    jobs.expect("assumed")
    open_batches = ["running", "complete", "assumed", "reserved", "missing"]
    assert jobs.active(open_batches) == 2
    assert jobs.active(open_batches, {"reserved": 1, "running": 1, "new": 1}) == 4


def test_unfinished_jobs_are_known_and_assumed_ones_without_the_report() -> None:
    report = report_job_name(a_run())
    jobs, known = tracker("running", "forged", report), frozenset(["running", report])
    jobs.expect("assumed")
    assert jobs.unfinished(a_run(), known) == 2
    jobs.on_event(a_job("running"), a_job("running", failed=True))
    jobs.on_event(None, a_job("assumed", complete=True))
    assert jobs.unfinished(a_run(), known) == 0


def test_new_job_is_counted_after_there_was_no_unfinished_one() -> None:
    jobs, name = tracker(), job_name("hourly", UID, 0, 2, 1)
    assert jobs.unfinished(a_run(), ()) == 0
    jobs.on_event(None, a_job(name, positions="0-2", round_="1"))
    assert jobs.unfinished(a_run(), ()) == 1
    other = tracker()
    assert other.unfinished(a_run(), ()) == 0
    other.expect("created")
    assert other.unfinished(a_run(), ()) == 1


@pytest.mark.parametrize(("positions", "round_"), [("", "1"), ("0-1", "1"), ("0-2", "x"), ("2-0", "1")])
def test_job_whose_name_does_not_follow_from_its_positions_is_not_the_runs(positions: str, round_: str) -> None:
    jobs = tracker()
    jobs.on_event(None, a_job(job_name("hourly", UID, 0, 2, 1), positions=positions, round_=round_))
    assert jobs.unfinished(a_run(), ()) == 0


def test_tracker_of_an_unknown_run_is_kept_while_a_job_is_visible() -> None:
    trackers = JobTrackers(30.0)
    trackers.get("scoring", "uid").on_event(None, a_job("job"))
    trackers.remove_if_empty("scoring", "uid")
    assert trackers.get("scoring", "uid").snapshot().exists("job")
    assert not trackers.get("elsewhere", "uid").snapshot().exists("job")
    trackers.get("scoring", "uid").on_event(a_job("job"), None)
    trackers.remove_if_empty("scoring", "uid")
    assert trackers.get("scoring", "uid").snapshot().seen == frozenset()


@pytest.mark.fault("T12")
def test_long_positions_of_a_forged_job_are_not_parsed_to_count_it() -> None:
    jobs, name = tracker(), job_name("hourly", UID, 0, 998, 0)
    jobs.on_event(None, a_job(name, positions=f"0,{'x' * 3000},998"))
    assert jobs.unfinished(a_run(), ()) == 1


def test_many_jobs_of_an_ended_run_are_counted_once_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    names = [f"job-{number}" for number in range(MAX_RECOUNTED_JOBS + 1)]
    jobs = tracker(*names)
    assert jobs.unfinished(a_run(), names) == 201
    jobs.on_event(a_job("job-0"), a_job("job-0", complete=True))
    assert jobs.unfinished(a_run(), names) == 201
    now[0] += RECOUNT_SECONDS
    assert jobs.unfinished(a_run(), names) == 200
    assert (MAX_RECOUNTED_JOBS, RECOUNT_SECONDS) == (200, 1.0)


@pytest.mark.fault("T12")
def test_jobs_that_others_create_and_delete_are_forgotten() -> None:
    jobs = tracker()
    for number in range(MAX_DELETED_JOBS + 500):
        jobs.on_event(None, a_job(f"job-{number}"))
        jobs.on_event(a_job(f"job-{number}"), None)
    assert MAX_DELETED_JOBS == 1000
    assert jobs.snapshot().seen == {f"job-{number}" for number in range(500, 1500)}


def test_job_that_the_informer_does_not_show_is_read_again_and_again() -> None:
    jobs, running = JobTracker(assumed_timeout=-1), a_job("job", ready=True)
    assert jobs.confirm(["job"], {"job": running}).visible == {"job": running}
    assert jobs.overdue() == {"job"}
    assert jobs.snapshot(without={"job"}).visible == {}
    ended = a_job("job", complete=True)
    assert jobs.confirm(["job"], {"job": ended}).visible == {"job": ended}
    assert jobs.confirm(["job"], {}).visible == {}
    assert jobs.overdue() == set()


def test_job_of_the_informer_is_not_replaced_by_one_that_was_read() -> None:
    jobs, ended = JobTracker(assumed_timeout=-1), a_job("job", complete=True)
    jobs.confirm(["job"], {"job": a_job("job")})
    jobs.on_event(None, ended)
    assert jobs.confirm(["job"], {"job": a_job("job")}).visible == {"job": ended}
    assert jobs.overdue() == set()
