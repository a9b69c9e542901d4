from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.conditions import Condition
from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import JobView
from scoring_operator.contract.report_message import parse_report_message
from scoring_operator.planner.finished_runs import (
    concerns_report,
    excess_jobs,
    report_needs_inspection,
    report_pending,
)
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.plan import make_plan
from scoring_operator.planner.types import DEFAULT_LIMITS, Blocker, Observation, Plan
from scoring_operator.resources.status import build_status
from tests.testkit.builders import NOW, a_batch, a_job, a_progress, a_report_message, a_run, an_observation, later

COMPLETE = {"type": "Complete", "status": "True"}
ENDED = {"phase": "Complete", "completionTime": "2026-11-24T12:00:00Z", "conditions": [COMPLETE]}
REPORT = report_job_name(a_run())


def with_report(reason: str, **spec: Any) -> ScoringRun:
    """Return an ended run whose condition Reported is Unknown for a reason."""
    reported = {"type": "Reported", "status": "Unknown", "reason": reason, "lastTransitionTime": "2026-11-24T12:00:00Z"}
    return a_run(status={**ENDED, "conditions": [COMPLETE, reported]}, **spec)


PENDING, RUNNING = with_report("ReportPending"), with_report("ReportRunning")


def listed(**observed: Any) -> Observation:
    """Return an observation of a run with three devices."""
    return an_observation(a_progress(3), **observed)


def report_of(plan: Plan) -> tuple[bool | None, str]:
    assert plan.report_condition
    return plan.report_condition.true, plan.report_condition.reason


def jobs(count: int, kind: str, **options: Any) -> dict[str, JobView]:
    return {f"{kind}-{n}": a_job(f"{kind}-{n}", **options) for n in range(count)}


# The Jobs of an ended run.


def test_unfinished_job_is_deleted_at_once() -> None:
    plan = make_plan(a_run(status=ENDED), an_observation(jobs={"slow": a_job("slow")}), NOW)
    assert (plan.delete, plan.requeue_after) == (("slow",), 1.0)


def test_at_most_100_unfinished_jobs_are_deleted_in_one_pass() -> None:
    plan = make_plan(a_run(status=ENDED), an_observation(jobs=jobs(101, "slow")), NOW)
    assert len(plan.delete) == 100


def test_finished_job_is_deleted_60_seconds_after_the_end() -> None:
    run, observation = a_run(status=ENDED), an_observation(jobs=jobs(1, "good", complete=True))
    waiting = make_plan(run, observation, later(59))
    assert (waiting.delete, waiting.requeue_after) == ((), 1.0)
    assert make_plan(run, observation, later(60)).delete == ("good-0",)


@pytest.mark.parametrize(("problems", "deleted"), [(0, (REPORT,)), (1, ())])
def test_report_job_with_problems_is_kept_for_its_log(problems: int, deleted: tuple[str, ...]) -> None:
    run = a_run(status=ENDED | {"report": {"path": "report.html", "problems": problems}})
    observation = an_observation(jobs={REPORT: a_job(REPORT, complete=True)})
    assert make_plan(run, observation, later(60)).delete == deleted


def test_ten_finished_jobs_are_deleted_per_second() -> None:
    plan = make_plan(a_run(status=ENDED), an_observation(jobs=jobs(11, "good", complete=True)), later(60))
    assert (len(plan.delete), plan.requeue_after) == (10, 1.0)


def test_50_failed_jobs_are_kept() -> None:
    observation = an_observation(jobs=jobs(51, "bad", failed=True) | jobs(3, "good", complete=True))
    plan = make_plan(a_run(status=ENDED), observation, later(60))
    assert plan.delete == ("bad-50", "good-0", "good-1", "good-2")


def test_job_that_is_being_deleted_or_has_an_open_batch_is_kept() -> None:
    observed = {
        "deleting": a_job("deleting", complete=True, deleting=True),
        "open": a_job("open", complete=True),
        "running": a_job("running", deleting=True),
    }
    progress = replace(a_progress(3), open_batches={"open": a_batch("0")})
    assert make_plan(a_run(status=ENDED), an_observation(progress, jobs=observed), later(61)).delete == ()


