"""The Jobs of a run that are suspended, resumed or replaced, next to another controller that does the same.

A queueing controller, such as Kueue, suspends a Job until there is room for it. The operator therefore marks each Job
that it suspends, and resumes only those. A Job that is suspended without the mark waits for the other controller.

To replace a Job, the operator deletes it, and its batch is reserved again in the next round. That happens in two cases.
No pod of the Job has started, and the fleet's or the operator's settings of pods have changed. Or the run is paused,
and another controller has resumed the Job.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from scoring_operator.api.formatting import printable
from scoring_operator.api.views import JobView
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import Blocker, JobSnapshot, Observation, PlannerLimits

MAX_NAMED_FINALIZERS = 3
MAX_FINALIZERS_LENGTH = 300  # characters
HELD = Blocker(
    "SuspendedByAnotherController",
    "Jobs are suspended by another controller, such as a queue, or have the parallelism 0; the run continues when it "
    "resumes them",
)
HELD_WITHOUT_MARKS = Blocker(
    HELD.reason,
    f"{HELD.message}; annotations of Jobs are missing, so the operator does not know whether it suspended them; let "
    "the policy that removes annotations keep fleetscore.dev/*, and set spec.suspend of the Jobs to false if no other "
    "controller suspends them",
)
HELD_REPORT = Blocker(
    HELD.reason,
    "it is suspended by another controller, such as a queue, or has the parallelism 0; it runs when that controller "
    "resumes it",
)


def suspend_changes(progress: Progress, jobs: JobSnapshot, *, suspended: bool) -> dict[str, bool]:
    """Return the unfinished Jobs whose field `suspend` has to change, with its new value.

    Args:
        progress: The progress of the run.
        jobs: The Jobs of the run.
        suspended: Whether the Jobs are to be suspended.
    """
    if suspended:
        return {name: True for name, job in _unfinished(progress, jobs) if not job.spec.suspend}
    return {
        name: False
        for name, job in _unfinished(progress, jobs)
        if job.spec.suspend and not _suspended_elsewhere(progress, job)
    }


def held_blocker(progress: Progress, jobs: JobSnapshot) -> Blocker | None:
    """Return the blocker of a run if another controller suspends every unfinished Job, and there is one; else None.

    A policy that removes annotations also removes the mark of a Job that the operator suspended. Such a Job is not
    resumed, because a queue may suspend it. It has no digest of its settings either, which names the cause.

    Args:
        progress: The progress of the run.
        jobs: The Jobs of the run.
    """
    first = next(_unfinished(progress, jobs), None)
    if first is None or not all(_held(progress, job) for _, job in _unfinished(progress, jobs)):
        return None
    unmarked = any(job.spec.suspend and not job.metadata.annotations.template for _, job in _unfinished(progress, jobs))
    return HELD_WITHOUT_MARKS if unmarked else HELD


def deletion_blocker(jobs: Iterable[JobView]) -> Blocker | None:
    """Return the blocker of a Job that is being deleted and that finalizers keep; None without such a Job.

    Its batch is retried when the Job is deleted. Its pods may exist until then, so no other Job scores its devices.

    Args:
        jobs: Jobs without a ready pod.
    """
    kept = next((job for job in jobs if job.metadata.deletion_timestamp), None)
    if kept is None:
        return None
    finalizers = printable(", ".join(kept.metadata.finalizers[:MAX_NAMED_FINALIZERS]), MAX_FINALIZERS_LENGTH)
    text = (
        f"Job {kept.name} is being deleted, and finalizers keep it: {finalizers}; their controller has to remove them"
    )
    return Blocker("JobTerminating", text, allows_probe=False, limits_jobs=False)


def resumed_elsewhere(progress: Progress, jobs: JobSnapshot) -> tuple[str, ...]:
    """Return the Jobs of a paused run that the operator suspended and that another controller has resumed.

    Args:
        progress: The progress of the run.
        jobs: The Jobs of the run.
    """
    return tuple(
        name for name, job in _unfinished(progress, jobs) if job.suspended_by_operator and not job.spec.suspend
    )


def outdated_jobs(
    progress: Progress, observation: Observation, now: datetime, limits: PlannerLimits
) -> tuple[str, ...]:
    """Return the Jobs without a started pod that were created with other settings than the current ones.

    A Job without the digest of its settings is kept: a policy may remove the annotation from each new Job, too.

    Args:
        progress: The progress of the run.
        observation: The observed state of the run.
        now: The API server's time.
        limits: The limits of the planner.
    """
    current = observation.template
    return tuple(
        name
        for name, job in _unfinished(progress, observation.jobs)
        if current
        and job.metadata.annotations.template not in ("", current)
        and not (job.pod_started or job.spec.suspend or name in observation.results)
        and _age(job, now) >= limits.replace_delay
    )


def mark_replaced(progress: Progress, names: Iterable[str]) -> Progress:
    """Return the progress in which the loss of these Jobs does not count.

    Args:
        progress: The progress of the run.
        names: The names of the Jobs.
    """
    marked = {name: replace(progress.open_batches[name], created=True, replaced=True) for name in names}
    return replace(progress, open_batches={**progress.open_batches, **marked}) if marked else progress


def _unfinished(progress: Progress, jobs: JobSnapshot) -> Iterator[tuple[str, JobView]]:
    visible: Mapping[str, JobView] = jobs.visible
    for name in progress.open_batches:
        job = visible.get(name)
        if job and not job.finished and not job.metadata.deletion_timestamp:
            yield name, job


def _held(progress: Progress, job: JobView) -> bool:
    """Return True if another controller suspends the Job or keeps it at no pods, as an autoscaler does with a 0."""
    return _suspended_elsewhere(progress, job) or (job.spec.parallelism == 0 and not job.spec.suspend)


def _suspended_elsewhere(progress: Progress, job: JobView) -> bool:
    """Return True if another controller suspends the Job. A run of an earlier operator has no marks."""
    return bool(job.spec.suspend) and progress.snapshot.marks_suspension and not job.suspended_by_operator


def _age(job: JobView, now: datetime) -> float:
    """Return the age of a Job in seconds; 0 if it is not known."""
    try:
        return (now - datetime.fromisoformat(job.metadata.creation_timestamp)).total_seconds()
    except ValueError:
        return 0.0
