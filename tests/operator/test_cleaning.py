from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.intervals import Intervals
from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import ConditionView, JobView
from scoring_operator.planner.finished_runs import MAX_KEPT_FAILED_JOBS, excess_jobs, report_needs_inspection
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.plan import make_plan
from scoring_operator.planner.queueing import count_later_runs
from scoring_operator.planner.types import Blocker, Observation, Plan
from scoring_operator.resources.status import build_status
from tests.operator.builders import NOW, a_batch, a_job, a_progress, a_run, later

COMPLETE = {"type": "Complete", "status": "True"}
DONE = {"phase": "Complete", "completionTime": "2026-11-24T12:00:00Z", "conditions": [COMPLETE]}
REPORT = report_job_name(a_run())


def test_after_a_run_its_finished_jobs_go_but_some_failed_ones_stay() -> None:
    jobs = {f"good-{n}": a_job(f"good-{n}", complete=True) for n in range(3)}
    jobs |= {f"bad-{n}": a_job(f"bad-{n}", failed=True) for n in range(MAX_KEPT_FAILED_JOBS + 1)}
    run = a_run(status=DONE)
    assert make_plan(run, Observation(jobs=jobs), later(59)).delete == ()
    assert set(make_plan(run, Observation(jobs=jobs), later(61)).delete) == {
        "good-0",
        "good-1",
        "good-2",
        f"bad-{MAX_KEPT_FAILED_JOBS}",
    }


def test_after_a_run_what_still_runs_is_deleted_at_once() -> None:
    assert make_plan(a_run(status=DONE), Observation(jobs={"slow": a_job("slow")}), NOW).delete == ("slow",)


def test_a_run_is_deleted_after_its_time_to_live() -> None:
    run = a_run(status=DONE, ttlSecondsAfterFinished=100)
    assert not make_plan(run, Observation(), later(99)).delete_run
    assert make_plan(run, Observation(), later(100)).delete_run


def test_a_run_is_deleted_when_so_many_later_ones_have_ended_as_its_history_has_room_for() -> None:
    run = a_run(status=DONE, historyLimit=3)
    assert not make_plan(run, Observation(newer=2), later(1)).delete_run
    assert make_plan(run, Observation(newer=3), later(1)).delete_run
    assert not make_plan(reporting("ReportRunning", historyLimit=3), Observation(newer=3), later(1)).delete_run


def test_only_later_windows_of_the_same_schedule_and_fleet_whose_runs_have_ended_are_newer() -> None:
    def one(start: int, *, schedule: str = "hourly", status: dict[str, Any] = DONE, **more: Any) -> ScoringRun:
        window = {"start": f"2018-08-28T{start:02}:00:00Z", "end": f"2018-08-28T{start + 1:02}:00:00Z"}
        return a_run(schedule=schedule, status=status, window=window, **more)

    others = [one(5), one(6), one(4), one(3), one(7, status={}), one(8, schedule="daily"), one(8, fleet="other")]
    assert count_later_runs(one(4), [*others, one(9, namespace="elsewhere")]) == 2
    assert count_later_runs(one(4, schedule=""), [one(5, schedule="")]) == 0


def test_a_pile_of_finished_jobs_shrinks_while_the_run_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scoring_operator.planner.finished_runs.MAX_FINISHED_JOBS", 3)
    jobs = {f"done-{n}": a_job(f"done-{n}", complete=True) for n in range(5)}
    progress = replace(
        replace(a_progress(10), outcomes={"scored": Intervals.parse("0-8")}), waiting=Intervals.from_positions([9])
    )
    assert excess_jobs(Observation(progress=replace(progress, waiting=Intervals(), queued_batches=()), jobs=jobs)) == (
        "done-0",
        "done-1",
    )


def reporting(reason: str, **spec: Any) -> ScoringRun:
    told = {"type": "Reported", "status": "Unknown", "reason": reason, "lastTransitionTime": "2026-11-24T12:00:00Z"}
    return a_run(status={**DONE, "conditions": [COMPLETE, told]}, **spec)


PENDING, RUNNING = reporting("ReportPending"), reporting("ReportRunning")
LISTED = Observation(progress=a_progress(3))


def told(decided: Plan) -> tuple[bool | None, str]:
    assert decided.reported
    return decided.reported.true, decided.reported.reason


def test_a_run_that_ends_says_that_its_report_is_to_come_and_one_without_devices_that_there_is_none() -> None:
    assert told(make_plan(a_run(cancel=True), LISTED, NOW)) == (None, "ReportPending")
    assert told(make_plan(a_run(cancel=True), Observation(), NOW)) == (False, "NothingToReport")


def test_the_report_is_made_once_no_job_of_the_run_is_left_running() -> None:
    decided = make_plan(PENDING, replace(LISTED, jobs={"slow": a_job("slow")}), NOW)
    assert (decided.make_report, decided.delete) == (False, ("slow",))
    decided = make_plan(PENDING, replace(LISTED, jobs={"done": a_job("done", complete=True)}), NOW)
    assert (decided.make_report, decided.delete) == (True, ())
    decided = make_plan(PENDING, replace(LISTED, assumed={"not-shown-yet"}), NOW)
    assert (decided.make_report, decided.delete) == (False, ())