@pytest.mark.parametrize(("count", "deleted"), [(10_000, 0), (10_001, 1), (10_020, 10)])
def test_active_run_keeps_10_000_finished_jobs(count: int, deleted: int) -> None:
    done = dict.fromkeys((f"done-{n}" for n in range(count)), a_job(complete=True))
    excess = excess_jobs(a_progress(10), an_observation(jobs=done).jobs, DEFAULT_LIMITS)
    assert excess == tuple(f"done-{n}" for n in range(deleted))


FULL = Blocker("QuotaExceeded", "exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=5")


def test_full_quota_of_jobs_releases_ten_finished_jobs_of_an_active_run_per_pass() -> None:
    progress = replace(a_progress(20), open_batches={"good-0": a_batch("0")})
    observed = jobs(12, "good", complete=True) | jobs(2, "bad", failed=True) | jobs(1, "slow")
    plan = make_plan(a_run(), an_observation(progress, jobs=observed, blocker=FULL), NOW)
    assert plan.delete == tuple(f"good-{n}" for n in range(1, 11))  # the result of the first one is not recorded
    assert len(plan.create) == 1


@pytest.mark.parametrize("run", [a_run(), a_run(status=ENDED), PENDING], ids=["active", "ended", "report-pending"])
def test_full_quota_of_jobs_releases_one_failed_job_if_nothing_else_is_left(run: ScoringRun) -> None:
    observed = jobs(3, "bad", failed=True) | {"gone": a_job("gone", complete=True, deleting=True)}
    assert make_plan(run, listed(jobs=observed, blocker=FULL), later(1)).delete == ("bad-0",)
    with_success = observed | jobs(1, "good", complete=True)
    assert make_plan(run, listed(jobs=with_success, blocker=FULL), later(1)).delete == ("good-0",)


def test_ended_run_releases_a_kept_job_if_another_run_waits_for_the_quota() -> None:
    observed = jobs(2, "bad", failed=True)
    plan = make_plan(a_run(status=ENDED), an_observation(jobs=observed, job_quota_full=True), later(1))
    assert (plan.delete, plan.requeue_after) == (("bad-0",), 1.0)


@pytest.mark.parametrize("message", ["exceeded quota: q, requested: count/configmaps=1", "status unknown for quota: q"])
def test_quota_that_finished_jobs_do_not_fill_releases_none(message: str) -> None:
    observed = jobs(3, "good", complete=True)
    assert not make_plan(a_run(), listed(jobs=observed, blocker=Blocker("QuotaExceeded", message)), NOW).delete


def test_full_quota_of_jobs_releases_jobs_at_once_while_a_report_is_pending() -> None:
    plan = make_plan(PENDING, listed(jobs=jobs(12, "good", complete=True), blocker=FULL), later(1))
    assert (len(plan.delete), plan.create_report, plan.requeue_after) == (10, True, 1.0)


@pytest.mark.parametrize("run", [PENDING, RUNNING], ids=["pending", "running"])
def test_finished_jobs_are_deleted_60_seconds_after_the_end_without_a_report(run: ScoringRun) -> None:
    observed = jobs(12, "good", complete=True) | ({REPORT: a_job(REPORT)} if run is RUNNING else {})
    waiting = make_plan(run, listed(jobs=observed, slots=0), later(59))
    assert (waiting.delete, waiting.requeue_after) == ((), 1.0)
    plan = make_plan(run, listed(jobs=observed, slots=0), later(60))
    assert (len(plan.delete), plan.requeue_after) == (10, 1.0)


def test_full_quota_of_jobs_releases_a_report_job_with_problems_last() -> None:
    run = a_run(status=ENDED | {"report": {"path": "report.html", "problems": 1}})
    report = {REPORT: a_job(REPORT, complete=True)}
    observed = report | jobs(1, "good", complete=True)
    assert make_plan(run, an_observation(jobs=observed, blocker=FULL), later(1)).delete == ("good-0",)
    assert make_plan(run, an_observation(jobs=report, blocker=FULL), later(1)).delete == (REPORT,)


