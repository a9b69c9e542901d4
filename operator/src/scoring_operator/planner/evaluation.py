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
from scoring_operator.contract.outcome_message import Results, Said
from scoring_operator.planner.job_results import PASSING, Word
from scoring_operator.planner.progress import Batch, Progress

MOST_TRIES = 3  # rounds lost to something passing before it counts as failed
MOST_LOSSES = 1  # rounds without any word before JobLost
MOST_TOP = 20
MOST_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one Job adds to progress; all numbers are positions in the device list."""

    outcomes: Mapping[str, Intervals] = field(default_factory=dict)
    reasons: Mapping[str, Intervals] = field(default_factory=dict)
    again: tuple[Batch, ...] = ()
    results: Results = field(default_factory=Results)
    top: tuple[tuple[int, int, int], ...] = ()
    samples: tuple[tuple[int, str, str], ...] = ()
    passing: bool = False
    seconds: int = 0


def judge(batch: Batch, word: Word, *, completed: bool, probing: bool) -> Verdict:
    """Judge a Job by its word.

    Args:
        batch: what the Job covers.
        word: what was heard on looking at it.
        completed: whether the Job is Complete (otherwise it failed or is absent).
        probing: whether the run only probes, so that passing trouble costs no try.
    """
    positions = tuple(batch.positions)
    said = word.said or Said(outcomes={})
    place = _Placer(positions)
    outcomes = {outcome: place.set(indexes) for outcome, indexes in said.outcomes.items()}
    failures = [(reason, place.set(indexes)) for reason, indexes in said.reasons.items()]
    samples = [(positions[index], reason, message) for index, reason, message in said.samples]
    again: list[Batch] = []

    def settle(reason: str, left: Intervals, detail: str) -> None:
        retries = _retry(batch, left, reason, probing=probing)
        again.extend(retries)
        if not retries:
            failures.append((reason, left))
            samples.append((left.first, reason, detail))

    for reason, indexes in said.passing.items():
        settle(reason, place.set(indexes), "")
    unsaid = batch.positions - place.spoken(said)
    if unsaid:
        lost = word.absent or completed or not word.death
        settle("JobLost" if lost else word.death, unsaid, word.detail)
    reasons: dict[str, Intervals] = {}
    for reason, left in failures:
        reasons[reason] = reasons.get(reason, EMPTY) | left
        outcomes["failed"] = outcomes.get("failed", EMPTY) | left
    return Verdict(
        outcomes=outcomes,
        reasons=reasons,
        again=tuple(again),
        results=said.results,
        top=tuple((positions[index], rows, anomalies) for index, rows, anomalies in said.top),
        samples=tuple(samples),
        passing=bool(said.passing) or (bool(unsaid) and word.death in PASSING),
        seconds=word.seconds,
    )


def _retry(batch: Batch, left: Intervals, reason: str, *, probing: bool) -> tuple[Batch, ...]:
    """The batches that run these positions again; none where another round would not help."""
    following = replace(batch, positions=left, round=batch.round + 1, created=False)
    if reason == "JobLost":
        return (replace(following, losses=batch.losses + 1),) if batch.losses < MOST_LOSSES else ()
    if reason in PASSING:
        tries = batch.tries + (0 if probing else 1)
        return (replace(following, tries=tries),) if tries < MOST_TRIES else ()
    if reason == "ConfigurationInvalid" or len(batch.positions) == 1:
        return ()
    if len(left) == 1:
        return (following,)
    head, tail = left.split((len(left) + 1) // 2)
    return replace(following, positions=head), replace(following, positions=tail)


class _Placer:
    """Turns indexes into a Job's argument list into positions."""

    def __init__(self, positions: tuple[int, ...]) -> None:
        self._positions = positions

    def set(self, indexes: Intervals) -> Intervals:
        return Intervals.of(self._positions[index] for index in indexes)

    def spoken(self, said: Said) -> Intervals:
        spoken = EMPTY
        for indexes in (*said.outcomes.values(), *said.passing.values()):
            spoken = spoken | self.set(indexes)
        return spoken


def record(progress: Progress, verdicts: Mapping[str, Verdict], now: datetime) -> Progress:
    """Progress with these verdicts, by Job name; each closes its batch."""
    if not verdicts:
        return progress
    all_of = list(verdicts.values())
    outcomes = _add(progress.outcomes, (verdict.outcomes for verdict in all_of))
    streak = progress.streak
    for verdict in all_of:
        streak = streak + 1 if verdict.passing else 0
    top = sorted((*progress.top, *(entry for v in all_of for entry in v.top)), key=lambda entry: (-entry[2], entry[0]))
    results = progress.results
    for verdict in all_of:
        results = results + verdict.results
    moved = any(verdict.outcomes for verdict in all_of)
    return replace(
        progress,
        outcomes=outcomes,
        reasons=_add(progress.reasons, (verdict.reasons for verdict in all_of)),
        open={name: batch for name, batch in progress.open.items() if name not in verdicts},
        queue=(*progress.queue, *(batch for verdict in all_of for batch in verdict.again)),
        results=results,
        top=tuple(top[:MOST_TOP]),
        samples=(*progress.samples, *(entry for v in all_of for entry in v.samples))[:MOST_SAMPLES],
        clock=msgspec.structs.replace(progress.clock, progressed=now) if moved else progress.clock,
        streak=streak,
        pod_seconds=progress.pod_seconds + sum(verdict.seconds for verdict in all_of),
    )


def _add(sets: Mapping[str, Intervals], more: Iterable[Mapping[str, Intervals]]) -> dict[str, Intervals]:
    """The sets with the positions of all the others, joined once per key."""
    gathered: dict[str, list[tuple[int, int]]] = {}
    for one in more:
        for key, positions in one.items():
            gathered.setdefault(key, []).extend(positions.spans)
    joined = dict(sets)
    for key, spans in gathered.items():
        joined[key] = joined.get(key, EMPTY) | Intervals.joined(spans)
    return joined
