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

from scoring_operator.api.conditions import condition
from scoring_operator.api.names import report_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import JobView
from scoring_operator.contract.blob_paths import window_text
from scoring_operator.contract.command import REPORT_SECONDS
from scoring_operator.planner.job_results import Word
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import Observed, Plan, Reported

KEEP_FAILED = 50  # failed Jobs that stay with the run, with their pods
PILE = 10_000  # finished Jobs that may pile up while the run is active: 300 MiB of etcd
DELETE_PACE = 10  # Jobs deleted per second
GRACE = timedelta(seconds=60)  # before the Jobs of an ended run go, for people who look at it
TRY_AGAIN = 10.0  # seconds until a report's Job that was refused is tried again
PENDING, RUNNING = "ReportPending", "ReportRunning"
NOT_YET = "its Job is made when the Jobs of the run have ended"


def to_report(progress: Progress | None) -> Reported:
    """What a run that ends now says of its report."""
    if progress is None:
        return Reported(False, "NothingToReport", "the run ended before its devices were listed")
    return Reported(None, PENDING, NOT_YET)


def awaits_report(run: ScoringRun) -> bool:
    """Whether a run has ended and the fate of its report is open."""
    told = condition(run.status, "Reported")
    return run.ended and told is not None and told["status"] == "Unknown"


def report_unheard(run: ScoringRun, seen: Observed) -> bool:
    """Whether the report's Job has to be looked at: it failed, or was seen and is gone."""
    name = report_name(run)
    if job := seen.jobs.get(name):
        return bool(job.true_condition("Failed"))
    return _was_seen(run) and name not in seen.assumed


def clean_up(run: ScoringRun, seen: Observed, now: datetime) -> Plan:
    """The plan for a run that has ended."""
    phase = str(run.status.get("phase", ""))
    completed = datetime.fromisoformat(run.status.get("completionTime") or now.isoformat())
    if awaits_report(run):
        return _report(run, seen, phase, late=now >= completed + timedelta(seconds=REPORT_SECONDS))
    expires = completed + timedelta(seconds=run.spec.ttl_seconds_after_finished)
    if now >= expires or seen.newer >= run.spec.history_limit:
        return Plan(phase, seen.progress, delete_run=True)
    if running := _running(seen):
        return Plan(phase, seen.progress, delete=running, wake=1.0)
    pile = list(islice(_removable(seen), DELETE_PACE + 1))
    if not pile or now < completed + GRACE:
        due = min(expires, completed + GRACE) if pile else expires
        return Plan(phase, seen.progress, wake=(due - now).total_seconds())
    return Plan(phase, seen.progress, delete=tuple(pile[:DELETE_PACE]), wake=1.0)


def _report(run: ScoringRun, seen: Observed, phase: str, *, late: bool) -> Plan:
    """Steps 1 and 2."""
    fate = _fate(run, seen, late=late)
    report = report_name(run)
    running = tuple(name for name in _running(seen) if name != report)
    if fate is None and (running or set(seen.assumed) - {report}):
        return Plan(phase, seen.progress, delete=running, wake=1.0)
    if fate is None:
        pending = Reported(None, PENDING, seen.trouble.message if seen.trouble else NOT_YET)
        return Plan(phase, seen.progress, make_report=True, reported=pending, wake=TRY_AGAIN)
    return Plan(phase, seen.progress, delete=running, reported=fate)


def _fate(run: ScoringRun, seen: Observed, *, late: bool) -> Reported | None:
    """What is to be said of the report; None where its Job is still to be made. One not begun in time is given up."""
    name = report_name(run)
    job, word, was_seen = seen.jobs.get(name), seen.words.get(name), _was_seen(run)
    if job and job.finished:
        return _outcome(run, job, word or Word(death="Unknown"))
    if seen.has_job(name) or (was_seen and not word):
        return Reported(None, RUNNING, f"Job {name} makes it")
    if was_seen:
        return Reported(False, "JobLost", f"Job {name} was deleted before it had ended")
    if seen.refusal:
        return Reported(False, seen.refusal.reason, seen.refusal.message)
    if seen.progress is None:
        return Reported(False, "ProgressLost", "the run's progress ConfigMap is gone")
    cause = f": {seen.trouble.message}" if seen.trouble else ""
    return Reported(False, "DeadlineExceeded", f"its Job could not be made in time{cause}") if late else None


def _was_seen(run: ScoringRun) -> bool:
    told = condition(run.status, "Reported")
    return told is not None and told["reason"] == RUNNING


def _outcome(run: ScoringRun, job: JobView, word: Word) -> Reported:
    failed = job.true_condition("Failed")
    if failed is None:
        return Reported(True, "ReportWritten", f"{window_text(run.spec.window)}/report.html is with the predictions")
    if failed.reason == "DeadlineExceeded":  # the Job's own; its pods were deleted
        return Reported(False, failed.reason, failed.message)
    return Reported(False, word.death, word.detail)


def _running(seen: Observed) -> tuple[str, ...]:
    """Jobs that have to be deleted because they still run."""
    running = (name for name, job in seen.jobs.items() if not job.finished and not job.metadata.deletion_timestamp)
    return tuple(islice(running, 10 * DELETE_PACE))


def surplus(seen: Observed) -> tuple[str, ...]:
    """Finished Jobs beyond those that may pile up while the run is active."""
    over = len(seen.jobs) - len(seen.progress.open if seen.progress else ()) - PILE
    return tuple(islice(_removable(seen), min(over, DELETE_PACE))) if over > 0 else ()


def _removable(seen: Observed) -> Iterator[str]:
    """Finished and recorded Jobs that need not be kept, the oldest first."""
    kept = 0
    for name, job in seen.jobs.items():
        if not job.finished or (seen.progress and name in seen.progress.open):
            continue
        if job.true_condition("Failed") and kept < KEEP_FAILED:
            kept += 1
        elif not job.metadata.deletion_timestamp:
            yield name
