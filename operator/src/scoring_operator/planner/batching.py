"""Which Jobs of a run may be created now. Pure.

A Job is created only for a batch that was marked in saved progress before, so that whoever reads progress knows of
every Job that there may be. Marks are made ahead: most passes create without saving first. Batches that run again come
first, then new ones. In a run whose progress was lost and made again every batch may have been run: it is marked, and
looked for in a next pass.
"""

from dataclasses import replace

from scoring_operator.api.intervals import Intervals
from scoring_operator.api.names import job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.progress import Batch, Progress
from scoring_operator.planner.types import Observation

RESERVE_AHEAD = 100  # batches that may be marked beyond those created now


def next_jobs(
    run: ScoringRun, progress: Progress, observation: Observation, free_slots: int
) -> tuple[Progress, list[str], bool]:
    """The progress with the marks that are needed, the Jobs that may be created now, and whether marks are new."""
    ready = [name for name, batch in progress.open_batches.items() if _can_create(name, batch, observation)][
        :free_slots
    ]
    rebuilt = progress.snapshot.rebuilt
    reservation = None
    if free_slots > len(ready) and not (
        rebuilt and any(_unverified(name, batch, observation) for name, batch in progress.open_batches.items())
    ):
        reservation = _reserve(run, progress, free_slots - len(ready))
    if reservation is None:
        return progress, ready, False
    progress, new = reservation
    return progress, ready if rebuilt else [*ready, *new[: free_slots - len(ready)]], True


def _can_create(name: str, batch: Batch, observation: Observation) -> bool:
    """Whether the batch is marked, its Job is not there, and nothing says that it ever was."""
    return not (
        batch.created or name in observation.known or observation.has_job(name) or _unverified(name, batch, observation)
    )


def _unverified(name: str, batch: Batch, observation: Observation) -> bool:
    """Whether nobody knows yet if the batch's Job was there once."""
    return (
        not batch.created
        and name in observation.doubtful
        and name not in observation.words
        and not observation.has_job(name)
    )


def _reserve(run: ScoringRun, progress: Progress, count: int) -> tuple[Progress, list[str]] | None:
    """Mark that many more batches, and some ahead; None where nothing is left to mark."""
    ahead = 0 if progress.circuit_open else min(run.spec.parallelism, RESERVE_AHEAD)
    retries = progress.queued_batches[: count + ahead]
    size = progress.snapshot.devices_per_job
    taken, waiting = progress.waiting.split((count + ahead - len(retries)) * size)
    batches = [*retries, *(Batch(positions) for positions in taken.chunks(size))]
    if not batches:
        return None
    reserved = {_job_name(run, batch.positions, batch.round): batch for batch in batches}
    queue = progress.queued_batches[len(retries) :]
    return replace(
        progress, open_batches={**progress.open_batches, **reserved}, queued_batches=queue, waiting=waiting
    ), list(reserved)


def _job_name(run: ScoringRun, positions: Intervals, round_: int) -> str:
    return job_name(run.name, run.uid, positions.first, positions.last, round_)
