"""The progress of a run: sets of positions by outcome and reason, batches, counters and the clock.

Progress, not a Job, is the record of what is done. The status derives from it. A Job may be deleted once its result is
recorded, and a device with a recorded outcome is not scored again. The first progress also fixes the run: it names the
ConfigMaps of the device list, and holds the fleet's storage layout for comparison.

Each position is in exactly one place: an outcome, an open batch, a queued batch, or `waiting`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec

from scoring_operator.api.intervals import EMPTY, Position, Positions
from scoring_operator.contract.outcome_message import OUTCOMES as REPORTED_OUTCOMES
from scoring_operator.contract.outcome_message import Results
from scoring_operator.planner.progress_document import MAX_SAMPLES, Count, Reason, SampleText

Time = Annotated[datetime, msgspec.Meta(tz=True)]

OUTCOMES = (*REPORTED_OUTCOMES, "notRun", "quarantined")
CIRCUIT_BREAKER_THRESHOLD = 20  # consecutive Jobs that failed with a transient reason
MAX_DEVICES_PER_JOB = 500  # the maximum of `devicesPerJob` in the schema of the CRD
Seconds = Annotated[float, msgspec.Meta(ge=-1e10, le=1e10)]
Samples = Annotated[tuple[SampleText, ...], msgspec.Meta(max_length=MAX_SAMPLES)]


@dataclass(frozen=True, slots=True)
class Batch:
    """The positions that one Job covers in one round.

    Attributes:
        positions: The positions.
        round: The number of earlier Jobs that covered these positions.
        attempts: The number of earlier rounds that failed with a transient reason.
        lost_jobs: The number of earlier rounds whose Job ended without a result.
        created: Whether the Job is known to have existed; a reserved batch may not have one yet.
        replaced: Whether the operator deletes the Job before a pod of it starts, so that its loss does not count.
    """

    positions: Positions
    round: int = 0
    attempts: int = 0
    lost_jobs: int = 0
    created: bool = False
    replaced: bool = False


class RunSnapshot(msgspec.Struct, frozen=True, rename="camel"):
    """The facts that are fixed when the run begins.

    Attributes:
        fleet: The fleet's storage layout at that time; it is compared and never used (see admission).
        device_list_names: The names of the ConfigMaps that hold the device list, in order.
        devices_per_job: The number of devices in a batch, with Auto resolved.
        without_model: The number of devices with readings but without a model, and some of their ids.
        invalid_names: The number of blob names that do not denote a device, and some of them.
        rebuilt: Whether the first progress was lost, so that each batch may have been scored already.
        history_problem: Why the fleet's history could not decide about quarantine; empty without a problem.
        marks_suspension: Whether each Job that the operator suspends is marked. Earlier operators did not mark them.
    """

    fleet: dict[str, Any]
    device_list_names: tuple[str, ...] = msgspec.field(default=(), name="lists")
    devices_per_job: Annotated[int, msgspec.Meta(ge=1, le=MAX_DEVICES_PER_JOB)] = 1
    without_model: tuple[Count, Samples] = (0, ())
    invalid_names: tuple[Count, Samples] = msgspec.field(default=(0, ()), name="unreadable")
    rebuilt: bool = False
    history_problem: str = ""
    marks_suspension: bool = False


class RunClock(msgspec.Struct, frozen=True, rename="camel"):
    """A stopwatch that stops while the run is queued or suspended. All times are those of the API server.

    Attributes:
        started: The time at which the run first ran.
        accumulated: The seconds up to the last stop.
        since: The time of the last start; None while the clock is stopped.
        first_pod: The start of the first pod, as a time and as seconds on this clock.
        progressed: The time of the last outcome.
    """

    started: Time | None = None
    accumulated: Annotated[float, msgspec.Meta(ge=0, le=1e10)] = msgspec.field(default=0.0, name="ran")
    since: Time | None = None
    first_pod: tuple[Time, Seconds] | None = None
    progressed: Time | None = None

    def elapsed(self, now: datetime) -> float:
        """Return the seconds on this clock."""
        return self.accumulated + (max((now - self.since).total_seconds(), 0.0) if self.since else 0.0)

    def resumed(self, now: datetime) -> "RunClock":
        """Return the clock running."""
        if self.since is not None:
            return self
        return msgspec.structs.replace(self, since=now, started=self.started or now)

    def shifted(self, seconds: float) -> "RunClock":
        """Return the clock after the API server's clock was set forward (or back) by some seconds."""
        return msgspec.structs.replace(self, since=self.since + timedelta(seconds=seconds)) if self.since else self

    def stopped(self, now: datetime) -> "RunClock":
        """Return the clock stopped."""
        return self if self.since is None else msgspec.structs.replace(self, accumulated=self.elapsed(now), since=None)


