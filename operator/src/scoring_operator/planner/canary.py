"""The canary of a run: its first Jobs run alone, and their failures decide whether the other Jobs are created.

The positions of the canary are fixed with the device list, so retries and halves of a Job belong to it too. They leave
progress when the canary has passed. Progress of an earlier operator has none.
"""

from dataclasses import replace

from scoring_operator.api.formatting import plural
from scoring_operator.api.intervals import EMPTY, Positions
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.progress import Progress


def first_positions(run: ScoringRun, waiting: Positions, devices_per_job: int) -> Positions:
    """Return the positions of the canary of a run that begins; none if the run has no canary.

    Args:
        run: The run.
        waiting: The positions without an outcome.
        devices_per_job: The number of devices in a batch.
    """
    return waiting.split(run.spec.canary.jobs * devices_per_job)[0] if run.spec.canary else EMPTY


def unfinished(progress: Progress) -> Positions:
    """Return the positions of the canary that have no outcome."""
    left = progress.canary
    for positions in progress.outcomes.values() if left else ():
        left = left - positions
    return left


def startable(progress: Progress) -> int:
    """Return the number of waiting devices that may get a Job now; the canary has the first ones."""
    return len(progress.canary & progress.waiting if progress.canary else progress.waiting)


def failure(run: ScoringRun, progress: Progress) -> str:
    """Return why a canary that has ended stops the run; empty if the run continues.

    Args:
        run: The run.
        progress: The progress of the run.
    """
    spec, canary = run.spec.canary, progress.canary
    failed = progress.outcomes.get("failed", EMPTY) & canary
    if spec is None or len(failed) * 1000 <= spec.max_failed_tenths * len(canary):
        return ""
    counts = {reason: len(positions & canary) for reason, positions in progress.reasons.items()}
    reason = max(counts, key=lambda one: (counts[one], one), default="")
    jobs = len(list(canary.chunks(progress.snapshot.devices_per_job)))
    return (
        f"{len(failed)} of {len(canary)} devices of the canary ({plural(jobs, 'Job')}) failed, most often as {reason}; "
        f"canary.maxFailedPercent allows {spec.max_failed_tenths / 10:g}%, so no other Job was created; "
        "fix the cause that status.failures names, then create another run of the window"
    )


def passed(progress: Progress) -> Progress:
    """Return the progress without its canary."""
    return replace(progress, canary=EMPTY) if progress.canary else progress


def describe(progress: Progress) -> str:
    """Return how many Jobs of the canary have ended; empty if the run has no canary, or it has ended.

    A Job that is retried or split has ended when all of its devices have an outcome.
    """
    left = unfinished(progress)
    if not left:
        return ""
    batches = [bool(batch & left) for batch in progress.canary.chunks(progress.snapshot.devices_per_job)]
    return f"canary: {batches.count(False)} of {plural(len(batches), 'Job')} ended"
