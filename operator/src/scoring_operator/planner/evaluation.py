"""What a look at a Job means for its devices: outcomes to record, batches to run again. Pure.

What the Job's word says is taken; for the devices it does not speak of, in this order:
1. The Job is gone, its pods are, or it completed without a word: one more round with a new Job, then JobLost.
2. It died of something passing (storage, identity, image pull): again, a bounded number of times; not counted while
   the run is only probing whether the trouble is over.
3. It died of wrong configuration: all of them failed, for no other round would differ.
4. It covered one device: that one failed, for the reason of its pod's death.
5. Otherwise one of them killed it: each half alone, round by round, until the culprit stands alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from scoring_operator.api.intervals import EMPTY, Intervals
from scoring_operator.contract.outcome_message import OutcomeMessage, Results
from scoring_operator.planner.job_results import TRANSIENT_REASONS, JobResult
from scoring_operator.planner.progress import Batch, Progress

MAX_ATTEMPTS = 3  # rounds lost to something passing before it counts as failed
MAX_LOST_JOBS = 1  # rounds without any word before JobLost
MAX_TOP_ANOMALIES = 20
MAX_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class JobEvaluation:
    """What one Job adds to progress; all numbers are positions in the device list."""

    outcomes: Mapping[str, Intervals] = field(default_factory=dict)
    reasons: Mapping[str, Intervals] = field(default_factory=dict)
    retries: tuple[Batch, ...] = ()
    results: Results = field(default_factory=Results)
    top_anomalies: tuple[tuple[int, int, int], ...] = ()
    failure_samples: tuple[tuple[int, str, str], ...] = ()
    transient: bool = False
    pod_seconds: int = 0


def evaluate(batch: Batch, result: JobResult, *, completed: bool, circuit_open: bool) -> JobEvaluation:
    """Judge a Job by its word.

    Args:
        batch: what the Job covers.
        word: what was heard on looking at it.
        completed: whether the Job is Complete (otherwise it failed or is absent).
        probing: whether the run only probes, so that passing trouble costs no try.
    """
    positions = tuple(batch.positions)
    parsed = result.message or OutcomeMessage(outcomes={})
    mapper = _PositionMapper(positions)
    outcomes = {outcome: mapper.to_positions(indexes) for outcome, indexes in parsed.outcomes.items()}
    failures = [(reason, mapper.to_positions(indexes)) for reason, indexes in parsed.reasons.items()]
    samples = [(positions[index], reason, message) for index, reason, message in parsed.failure_samples]
    next_batches: list[Batch] = []

    def fail_or_retry(reason: str, positions: Intervals, detail: str) -> None:
        retries = _retry_batches(batch, positions, reason, circuit_open=circuit_open)
        next_batches.extend(retries)
        if not retries:
            failures.append((reason, positions))
            samples.append((positions.first, reason, detail))

    for reason, indexes in parsed.transient.items():
        fail_or_retry(reason, mapper.to_positions(indexes), "")
    unreported = batch.positions - mapper.reported(parsed)
    if unreported:
        lost = result.missing or completed or not result.failure_reason
        fail_or_retry("JobLost" if lost else result.failure_reason, unreported, result.failure_detail)
    reasons: dict[str, Intervals] = {}
    for reason, left in failures:
        reasons[reason] = reasons.get(reason, EMPTY) | left
        outcomes["failed"] = outcomes.get("failed", EMPTY) | left
    return JobEvaluation(
        outcomes=outcomes,
        reasons=reasons,
        retries=tuple(next_batches),
        results=parsed.results,
        top_anomalies=tuple((positions[index], rows, anomalies) for index, rows, anomalies in parsed.top_anomalies),
        failure_samples=tuple(samples),
        transient=bool(parsed.transient) or (bool(unreported) and result.failure_reason in TRANSIENT_REASONS),
        pod_seconds=result.pod_seconds,
    )


def _retry_batches(batch: Batch, remaining: Intervals, reason: str, *, circuit_open: bool) -> tuple[Batch, ...]:
    """The batches that run these positions again; none where another round would not help."""
    following = replace(batch, positions=remaining, round=batch.round + 1, created=False)
    if reason == "JobLost":
        return (replace(following, lost_jobs=batch.lost_jobs + 1),) if batch.lost_jobs < MAX_LOST_JOBS else ()
    if reason in TRANSIENT_REASONS:
        tries = batch.attempts + (0 if circuit_open else 1)
        return (replace(following, attempts=tries),) if tries < MAX_ATTEMPTS else ()
    if reason == "ConfigurationInvalid" or len(batch.positions) == 1:
        return ()
    if len(remaining) == 1:
        return (following,)
    head, tail = remaining.split((len(remaining) + 1) // 2)
    return replace(following, positions=head), replace(following, positions=tail)


class _PositionMapper:
    """Turns indexes into a Job's argument list into positions."""

    def __init__(self, positions: tuple[int, ...]) -> None:
        self._positions = positions

    def to_positions(self, indexes: Intervals) -> Intervals:
        return Intervals.from_positions(self._positions[index] for index in indexes)

    def reported(self, message: OutcomeMessage) -> Intervals:
        reported = EMPTY
        for indexes in (*message.outcomes.values(), *message.transient.values()):
            reported = reported | self.to_positions(indexes)
        return reported


def apply(progress: Progress, evaluations: Mapping[str, JobEvaluation], now: datetime) -> Progress:
    """Progress with these verdicts, by Job name; each closes its batch."""
    if not evaluations:
        return progress
    values = list(evaluations.values())
    outcomes = _merge_sets(progress.outcomes, (verdict.outcomes for verdict in values))
    streak = progress.consecutive_failures
    for verdict in values:
        streak = streak + 1 if verdict.transient else 0
    top = sorted(
        (*progress.top_anomalies, *(entry for v in values for entry in v.top_anomalies)),
        key=lambda entry: (-entry[2], entry[0]),
    )
    results = progress.results
    for verdict in values:
        results = results + verdict.results
    has_outcomes = any(verdict.outcomes for verdict in values)
    return replace(
        progress,
        outcomes=outcomes,
        reasons=_merge_sets(progress.reasons, (verdict.reasons for verdict in values)),
        open_batches={name: batch for name, batch in progress.open_batches.items() if name not in evaluations},
        queued_batches=(*progress.queued_batches, *(batch for verdict in values for batch in verdict.retries)),
        results=results,
        top_anomalies=tuple(top[:MAX_TOP_ANOMALIES]),
        failure_samples=(*progress.failure_samples, *(entry for v in values for entry in v.failure_samples))[
            :MAX_SAMPLES
        ],
        clock=msgspec.structs.replace(progress.clock, progressed=now) if has_outcomes else progress.clock,
        consecutive_failures=streak,
        pod_seconds=progress.pod_seconds + sum(verdict.pod_seconds for verdict in values),
    )


def _merge_sets(sets: Mapping[str, Intervals], additions: Iterable[Mapping[str, Intervals]]) -> dict[str, Intervals]:
    """The sets with the positions of all the others, joined once per key."""
    gathered: dict[str, list[tuple[int, int]]] = {}
    for one in additions:
        for key, positions in one.items():
            gathered.setdefault(key, []).extend(positions.spans)
    joined = dict(sets)
    for key, spans in gathered.items():
        joined[key] = joined.get(key, EMPTY) | Intervals.from_spans(spans)
    return joined
