"""What is left to do once a run's end stands in status: its report, its Jobs, the run itself. Pure.

1. Jobs that still run are deleted.
2. Once none runs any more, the report's Job is made, if the run had devices. The condition Reported remembers it: it
   is Unknown from the end on, first as ReportPending, then, once the Job has been seen, as ReportRunning, and True or
   False when the Job has ended. A Job that was seen and is gone is not made again.
3. A minute after the end finished Jobs go, paced; some failed ones stay to be read.
4. After its time to live, or when so many later runs of its schedule have ended as its history has room for, but not
   before the report has ended or was given up, the run itself goes.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from scoring_operator.api.conditions import find_condition
from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import JobView
from scoring_operator.contract.blob_paths import window_slug
from scoring_operator.contract.command import REPORT_DEADLINE_SECONDS
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import Observation, Plan, ReportCondition

MAX_KEPT_FAILED_JOBS = 50  # failed Jobs that stay with the run, with their pods
MAX_FINISHED_JOBS = 10_000  # finished Jobs that may pile up while the run is active: 300 MiB of etcd
DELETES_PER_SECOND = 10  # Jobs deleted per second
CLEANUP_DELAY = timedelta(seconds=60)  # before the Jobs of an ended run go, for people who look at it
RETRY_SECONDS = 10.0  # seconds until a report's Job that was refused is tried again
PENDING_REASON, RUNNING_REASON = "ReportPending", "ReportRunning"
PENDING_MESSAGE = "its Job is made when the Jobs of the run have ended"


def initial_report_condition(progress: Progress | None) -> ReportCondition:
    """What a run that ends now says of its report."""
    if progress is None:
        return ReportCondition(False, "NothingToReport", "the run ended before its devices were listed")
    return ReportCondition(None, PENDING_REASON, PENDING_MESSAGE)


def report_pending(run: ScoringRun) -> bool:
    """Whether a run has ended and the fate of its report is open."""
    reported = find_condition(run.status, "Reported")
    return run.ended and reported is not None and reported["status"] == "Unknown"


def report_needs_inspection(run: ScoringRun, observation: Observation) -> bool:
    """Whether the report's Job has to be looked at: it failed, or was seen and is gone."""
    name = report_job_name(run)
    if job := observation.jobs.get(name):
        return bool(job.true_condition("Failed"))
    return _report_job_was_seen(run) and name not in observation.assumed


def plan_finished(run: ScoringRun, observation: Observation, now: datetime) -> Plan:
    """The plan for a run that has ended."""
    phase = str(run.status.get("phase", ""))
    completed = datetime.fromisoformat(run.status.get("completionTime") or now.isoformat())
    if report_pending(run):
        return _plan_report(run, observation, phase, late=now >= completed + timedelta(seconds=REPORT_DEADLINE_SECONDS))
    expires = completed + timedelta(seconds=run.spec.ttl_seconds_after_finished)
    if now >= expires or observation.newer >= run.spec.history_limit:
        return Plan(phase, observation.progress, delete_run=True)
    if running := _jobs_to_stop(observation):
        return Plan(phase, observation.progress, delete=running, wake=1.0)
    removable = list(islice(_removable(observation), DELETES_PER_SECOND + 1))
    if not removable or now < completed + CLEANUP_DELAY:
        due = min(expires, completed + CLEANUP_DELAY) if removable else expires
        return Plan(phase, observation.progress, wake=(due - now).total_seconds())
    return Plan(phase, observation.progress, delete=tuple(removable[:DELETES_PER_SECOND]), wake=1.0)


def _plan_report(run: ScoringRun, observation: Observation, phase: str, *, late: bool) -> Plan:
    """Steps 1 and 2."""
    state = _report_state(run, observation, late=late)
    report_job = report_job_name(run)
    running = tuple(name for name in _jobs_to_stop(observation) if name != report_job)
    if state is None and (running or set(observation.assumed) - {report_job}):
        return Plan(phase, observation.progress, delete=running, wake=1.0)
    if state is None:
        pending = ReportCondition(
            None, PENDING_REASON, observation.trouble.message if observation.trouble else PENDING_MESSAGE
        )
        return Plan(phase, observation.progress, make_report=True, reported=pending, wake=RETRY_SECONDS)
    return Plan(phase, observation.progress, delete=running, reported=state)


def _report_state(run: ScoringRun, observation: Observation, *, late: bool) -> ReportCondition | None:
    """What is to be said of the report; None where its Job is still to be made. One not begun in time is given up."""
    name = report_job_name(run)
    job, result, was_seen = observation.jobs.get(name), observation.words.get(name), _report_job_was_seen(run)
    if job and job.finished:
        return _finished_report_condition(run, job, result or JobResult(failure_reason="Unknown"))
    if observation.has_job(name) or (was_seen and not result):
        return ReportCondition(None, RUNNING_REASON, f"Job {name} makes it")
    if was_seen:
        return ReportCondition(False, "JobLost", f"Job {name} was deleted before it had ended")
    if observation.refusal:
        return ReportCondition(False, observation.refusal.reason, observation.refusal.message)
    if observation.progress is None:
        return ReportCondition(False, "ProgressLost", "the run's progress ConfigMap is gone")
    cause = f": {observation.trouble.message}" if observation.trouble else ""
    return ReportCondition(False, "DeadlineExceeded", f"its Job could not be made in time{cause}") if late else None


def _report_job_was_seen(run: ScoringRun) -> bool:
    reported = find_condition(run.status, "Reported")
    return reported is not None and reported["reason"] == RUNNING_REASON


def _finished_report_condition(run: ScoringRun, job: JobView, result: JobResult) -> ReportCondition:
    failed = job.true_condition("Failed")
    if failed is None:
        return ReportCondition(
            True, "ReportWritten", f"{window_slug(run.spec.window)}/report.html is with the predictions"
        )
    if failed.reason == "DeadlineExceeded":  # the Job's own; its pods were deleted
        return ReportCondition(False, failed.reason, failed.message)
    return ReportCondition(False, result.failure_reason, result.failure_detail)


def _jobs_to_stop(observation: Observation) -> tuple[str, ...]:
    """Jobs that have to be deleted because they still run."""
    running = (
        name for name, job in observation.jobs.items() if not job.finished and not job.metadata.deletion_timestamp
    )
    return tuple(islice(running, 10 * DELETES_PER_SECOND))


def excess_jobs(observation: Observation) -> tuple[str, ...]:
    """Finished Jobs beyond those that may pile up while the run is active."""
    over = (
        len(observation.jobs)
        - len(observation.progress.open_batches if observation.progress else ())
        - MAX_FINISHED_JOBS
    )
    return tuple(islice(_removable(observation), min(over, DELETES_PER_SECOND))) if over > 0 else ()


def _removable(observation: Observation) -> Iterator[str]:
    """Finished and recorded Jobs that need not be kept, the oldest first."""
    kept = 0
    for name, job in observation.jobs.items():
        if not job.finished or (observation.progress and name in observation.progress.open_batches):
            continue
        if job.true_condition("Failed") and kept < MAX_KEPT_FAILED_JOBS:
            kept += 1
        elif not job.metadata.deletion_timestamp:
            yield name