class Completion(msgspec.Struct, frozen=True):
    """The end of a run, which never changes once it is saved."""

    condition: Annotated[str, msgspec.Meta(pattern=r"^(Complete|Failed)\Z")]
    reason: Reason
    message: str
    time: Time


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        snapshot: The facts that are fixed when the run begins.
        total: The number of devices.
        waiting: The positions that were never in a batch.
        outcomes: The positions by outcome.
        reasons: The failed positions by reason.
        queued_batches: The batches of later rounds that are not reserved yet.
        open_batches: The reserved batches without a recorded result, by the name of their Job.
        results: The sums over the devices that were scored.
        top_anomalies: The most anomalous devices: position, rows, anomalies.
        failure_samples: Some failed devices: position, reason, message.
        clock: The clock of the run.
        pod_seconds: The running time of the pods of evaluated Jobs.
        consecutive_failures: The number of consecutive Jobs that failed with a transient reason.
        transient_reason: The reason of the last one of them; empty in the progress of an earlier operator.
        slow_warning_sent: Whether an event has reported that the run exceeds its window.
        completion: The end of the run; None while the run is active.
        canary: The positions of the canary; empty if there is none, or it has passed.
    """

    snapshot: RunSnapshot
    total: int
    waiting: Positions
    outcomes: Mapping[str, Positions] = field(default_factory=dict)
    reasons: Mapping[str, Positions] = field(default_factory=dict)
    queued_batches: tuple[Batch, ...] = ()
    open_batches: Mapping[str, Batch] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    top_anomalies: tuple[tuple[Position, int, int], ...] = ()
    failure_samples: tuple[tuple[Position, str, str], ...] = ()
    clock: RunClock = field(default_factory=RunClock)
    pod_seconds: int = 0
    consecutive_failures: int = 0
    transient_reason: str = ""
    slow_warning_sent: bool = False
    completion: Completion | None = None
    canary: Positions = EMPTY

    def count(self, outcome: str) -> int:
        """Return the number of devices with this outcome."""
        return len(self.outcomes.get(outcome, EMPTY))

    @property
    def circuit_open(self) -> bool:
        """Whether the circuit breaker limits the run to one active Job."""
        return self.consecutive_failures >= CIRCUIT_BREAKER_THRESHOLD

    @property
    def recorded(self) -> int:
        """The number of devices with an outcome."""
        return sum(map(len, self.outcomes.values()))


def new_progress(
    snapshot: RunSnapshot, total: int, already_scored: Positions, quarantined: Positions = EMPTY
) -> Progress:
    """Create the progress of a run that begins.

    Args:
        snapshot: The facts that are fixed now.
        total: The number of devices.
        already_scored: The positions with complete predictions, which get no Job.
        quarantined: The positions of other devices that get no Job.
    """
    outcomes = {"alreadyScored": already_scored, "quarantined": quarantined}
    waiting = Positions.range_to(total) - already_scored - quarantined
    return Progress(snapshot, total, waiting, {outcome: found for outcome, found in outcomes.items() if found})


def finish(progress: Progress, completion: Completion) -> Progress:
    """Return the progress of a run that ends now: devices without an outcome get the outcome notRun."""
    done: Positions = EMPTY
    for positions in progress.outcomes.values():
        done = done | positions
    left = Positions.range_to(progress.total) - done
    outcomes = {**progress.outcomes, "notRun": left} if left else progress.outcomes
    clock = progress.clock.stopped(completion.time)
    return replace(
        progress,
        outcomes=outcomes,
        waiting=EMPTY,
        queued_batches=(),
        open_batches={},
        clock=clock,
        completion=completion,
    )