def test_a_job_that_is_shown_only_while_the_report_is_being_made_is_deleted() -> None:
    decided = make_plan(RUNNING, replace(LISTED, jobs={REPORT: a_job(REPORT), "shown-late": a_job("shown-late")}), NOW)
    assert decided.delete == ("shown-late",)


@pytest.mark.parametrize("seen", [{"jobs": {REPORT: a_job(REPORT)}}, {"assumed": {REPORT}}])
def test_a_report_that_is_being_made_is_neither_made_again_nor_deleted(seen: dict[str, Any]) -> None:
    decided = make_plan(PENDING, replace(LISTED, **seen), NOW)
    assert (decided.make_report, decided.delete) == (False, ())
    assert told(decided) == (None, "ReportRunning")


def a_failed_report(reason: str = "BackoffLimitExceeded") -> JobView:
    job = a_job(REPORT)
    failed = ConditionView(type="Failed", status="True", reason=reason, message=f"{reason} says why")
    return JobView(metadata=job.metadata, spec=job.spec, status=type(job.status)(failed=1, conditions=(failed,)))


@pytest.mark.parametrize(
    ("job", "word", "expected"),
    [
        (a_job(REPORT, complete=True), None, (True, "ReportWritten", "20180828T230000Z_20180829T000000Z/report.html")),
        (
            a_failed_report(),
            JobResult(failure_reason="OOMKilled", failure_detail="memory"),
            (False, "OOMKilled", "memory"),
        ),
        (
            a_failed_report("DeadlineExceeded"),
            JobResult(failure_reason="JobLost"),
            (False, "DeadlineExceeded", "DeadlineExceeded s"),
        ),
        (None, JobResult(missing=True), (False, "JobLost", f"Job {REPORT} was deleted")),
    ],
    ids=["complete", "failed", "too late", "gone"],
)
def test_the_end_of_the_reports_job_is_told(
    job: JobView | None, word: JobResult | None, expected: tuple[Any, ...]
) -> None:
    seen = replace(LISTED, jobs={REPORT: job} if job else {}, words={REPORT: word} if word else {})
    decided = make_plan(RUNNING, seen, NOW)
    assert not decided.make_report
    assert decided.reported
    assert (decided.reported.true, decided.reported.reason) == expected[:2]
    assert decided.reported.message.startswith(expected[2])


@pytest.mark.parametrize(
    ("run", "seen", "unheard"),
    [
        (PENDING, {}, False),
        (RUNNING, {}, True),
        (RUNNING, {"assumed": {REPORT}}, False),
        (RUNNING, {"jobs": {REPORT: a_job(REPORT)}}, False),
        (RUNNING, {"jobs": {REPORT: a_failed_report()}}, True),
    ],
)
def test_a_report_is_looked_at_when_it_failed_or_is_gone(run: ScoringRun, seen: dict[str, Any], unheard: bool) -> None:  # noqa: FBT001  # a table
    assert report_needs_inspection(run, replace(LISTED, **seen)) is unheard


def test_a_report_that_was_seen_and_is_missed_by_the_mirror_alone_is_not_called_lost() -> None:
    assert told(make_plan(RUNNING, LISTED, NOW)) == (None, "ReportRunning")


def test_a_report_whose_job_is_refused_says_why_and_is_given_up_after_an_hour() -> None:
    refused = replace(LISTED, trouble=Blocker("QuotaExceeded", "no more Jobs"))
    decided = make_plan(PENDING, refused, later(3599))
    assert decided.make_report
    assert decided.reported
    assert decided.reported.message == "no more Jobs"
    assert told(make_plan(PENDING, refused, later(3600))) == (False, "DeadlineExceeded")


def test_without_progress_there_is_nothing_to_make_a_report_of() -> None:
    assert told(make_plan(PENDING, Observation(), NOW)) == (False, "ProgressLost")


def test_a_run_that_may_not_go_on_has_no_report_and_says_why() -> None:
    refused = replace(LISTED, refusal=Blocker("FleetChanged", "another account"))
    assert told(make_plan(PENDING, refused, NOW)) == (False, "FleetChanged")


def test_a_run_is_not_deleted_before_its_report_has_ended() -> None:
    assert not make_plan(reporting("ReportRunning", ttlSecondsAfterFinished=0), LISTED, later(60)).delete_run


def test_the_fate_of_the_report_changes_no_other_word_of_status() -> None:
    decided = make_plan(RUNNING, replace(LISTED, jobs={REPORT: a_job(REPORT, complete=True)}), later(9))
    status = build_status(RUNNING, decided, LISTED, later(9))
    reported = status["conditions"].pop()
    assert (reported["type"], reported["status"], reported["lastTransitionTime"]) == (
        "Reported",
        "True",
        "2026-11-24T12:00:09Z",
    )
    assert status == {**RUNNING.status, "conditions": [COMPLETE]}


def test_what_is_being_deleted_or_not_recorded_yet_is_left_alone() -> None:
    jobs = {
        "going": a_job("going", complete=True, deleting=True),
        "fresh": a_job("fresh", complete=True),
        "new": a_job("new"),
    }
    open_ = replace(a_progress(3), open_batches={"fresh": a_batch("0")})
    run = a_run(status=DONE)
    assert (
        make_plan(run, Observation(progress=open_, jobs={**jobs, "new": a_job("new", deleting=True)}), later(61)).delete
        == ()
    )
