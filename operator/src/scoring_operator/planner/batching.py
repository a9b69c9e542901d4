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
from scoring_operator.planner.types import Observed

MARK_AHEAD = 100  # batches that may be marked beyond those created now


def creatable(run: ScoringRun, progress: Progress, seen: Observed, room: int) -> tuple[Progress, list[str], bool]:
    """The progress with the marks that are needed, the Jobs that may be created now, and whether marks are new."""
    ready = [name for name, batch in progress.open.items() if _may_create(name, batch, seen)][:room]
    again = progress.frozen.rebuilt
    marks = None
    if room > len(ready) and not (again and any(_unsure(name, batch, seen) for name, batch in progress.open.items())):
        marks = _mark(run, progress, room - len(ready))
    if marks is None:
        return progress, ready, False
    progress, new = marks
    return progress, ready if again else [*ready, *new[: room - len(ready)]], True


def _may_create(name: str, batch: Batch, seen: Observed) -> bool:
    """Whether the batch is marked, its Job is not there, and nothing says that it ever was."""
    return not (batch.created or name in seen.known or seen.has_job(name) or _unsure(name, batch, seen))


def _unsure(name: str, batch: Batch, seen: Observed) -> bool:
    """Whether nobody knows yet if the batch's Job was there once."""
    return not batch.created and name in seen.doubtful and name not in seen.words and not seen.has_job(name)


def _mark(run: ScoringRun, progress: Progress, wanted: int) -> tuple[Progress, list[str]] | None:
    """Mark that many more batches, and some ahead; None where nothing is left to mark."""
    ahead = 0 if progress.probing else min(run.spec.parallelism, MARK_AHEAD)
    again = progress.queue[: wanted + ahead]
    size = progress.frozen.devices_per_job
    taken, waiting = progress.waiting.split((wanted + ahead - len(again)) * size)
    batches = [*again, *(Batch(positions) for positions in taken.chunks(size))]
    if not batches:
        return None
    marked = {_name(run, batch.positions, batch.round): batch for batch in batches}
    queue = progress.queue[len(again) :]
    return replace(progress, open={**progress.open, **marked}, queue=queue, waiting=waiting), list(marked)


def _name(run: ScoringRun, positions: Intervals, round_: int) -> str:
    return job_name(run.name, run.uid, positions.first, positions.last, round_)