def test_finished_report_job_is_kept_until_its_result_is_in_the_status() -> None:
    observed = {REPORT: a_job(REPORT, complete=True)}
    assert not make_plan(RUNNING, listed(jobs=observed, blocker=FULL), later(3600)).delete


# The run itself.


def test_run_is_deleted_after_its_time_to_live() -> None:
    run = a_run(status=ENDED, ttlSecondsAfterFinished=100)
    waiting = make_plan(run, an_observation(), later(99))
    assert (waiting.delete_run, waiting.requeue_after) == (False, 1.0)
    assert make_plan(run, an_observation(), later(100)).delete_run


def test_run_is_deleted_when_as_many_later_runs_have_ended_as_its_history_limit() -> None:
    run = a_run(status=ENDED, historyLimit=3)
    assert not make_plan(run, an_observation(later_runs=2), later(1)).delete_run
    assert make_plan(run, an_observation(later_runs=3), later(1)).delete_run


@pytest.mark.parametrize("limit", [{"historyLimit": 3}, {"ttlSecondsAfterFinished": 0}], ids=["history", "ttl"])
def test_run_is_not_deleted_before_its_report_has_ended(limit: dict[str, int]) -> None:
    assert not make_plan(with_report("ReportRunning", **limit), listed(later_runs=3), later(60)).delete_run


# The report.


def test_ending_run_has_a_pending_report_unless_it_has_no_device_list() -> None:
    assert report_of(make_plan(a_run(cancel=True), listed(), NOW)) == (None, "ReportPending")
    assert report_of(make_plan(a_run(cancel=True), an_observation(), NOW)) == (False, "NothingToReport")


@pytest.mark.parametrize(
    ("run", "pending"),
    [(PENDING, True), (RUNNING, True), (a_run(status=ENDED), False), (a_run(), False)],
    ids=["pending", "running", "no-condition", "not-ended"],
)
def test_report_is_pending_until_its_condition_is_known(run: ScoringRun, pending: bool) -> None:  # noqa: FBT001  # a table
    assert report_pending(run) is pending


@pytest.mark.parametrize(
    ("observed", "created", "deleted"),
    [
        ({"jobs": jobs(1, "slow")}, False, ("slow-0",)),
        ({"jobs": jobs(1, "done", complete=True)}, True, ()),
        ({"assumed": ["not-visible"]}, False, ()),
    ],
    ids=["running", "finished", "assumed"],
)
def test_report_job_is_created_when_all_jobs_have_finished(
    observed: dict[str, Any],
    created: bool,  # noqa: FBT001  # a table
    deleted: tuple[str, ...],
) -> None:
    plan = make_plan(PENDING, listed(**observed), NOW)
    assert (plan.create_report, plan.delete) == (created, deleted)
    assert plan.requeue_after == (10.0 if created else 1.0)


@pytest.mark.fault("T12")
def test_report_job_waits_for_a_slot_of_its_namespace_for_any_time() -> None:
    plan = make_plan(PENDING, listed(slots=0), later(90_000))
    assert (plan.create_report, plan.requeue_after, report_of(plan)) == (False, 10.0, (None, "ReportPending"))
    assert make_plan(PENDING, listed(slots=1), later(90_000)).create_report


def test_job_that_becomes_visible_during_the_report_is_deleted() -> None:
    plan = make_plan(RUNNING, listed(jobs={REPORT: a_job(REPORT), "late": a_job("late")}), NOW)
    assert plan.delete == ("late",)


@pytest.mark.parametrize(
    "observed", [{"jobs": {REPORT: a_job(REPORT)}}, {"assumed": [REPORT]}], ids=["visible", "assumed"]
)
def test_existing_report_job_is_neither_created_nor_deleted(observed: dict[str, Any]) -> None:
    plan = make_plan(PENDING, listed(**observed), NOW)
    assert (plan.create_report, plan.delete) == (False, ())
    assert report_of(plan) == (None, "ReportRunning")


