"""The causes for which a run waits outside its own Jobs: its window, another run, and slots."""

from datetime import UTC, datetime

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.formatting import format_duration, format_time
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.queueing import ELSEWHERE
from scoring_operator.planner.types import Allocation, Blocker, Observation

SLOTS_WARNING_SECONDS = 60.0  # without a slot
MAX_WINDOW_REQUEUE_SECONDS = 3600.0  # the API server's clock may be set forward meanwhile
LATEST = datetime.max.replace(tzinfo=UTC)


def wait_for_window(run: ScoringRun, fleet: Fleet | None, now: datetime) -> tuple[Blocker, float] | None:
    """Return why a run waits for the end of its window, and the seconds until the next pass; None if it may begin.

    Predictions of a part of a window would look complete.

    Args:
        run: The run.
        fleet: The fleet of the run, with the time by which readings may be late.
        now: The API server's time.
    """
    end = run.spec.window.end
    delay = fleet.readings_delay if fleet else None
    ready = end + min(delay, LATEST - end) if delay else end
    left = (ready - now).total_seconds()
    if left <= 0:
        return None
    reason = f"the window ends at {format_time(end)}"
    if delay:
        reason += f", and readings of fleet {run.spec.fleet} may be late by {format_duration(delay)}"
    message = f"waiting until {format_time(ready)}: {reason}"
    return Blocker("WindowNotOver", message), min(left, MAX_WINDOW_REQUEUE_SECONDS)


def waits_for_run(observation: Observation) -> Blocker:
    """Return the cause of a run that another run blocks.

    Args:
        observation: The observed state of the run.
    """
    blocked_by = observation.allocation.blocked_by
    name = f"a run {ELSEWHERE}" if blocked_by == ELSEWHERE else f"run {blocked_by}"
    return Blocker("Queued", f"waiting for {name} to {'pause' if observation.allocation.blocker_pauses else 'end'}")


def blocked_too_long(observation: Observation) -> Blocker | None:
    """Return the blocker of a run that has waited for another run longer than its fleet allows.

    Args:
        observation: The observed state of the run.
    """
    limit = observation.current_fleet.queue_limit if observation.current_fleet else None
    if limit is None or observation.allocation.blocked_seconds <= limit.total_seconds():
        return None
    message = (
        f"{waits_for_run(observation).message} for more than {format_duration(limit)}; end that run, or cancel this one"
    )
    return Blocker("WaitingForRun", message, permanent=True)


def waits_for_slots(allocation: Allocation) -> Blocker | None:
    """Return the blocker of a run that has had no slot for a minute.

    Args:
        allocation: The share of the run.
    """
    if allocation.starved_seconds < SLOTS_WARNING_SECONDS:
        return None
    message = (
        "active Jobs of other runs use every slot; the run continues when one of them ends (the limits are "
        "operator.maxActiveJobs, operator.maxActiveJobsPerNamespace and maxActiveJobs of the fleet)"
    )
    return Blocker("WaitingForSlots", message, limits_jobs=False)
