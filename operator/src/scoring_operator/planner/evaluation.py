"""The evaluation of a finished or missing Job: outcomes to record and batches to retry.

The outcomes of the outcome message are recorded. For devices that the message does not report, and for those that it
reports as transient, the first matching rule decides:
1. The Job or its pods are deleted, or the Job completed without a message: one more round, then JobLost. A Job that
   the operator replaced does not count.
2. The reason is transient (storage, identity, image pull): up to three attempts. An attempt is not counted while the
   circuit breaker is open, because the Job is only a probe.
3. The configuration is invalid: all devices fail, because a further round would fail, too.
4. The Job has one device: the device fails with the reason of its pod.
5. Otherwise one of the devices ended the pod: each half is retried, until the failing device has a Job of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from scoring_operator.api.intervals import EMPTY, ArgIndex, ArgIndexes, Position, Positions, Span
from scoring_operator.contract.outcome_message import MAX_SUM, OutcomeMessage, Results
from scoring_operator.planner.job_results import TRANSIENT_REASONS, JobResult
from scoring_operator.planner.progress import Batch, Progress
from scoring_operator.planner.progress_document import MAX_SAMPLES

MAX_ATTEMPTS = 3  # rounds that fail with a transient reason before the devices fail
MAX_LOST_JOBS = 1  # rounds without a result that are retried
MAX_TOP_ANOMALIES = 20  # of a run, as in the schema of the CRD


@dataclass(frozen=True, slots=True)
class JobEvaluation:
    """The changes that one Job makes to progress.

    Attributes:
        outcomes: The positions by outcome.
        reasons: The failed positions by reason.
        retries: The batches of the next round.
        results: The sums over the devices that were scored.
        top_anomalies: The most anomalous devices: position, rows, anomalies.
        failure_samples: Some failed devices: position, reason, message.
        transient_reason: The transient reason with which the Job failed; empty if it did not.
        pod_seconds: The running time of the Job's pods.
    """

    outcomes: Mapping[str, Positions] = field(default_factory=dict)
    reasons: Mapping[str, Positions] = field(default_factory=dict)
    retries: tuple[Batch, ...] = ()
    results: Results = field(default_factory=Results)
    top_anomalies: tuple[tuple[Position, int, int], ...] = ()
    failure_samples: tuple[tuple[Position, str, str], ...] = ()
    transient_reason: str = ""
    pod_seconds: int = 0


def evaluate(batch: Batch, result: JobResult, *, completed: bool, circuit_open: bool) -> JobEvaluation:
    """Evaluate a Job by its result.

    Args:
        batch: The batch of the Job.
        result: The result of the Job.
        completed: Whether the Job is Complete; otherwise the Job failed or is missing.
        circuit_open: Whether the circuit breaker is open, so that a transient failure is not counted as an attempt.
    """
    message = result.message or OutcomeMessage(outcomes={})
    mapper = _PositionMapper(batch.positions)
    outcomes = {outcome: mapper.to_positions(indexes) for outcome, indexes in message.outcomes.items()}
    failures = [(reason, mapper.to_positions(indexes)) for reason, indexes in message.reasons.items()]
    samples = [(mapper.to_position(index), reason, text) for index, reason, text in message.failure_samples]
    next_batches: list[Batch] = []

    def fail_or_retry(reason: str, positions: Positions, detail: str) -> None:
        retries = _retry_batches(batch, positions, reason, circuit_open=circuit_open)
        next_batches.extend(retries)
        if not retries:
            failures.append((reason, positions))
            samples.append((positions.first, reason, detail))

    for reason, indexes in message.transient.items():
        fail_or_retry(reason, mapper.to_positions(indexes), "")
    unreported = batch.positions - mapper.reported(message)
    if unreported:
        lost = result.missing or completed or not result.failure_reason
        fail_or_retry("JobLost" if lost else result.failure_reason, unreported, result.failure_detail)
    reasons: dict[str, Positions] = {}
    for reason, failed in failures:
        reasons[reason] = reasons.get(reason, EMPTY) | failed
        outcomes["failed"] = outcomes.get("failed", EMPTY) | failed
    return JobEvaluation(
        outcomes=outcomes,
        reasons=reasons,
        retries=tuple(next_batches),
        results=message.results,
        top_anomalies=tuple(
            (mapper.to_position(index), rows, anomalies) for index, rows, anomalies in message.top_anomalies
        ),
        failure_samples=tuple(samples),
        transient_reason=_transient_reason(message, result.failure_reason if unreported else ""),
        pod_seconds=result.pod_seconds,
    )


def _transient_reason(message: OutcomeMessage, failure_reason: str) -> str:
    """Return the transient reason of a Job, or ''. A message may name a reason that is not one of them."""
    if message.transient:
        return next((reason for reason in message.transient if reason in TRANSIENT_REASONS), "StorageUnavailable")
    return failure_reason if failure_reason in TRANSIENT_REASONS else ""


def _retry_batches(batch: Batch, remaining: Positions, reason: str, *, circuit_open: bool) -> tuple[Batch, ...]:
    """Return the batches that retry these positions; an empty tuple if the devices fail."""
    following = replace(batch, positions=remaining, round=batch.round + 1, created=False, replaced=False)
    if reason == "JobLost" and batch.replaced:
        return (following,)
    if reason == "JobLost":
        return (replace(following, lost_jobs=batch.lost_jobs + 1),) if batch.lost_jobs < MAX_LOST_JOBS else ()
    if reason in TRANSIENT_REASONS:
        attempts = batch.attempts + (0 if circuit_open else 1)
        return (replace(following, attempts=attempts),) if attempts < MAX_ATTEMPTS else ()
    if reason == "ConfigurationInvalid" or len(batch.positions) == 1:
        return ()
    if len(remaining) == 1:
        return (following,)
    head, tail = remaining.split((len(remaining) + 1) // 2)
    return replace(following, positions=head), replace(following, positions=tail)


class _PositionMapper:
    """The mapping from the argument indexes of one Job to positions."""

    def __init__(self, positions: Positions) -> None:
        self._positions = tuple(positions)

    def to_position(self, index: ArgIndex) -> Position:
        return self._positions[index]

    def to_positions(self, indexes: ArgIndexes) -> Positions:
        return Positions.from_positions(map(self.to_position, indexes))

    def reported(self, message: OutcomeMessage) -> Positions:
        positions: Positions = EMPTY
        for indexes in (*message.outcomes.values(), *message.transient.values()):
            positions = positions | self.to_positions(indexes)
        return positions


def apply(progress: Progress, evaluations: Mapping[str, JobEvaluation], now: datetime) -> Progress:
    """Return the progress with the evaluations recorded and their batches closed.

    Args:
        progress: The progress.
        evaluations: The evaluations by the name of the Job.
        now: The API server's time.
    """
    if not evaluations:
        return progress
    values = list(evaluations.values())
    consecutive_failures, transient_reason = progress.consecutive_failures, progress.transient_reason
    results = progress.results
    for value in values:
        consecutive_failures = consecutive_failures + 1 if value.transient_reason else 0
        transient_reason = value.transient_reason or transient_reason
        results = results + value.results
    top = sorted(
        (*progress.top_anomalies, *(entry for value in values for entry in value.top_anomalies)),
        key=lambda entry: (-entry[2], entry[0]),
    )
    samples = (*progress.failure_samples, *(entry for value in values for entry in value.failure_samples))
    has_outcomes = any(value.outcomes for value in values)
    return replace(
        progress,
        outcomes=_merge_sets(progress.outcomes, (value.outcomes for value in values)),
        reasons=_merge_sets(progress.reasons, (value.reasons for value in values)),
        open_batches={name: batch for name, batch in progress.open_batches.items() if name not in evaluations},
        queued_batches=(*progress.queued_batches, *(batch for value in values for batch in value.retries)),
        results=results,
        top_anomalies=tuple(top[:MAX_TOP_ANOMALIES]),
        failure_samples=samples[:MAX_SAMPLES],
        clock=msgspec.structs.replace(progress.clock, progressed=now) if has_outcomes else progress.clock,
        consecutive_failures=consecutive_failures,
        transient_reason=transient_reason,
        pod_seconds=min(progress.pod_seconds + sum(value.pod_seconds for value in values), MAX_SUM),
    )


def _merge_sets(sets: Mapping[str, Positions], additions: Iterable[Mapping[str, Positions]]) -> dict[str, Positions]:
    """Return the union per key."""
    spans_by_key: dict[str, list[Span]] = {}
    for addition in additions:
        for key, positions in addition.items():
            spans_by_key.setdefault(key, []).extend(positions.spans)
    merged = dict(sets)
    for key, spans in spans_by_key.items():  # one union per key, whatever the number of Jobs
        merged[key] = merged.get(key, EMPTY) | Positions.from_spans(spans)
    return merged