def a_failed_report(reason: str = "BackoffLimitExceeded") -> JobView:
    job = a_job(REPORT)
    failed = Condition(type="Failed", status="True", reason=reason, message=f"{reason} message")
    return JobView(metadata=job.metadata, spec=job.spec, status=type(job.status)(failed=1, conditions=(failed,)))


@pytest.mark.parametrize(
    ("job", "result", "expected"),
    [
        (
            a_job(REPORT, complete=True),
            JobResult(),
            (True, "ReportWritten", "20180828T230000Z_20180829T000000Z/report.html"),
        ),
        (
            a_failed_report(),
            JobResult(failure_reason="OOMKilled", failure_detail="memory"),
            (False, "OOMKilled", "memory"),
        ),
        (
            a_failed_report("DeadlineExceeded"),
            JobResult(failure_reason="JobLost"),
            (False, "DeadlineExceeded", "DeadlineExceeded m"),
        ),
        (None, JobResult(missing=True), (False, "JobLost", f"Job {REPORT} was deleted")),
        (
            a_job(REPORT),
            JobResult(ended=True),
            (True, "ReportWritten", "20180828T230000Z_20180829T000000Z/report.html"),
        ),
        (
            a_job(REPORT),
            JobResult(ended=True, failure_reason="StorageUnavailable", failure_detail="503"),
            (False, "StorageUnavailable", "503"),
        ),
    ],
    ids=["complete", "failed", "too-late", "missing", "written-next-to-a-sidecar", "failed-next-to-a-sidecar"],
)
def test_end_of_the_report_job_sets_the_condition(
    job: JobView | None, result: JobResult | None, expected: tuple[Any, ...]
) -> None:
    observation = listed(jobs={REPORT: job} if job else {}, results={REPORT: result} if result else {})
    plan = make_plan(RUNNING, observation, NOW)
    assert not plan.create_report
    assert plan.report_condition
    assert report_of(plan) == expected[:2]
    assert plan.report_condition.message.startswith(expected[2])


@pytest.mark.parametrize("job", [a_job(REPORT, complete=True), a_failed_report()], ids=["complete", "failed"])
def test_report_job_that_ends_while_it_is_inspected_is_settled_in_the_next_pass(job: JobView) -> None:
    assert report_of(make_plan(RUNNING, listed(jobs={REPORT: job}), NOW)) == (None, "ReportRunning")


@pytest.mark.parametrize(
    ("run", "observed", "inspected"),
    [
        (PENDING, {}, False),
        (RUNNING, {}, True),
        (RUNNING, {"assumed": [REPORT]}, False),
        (RUNNING, {"jobs": {REPORT: a_job(REPORT, ready=True)}}, False),
        (RUNNING, {"jobs": {REPORT: a_job(REPORT)}}, True),
        (PENDING, {"jobs": {REPORT: a_job(REPORT)}}, False),
        (RUNNING, {"jobs": {REPORT: a_failed_report()}}, True),
        (PENDING, {"jobs": {REPORT: a_job(REPORT, complete=True)}}, True),
    ],
    ids=["not-created", "missing", "assumed", "running", "no-ready-pod", "new", "failed", "complete"],
)
def test_report_job_is_inspected_when_it_has_no_ready_pod_or_is_missing(
    run: ScoringRun,
    observed: dict[str, Any],
    inspected: bool,  # noqa: FBT001  # a table
) -> None:
    assert report_needs_inspection(run, listed(**observed).jobs) is inspected


