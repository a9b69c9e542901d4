"""When Jobs are asked what they say, and what is decided without them meanwhile.

A Job that failed or vanished is asked in the pass that finds it. One that completed has made room already, and only its
outcomes are wanted: such Jobs are asked many at a time, now and then, while passes go on to create others.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from scoring_operator.api.fleets import Fleet
from scoring_operator.controller.job_inspector import STORAGE_BACKOFF_SECONDS, JobInspector
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.plan import needs_inspection
from scoring_operator.planner.types import Observation

COLLECT_INTERVAL_SECONDS = (
    2.0  # seconds between questions to Jobs that can wait; progress is not saved more often either
)


@dataclass(frozen=True, slots=True)
class CollectedResults:
    """What was heard in a pass.

    Attributes:
        words: what Jobs said, by name.
        there: missing Jobs that are there after all, though the mirror lags.
        again: seconds until Jobs are asked that have said nothing yet; None where there are none.
        behind: whether those have completed, so that the run does not end without them.
    """

    words: Mapping[str, JobResult] = field(default_factory=dict)
    there: Collection[str] = ()
    again: float | None = None
    behind: bool = False


class ResultCollector:
    """Listens to the Jobs of one run."""

    def __init__(self, look: JobInspector) -> None:
        self._look = look
        self._asked: asyncio.Task[tuple[dict[str, JobResult], list[str]]] | None = None
        self._asked_at = 0.0

    async def listen(self, seen: Observation, fleet: Fleet) -> CollectedResults:
        """Ask the Jobs that are due, and answer what is known by now.

        Raises:
            ApiError: the API server did not answer, now or since the last pass.
        """
        names = list(needs_inspection(seen))
        if not names:
            return CollectedResults()
        wait = self._asked_at + COLLECT_INTERVAL_SECONDS - time.monotonic() if _can_wait(seen, names) else None
        if self._asked is None and (wait is None or wait <= 0):
            self._asked_at = time.monotonic()
            self._asked = asyncio.create_task(self._look.words(seen, names, fleet))
        heard = CollectedResults()
        if self._asked and (wait is None or self._asked.done()):
            asked, self._asked = self._asked, None
            heard = CollectedResults(*await asked)
        if heard.words.keys() | set(heard.there) >= set(names):
            return heard
        if wait is None:
            return replace(heard, again=0.0 if heard.words else STORAGE_BACKOFF_SECONDS)
        return replace(heard, again=0.0 if self._asked else max(wait, 0.0), behind=True)

    def hurry(self) -> None:
        """Let the Jobs that can wait be asked in the next pass."""
        self._asked_at = 0.0

    def close(self) -> None:
        """Ask no more."""
        if self._asked and not self._asked.cancel() and not self._asked.cancelled():
            self._asked.exception()  # nobody is left to hear of it


def _can_wait(seen: Observation, names: list[str]) -> bool:
    """Whether nothing is decided by what these Jobs say: they completed, and the run is not over with them."""
    if seen.progress is None:
        return False
    completed = all(name in seen.jobs and not seen.occupied(name) for name in names)
    return completed and any(map(seen.occupied, seen.progress.open_batches))
