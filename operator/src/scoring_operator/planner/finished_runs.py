"""The work after the end of a run: its report, its Jobs, and the run itself.

1. Jobs that are not finished are deleted.
2. Then the report Job is created, if the run had devices and its namespace has a slot for a report. The condition
   Reported stores the state of the report. Its status is Unknown from the end of the run on, with the reason
   ReportPending, and ReportRunning once the Job was seen. It becomes True or False when the Job has finished, or when
   its container has ended and another one keeps its pod from ending. A report Job that was seen and is missing is not
   created again.
3. A minute after the end, finished Jobs are deleted, ten per second, whether or not the report is finished. Some
   failed Jobs are kept for people, and the report Job if its report has problems, which its log names.
4. The run is deleted after its time to live, or when `historyLimit` later runs of its schedule have ended. Its report
   has to be finished before that.

If a ResourceQuota for the number of Jobs rejects a Job of a run, its finished Jobs are deleted at once, also while the
run is active: successful ones first, and failed ones only if nothing else is left. If it has none, the ended runs of
the namespace delete theirs.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from scoring_operator.api.conditions import find_condition
from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import JobView
from scoring_operator.contract.command import REPORT_DEADLINE_SECONDS
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import Blocker, JobSnapshot, Observation, Plan, PlannerLimits, ReportCondition
from scoring_operator.planner.written_report import written_report

MAX_KEPT_FAILED_JOBS = 50  # per run, with their pods
MAX_STOPPED_JOBS = 100  # unfinished Jobs that are deleted in one pass
CLEANUP_INTERVAL_SECONDS = 1.0
RETRY_SECONDS = 10.0  # until a rejected report Job is created again
JOB_COUNT = "count/jobs.batch"  # the resource of a ResourceQuota that finished Jobs use too
PENDING_REASON, RUNNING_REASON = "ReportPending", "ReportRunning"
PENDING_MESSAGE = "the report Job is created when the Jobs of the run have ended"
NO_SLOT_MESSAGE = "the report Job is created when a report of another run of the namespace has ended"


def initial_report_condition(progress: Progress | None) -> ReportCondition:
    """Return the condition Reported of a run that ends now.

    Args:
        progress: The progress at the end; None if the devices were never listed.
    """
    if progress is None:
        return ReportCondition(False, "NothingToReport", "the run ended before its devices were listed")
    return ReportCondition(None, PENDING_REASON, PENDING_MESSAGE)


def report_pending(run: ScoringRun) -> bool:
    """Return True if the run has ended and its report is not finished."""
    reported = find_condition(run.status, "Reported")
    return run.ended and reported is not None and reported.status == "Unknown"


def report_needs_inspection(run: ScoringRun, jobs: JobSnapshot) -> bool:
    """Return True if the report Job must be inspected: it has finished, or it was seen and has no ready pod.

    Args:
        run: An ended run.
        jobs: The Jobs of the run.
    """
    name = report_job_name(run)
    job = jobs.visible.get(name)
    if job and job.finished:
        return True
    has_ready_pod = job is not None and bool(job.status.ready)
    return _report_job_was_seen(run) and name not in jobs.assumed and not has_ready_pod


def plan_finished(run: ScoringRun, observation: Observation, now: datetime, limits: PlannerLimits) -> Plan:
    """Decide the next actions for a run that has ended.

    Args:
        run: The run.
        observation: The observed state of the run.
        now: The API server's time.
        limits: The limits of the planner.
    """
    phase = str(run.status.get("phase", ""))
    completed = datetime.fromisoformat(run.status.get("completionTime") or now.isoformat())
    if report_pending(run):
        late = observation.blocker is not None and now >= completed + timedelta(seconds=REPORT_DEADLINE_SECONDS)
        return _with_cleanup(_plan_report(run, observation, phase, late=late), run, observation, now, limits)
    expires = completed + timedelta(seconds=run.spec.ttl_seconds_after_finished)
    if now >= expires or observation.allocation.later_runs >= run.spec.history_limit:
        return Plan(phase, delete_run=True)
    if running := jobs_to_stop(observation.jobs):
        return Plan(phase, delete=running, requeue_after=CLEANUP_INTERVAL_SECONDS)
    plan = Plan(phase, requeue_after=(expires - now).total_seconds())
    return _with_cleanup(plan, run, observation, now, limits)


def _with_cleanup(plan: Plan, run: ScoringRun, observation: Observation, now: datetime, limits: PlannerLimits) -> Plan:
    """Return the plan with the deletion of finished Jobs (step 3), unless it deletes other Jobs."""
    if plan.delete:
        return plan
    progress, jobs, kept = observation.state.progress, observation.jobs, _kept_report(run)
    if observation.allocation.job_quota_full or job_quota_is_full(observation.blocker):
        delete, wait = _released(progress, jobs, limits, kept), 0.0
        delete = () if report_pending(run) and delete == (kept,) else delete
    else:
        removable = (name for name in _removable(progress, jobs) if name != kept)
        delete = tuple(islice(removable, limits.deletes_per_second))
        completed = datetime.fromisoformat(run.status.get("completionTime") or now.isoformat())
        wait = (completed + timedelta(seconds=limits.cleanup_delay) - now).total_seconds()
    if not delete:
        return plan
    due = wait if wait > 0 else CLEANUP_INTERVAL_SECONDS
    due = due if plan.requeue_after is None else min(due, plan.requeue_after)
    return replace(plan, delete=delete if wait <= 0 else (), requeue_after=due)


def _kept_report(run: ScoringRun) -> str:
    """Return the name of the report Job if its result or its log is still needed; an empty text otherwise."""
    needed = report_pending(run) or run.status.get("report", {}).get("problems")
    return report_job_name(run) if needed else ""


def _plan_report(run: ScoringRun, observation: Observation, phase: str, *, late: bool) -> Plan:
    """Return the plan until the report is settled: its Job, and the deletion of unfinished Jobs (steps 1 and 2)."""
    condition = _report_condition(run, observation, late=late)
    report_job = report_job_name(run)
    running = tuple(name for name in jobs_to_stop(observation.jobs) if name != report_job)
    if condition is not None:
        return Plan(phase, delete=running, report_condition=condition)
    if running or observation.jobs.assumed - {report_job}:
        return Plan(phase, delete=running, requeue_after=CLEANUP_INTERVAL_SECONDS)
    message = observation.blocker.message if observation.blocker else PENDING_MESSAGE
    has_slot = observation.allocation.slots > 0
    pending = ReportCondition(None, PENDING_REASON, message if has_slot else NO_SLOT_MESSAGE)
    return Plan(phase, create_report=has_slot, report_condition=pending, requeue_after=RETRY_SECONDS)


def _report_condition(run: ScoringRun, observation: Observation, *, late: bool) -> ReportCondition | None:
    """Return the condition Reported, or None if the report Job has to be created.

    Args:
        run: The run.
        observation: The observed state of the run.
        late: Whether the API server has rejected the Job for too long.
    """
    name, jobs, state = report_job_name(run), observation.jobs, observation.state
    job, result, was_seen = jobs.visible.get(name), observation.results.get(name), _report_job_was_seen(run)
    if job and result and (job.finished or result.ended):
        return _finished_report_condition(run, state.fleet, job, result)
    if jobs.exists(name) or (was_seen and not result):
        cause = observation.blocker.message if observation.blocker and job else ""
        return ReportCondition(None, RUNNING_REASON, "; ".join(filter(None, (f"Job {name} makes it", cause))))
    if was_seen:
        return ReportCondition(False, "JobLost", f"Job {name} was deleted before it had ended")
    if state.rejection:
        return ReportCondition(False, state.rejection.reason, state.rejection.message)
    if state.progress is None:
        return ReportCondition(False, "ProgressLost", "the run's progress ConfigMap was deleted")
    cause = f": {observation.blocker.message}" if observation.blocker else ""
    return ReportCondition(False, "DeadlineExceeded", f"its Job could not be made in time{cause}") if late else None


def _report_job_was_seen(run: ScoringRun) -> bool:
    reported = find_condition(run.status, "Reported")
    return reported is not None and reported.reason == RUNNING_REASON


def _finished_report_condition(
    run: ScoringRun, fleet: Fleet | None, job: JobView, result: JobResult
) -> ReportCondition:
    failed = job.true_condition("Failed")
    if failed and failed.reason == "DeadlineExceeded":  # of the Job itself, whose pods are deleted by then
        known = find_condition(run.status, "Reported")
        cause = known.message.partition("; ")[2] if known else ""
        return ReportCondition(False, failed.reason, "; ".join(filter(None, (failed.message, cause))))
    if failed or (result.ended and result.failure_reason):
        return ReportCondition(False, result.failure_reason, result.failure_detail)
    return written_report(run, fleet, result.report)


def jobs_to_stop(jobs: JobSnapshot) -> tuple[str, ...]:
    """Return unfinished Jobs, which have to be deleted.

    Args:
        jobs: The Jobs of the run.
    """
    running = (name for name, job in jobs.visible.items() if not job.finished and not job.metadata.deletion_timestamp)
    return tuple(islice(running, MAX_STOPPED_JOBS))


def concerns_report(run: ScoringRun, old: JobView | None, new: JobView | None) -> bool:
    """Return True if a change of a Job may concern the report of an ended run; its other Jobs are deleted by time.

    Args:
        run: The run, which has ended.
        old: The Job before the change; None if it is new.
        new: The Job after the change; None if it was deleted.
    """
    deleted = new is None and old is not None and old.finished and old.name != report_job_name(run)
    return report_pending(run) and not deleted


def job_quota_is_full(blocker: Blocker | None) -> bool:
    """Return True if a ResourceQuota for the number of Jobs rejects Jobs. Finished Jobs count in it.

    Args:
        blocker: The blocker of the run.
    """
    return blocker is not None and blocker.reason == "QuotaExceeded" and JOB_COUNT in blocker.message


def excess_jobs(
    progress: Progress, jobs: JobSnapshot, limits: PlannerLimits, blocker: Blocker | None = None
) -> tuple[str, ...]:
    """Return the finished Jobs to delete while the run is active, because there are too many of them.

    Args:
        progress: The progress of the run.
        jobs: The Jobs of the run.
        limits: The limits of the planner.
        blocker: The blocker of the run.
    """
    if job_quota_is_full(blocker):
        return _released(progress, jobs, limits)
    excess = len(jobs.visible) - len(progress.open_batches) - limits.max_finished_jobs
    return tuple(islice(_removable(progress, jobs), min(excess, limits.deletes_per_second))) if excess > 0 else ()


def _removable(progress: Progress | None, jobs: JobSnapshot) -> Iterator[str]:
    """Yield finished Jobs whose result is recorded and that are not kept, the oldest first."""
    kept = 0
    for name, job in jobs.visible.items():
        if not job.finished or (progress and name in progress.open_batches):
            continue
        if job.true_condition("Failed") and kept < MAX_KEPT_FAILED_JOBS:
            kept += 1
        elif not job.metadata.deletion_timestamp:
            yield name


def _released(progress: Progress | None, jobs: JobSnapshot, limits: PlannerLimits, kept: str = "") -> tuple[str, ...]:
    """Return finished Jobs to delete because a quota is full: successful ones, or else one that is kept for people.

    Args:
        progress: The progress of the run; Jobs of open batches are kept, as their result is not recorded.
        jobs: The Jobs of the run.
        limits: The limits of the planner.
        kept: The name of a successful Job that is kept for people too.
    """
    finished = [
        (name, name == kept or bool(job.true_condition("Failed")))
        for name, job in jobs.visible.items()
        if job.finished and not job.metadata.deletion_timestamp
        if not (progress and name in progress.open_batches)
    ]
    successful = [name for name, wanted in finished if not wanted]
    return tuple(successful[: limits.deletes_per_second] or [name for name, _ in finished[:1]])