def test_cause_that_keeps_a_report_from_starting_is_named_until_after_its_deadline() -> None:
    blocker = Blocker("ErrImagePull", "pods do not start: scorer:nope: not found")
    waiting = make_plan(RUNNING, listed(jobs={REPORT: a_job(REPORT)}, blocker=blocker), NOW).report_condition
    assert waiting is not None
    assert (waiting.true, waiting.reason) == (None, "ReportRunning")
    assert waiting.message == f"Job {REPORT} makes it; pods do not start: scorer:nope: not found"
    reported = {"type": "Reported", "status": "Unknown", "reason": waiting.reason, "message": waiting.message}
    run = a_run(status={**ENDED, "conditions": [COMPLETE, reported]})
    failed = listed(jobs={REPORT: a_failed_report("DeadlineExceeded")}, results={REPORT: JobResult()})
    late = make_plan(run, failed, NOW).report_condition
    assert late is not None
    assert late.message == "DeadlineExceeded message; pods do not start: scorer:nope: not found"


def test_report_job_that_only_the_informer_misses_is_not_lost() -> None:
    assert report_of(make_plan(RUNNING, listed(), NOW)) == (None, "ReportRunning")


def test_rejected_report_job_is_retried_every_10_seconds_for_an_hour() -> None:
    rejected = listed(blocker=Blocker("QuotaExceeded", "no more Jobs"))
    plan = make_plan(PENDING, rejected, later(3599))
    assert (plan.create_report, plan.requeue_after) == (True, 10.0)
    assert plan.report_condition
    assert plan.report_condition.message == "no more Jobs"
    assert report_of(make_plan(PENDING, rejected, later(3600))) == (False, "DeadlineExceeded")


def test_condition_of_a_report_names_its_container_and_account() -> None:
    fleet = parse_fleet(
        {"name": "f", "namespaces": ["n"], "storage": {"accountUrl": "https://acc.blob.core.windows.net"}}
    )
    result = JobResult(report=parse_report_message(a_report_message(vanishedModels=1)))
    observation = listed(jobs={REPORT: a_job(REPORT, complete=True)}, results={REPORT: result})
    observation = replace(observation, state=replace(observation.state, fleet=fleet))
    condition = make_plan(RUNNING, observation, NOW).report_condition
    assert condition is not None
    assert condition.message == (
        "20180828T230000Z_20180829T000000Z/report.html is in container predictions of https://acc.blob.core.windows.net"
        "; not scored: 1 device whose model was deleted"
    )


def test_run_without_progress_has_no_report() -> None:
    assert report_of(make_plan(PENDING, an_observation(), NOW)) == (False, "ProgressLost")


def test_rejected_run_has_no_report_for_the_same_reason() -> None:
    rejected = listed(rejection=Blocker("FleetChanged", "another account"))
    assert report_of(make_plan(PENDING, rejected, NOW)) == (False, "FleetChanged")


def test_report_without_a_result_adds_only_its_path_to_the_status() -> None:
    complete_job = listed(jobs={REPORT: a_job(REPORT, complete=True)}, results={REPORT: JobResult()})
    plan = make_plan(RUNNING, complete_job, later(9))
    status = build_status(RUNNING, plan, listed(), later(9))
    complete, reported, *_ = status.pop("conditions")  # and those that an earlier operator did not write
    assert (reported["type"], reported["status"], reported["lastTransitionTime"]) == (
        "Reported",
        "True",
        "2026-11-24T12:00:09Z",
    )
    assert complete == COMPLETE | {"observedGeneration": 1}
    before = {key: value for key, value in RUNNING.status.items() if key != "conditions"}
    report = {"path": "20180828T230000Z_20180829T000000Z/report.html"}
    assert status == before | {"observedGeneration": 1, "report": report}


@pytest.mark.parametrize(
    ("run", "name", "deleted", "concerns"),
    [
        (PENDING, report_job_name(PENDING), False, True),
        (PENDING, report_job_name(PENDING), True, True),
        (PENDING, "job-1", False, True),
        (PENDING, "job-1", True, False),
        (a_run(status={"phase": "Complete"}), "job-1", False, False),
    ],
    ids=["report ends", "report is deleted", "scorer ends", "scorer is deleted", "no report"],
)
def test_change_of_a_job_concerns_a_pending_report_except_a_paced_deletion(
    run: ScoringRun, name: str, *, deleted: bool, concerns: bool
) -> None:
    job = a_job(name, complete=True)
    assert concerns_report(run, job, None if deleted else job) == concerns
