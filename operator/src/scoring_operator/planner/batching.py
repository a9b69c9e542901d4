"""The reservation of batches, and the selection of the Jobs that may be created now.

A Job is created only for a batch that was reserved before in saved progress. So progress names every Job that may
exist. Batches are reserved ahead, and most passes create Jobs without saving first. Retries are reserved before new
batches. While a run has a canary, only its devices get Jobs. If the progress of a run was rebuilt, every batch may have
been run before. Such a batch is reserved, and inspected in a later pass before its Job is created.

A Job that the API server has rejected is created again after all others, and the one first that was tried first. So a
policy that rejects the Jobs of some devices does not stop the other devices.
"""

from collections.abc import Sequence
from dataclasses import replace

from scoring_operator.api.intervals import Positions
from scoring_operator.api.names import job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner import canary
from scoring_operator.planner.progress import Batch, Progress
from scoring_operator.planner.types import Observation

RESERVE_AHEAD = 100  # batches beyond those whose Jobs are created now
MAX_REJECTED = 1000  # rejected Jobs whose batches stay reserved while others are tried


def next_jobs(
    run: ScoringRun, progress: Progress, observation: Observation, free_slots: int
) -> tuple[Progress, list[str], bool]:
    """Select the Jobs that may be created now, and reserve batches for them.

    Args:
        run: The run.
        progress: The progress of the run, with the results of this pass.
        observation: The observed state of the run.
        free_slots: The number of Jobs to create.

    Returns:
        The progress with the new reservations, the names of the Jobs, and whether there are new reservations.
    """
    state, jobs = observation.state, observation.jobs

    def unverified(name: str, batch: Batch) -> bool:
        """Return True if it is unknown whether the Job was ever created."""
        inspected = name in observation.results or jobs.exists(name)
        return not batch.created and name in state.unverified and not inspected

    def can_create(name: str, batch: Batch) -> bool:
        """Return True if the Job does not exist, and is known never to have existed."""
        return not (batch.created or name in jobs.seen or jobs.exists(name) or unverified(name, batch))

    possible = dict.fromkeys(name for name, batch in progress.open_batches.items() if can_create(name, batch))
    again = [name for name in observation.rejected if name in possible]
    for name in again:
        del possible[name]
    ready = list(possible)[:free_slots]
    missing = free_slots - len(ready)
    rebuilt, enough = progress.snapshot.rebuilt, missing <= 0 or len(again) >= MAX_REJECTED
    if enough or (rebuilt and any(unverified(name, batch) for name, batch in progress.open_batches.items())):
        return progress, [*ready, *again][:free_slots], False
    progress, new = _reserve(run, progress, state.devices, missing)
    names = ready if rebuilt else [*ready, *new[:missing]]
    return progress, [*names, *again][:free_slots], bool(new)


def _reserve(run: ScoringRun, progress: Progress, devices: Sequence[str], count: int) -> tuple[Progress, list[str]]:
    """Reserve `count` more batches and some ahead, as far as there are any; return their names too."""
    ahead = 0 if progress.circuit_open else min(run.spec.parallelism, RESERVE_AHEAD)
    retries = progress.queued_batches[: count + ahead]
    size = progress.snapshot.devices_per_job
    wanted = (count + ahead - len(retries)) * size
    taken, waiting = progress.waiting.split(min(wanted, canary.startable(progress)))
    batches = [*retries, *(Batch(positions) for positions in taken.chunks(size))]
    if not batches:
        return progress, []
    reserved = {_job_name(run, batch.positions, batch.round, devices): batch for batch in batches}
    reserving = replace(
        progress,
        open_batches={**progress.open_batches, **reserved},
        queued_batches=progress.queued_batches[len(retries) :],
        waiting=waiting,
    )
    return reserving, list(reserved)


def _job_name(run: ScoringRun, positions: Positions, round_: int, devices: Sequence[str]) -> str:
    first, last = positions.first, positions.last
    device = devices[first] if len(positions) == 1 and first < len(devices) else ""
    return job_name(run.name, run.uid, first, last, round_, device)
