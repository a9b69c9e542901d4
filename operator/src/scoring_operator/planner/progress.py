"""How far a run has come: sets of positions by outcome and reason, open Jobs, counters, clocks. Pure.

One ConfigMap per run holds it, compressed (key `progress`: zlib over JSON). It is written by compare-and-swap and it,
not any Job, says what is done: status derives from it, a Job may vanish once it is in here, and a device that is in
here is never run again. Creating that ConfigMap is also what freezes the run: it names the ConfigMaps of the device
list and keeps the fleet's layout as it was, to be compared.

A position is in exactly one place: an outcome, the Job of an open batch, the queue of later rounds, or `waiting`.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from scoring_operator.api.intervals import EMPTY, Intervals
from scoring_operator.contract.outcome_message import Results
from scoring_operator.errors import InvalidProgress

FORMAT_VERSION = 1
CIRCUIT_BREAKER_THRESHOLD = 20  # Jobs in a row that failed for storage or identity, after which one at a time probes
_MAX_BYTES = 64 * 2**20  # of decoded progress; a hundred thousand devices need less than one


@dataclass(frozen=True, slots=True)
class Batch:
    """The positions that one Job covers in one round.

    Attributes:
        positions: which devices, by position in the frozen list.
        round: 0, or how often these positions were given to a new Job before.
        tries: rounds that ended in something passing (storage, identity, image pull).
        losses: rounds whose Job vanished or ended without leaving a word.
        created: whether its Job was seen; a mark alone does not say so.
    """

    positions: Intervals
    round: int = 0
    attempts: int = 0
    lost_jobs: int = 0
    created: bool = False


class RunSnapshot(msgspec.Struct, frozen=True, rename="camel"):
    """What was fixed when the run began.

    Attributes:
        fleet: the fleet's storage and layout as the administrator's file had them; only compared (freezing.entrusted).
        lists: names of the ConfigMaps that hold the device list, in order.
        devices_per_job: the number in force (Auto resolved).
        without_model: how many devices send data but have no model, and some of them.
        unreadable: how many blob names denote no device, and some of them.
        rebuilt: the first progress was lost, so any batch may have been run already.
    """

    fleet: dict[str, Any]
    device_list_names: tuple[str, ...] = msgspec.field(default=(), name="lists")
    devices_per_job: int = 1
    without_model: tuple[int, tuple[str, ...]] = (0, ())
    invalid_names: tuple[int, tuple[str, ...]] = msgspec.field(default=(0, ()), name="unreadable")
    rebuilt: bool = False


class RunClock(msgspec.Struct, frozen=True, rename="camel"):
    """The run's own time, in seconds, which stands still while it is queued or suspended.

    Attributes:
        started: server time at which the run first ran.
        ran: seconds it had run when it last stood still.
        since: server time since which it runs; None while it stands still.
        first_pod: the first pod's start, as server time and on the run's own clock.
        progressed: server time of the last outcome.
    """

    started: datetime | None = None
    accumulated: float = msgspec.field(default=0.0, name="ran")
    since: datetime | None = None
    first_pod: tuple[datetime, float] | None = None
    progressed: datetime | None = None

    def elapsed(self, now: datetime) -> float:
        """Seconds the run has run."""
        return self.accumulated + (max((now - self.since).total_seconds(), 0.0) if self.since else 0.0)

    def resumed(self, now: datetime) -> "RunClock":
        """The clock going."""
        if self.since is not None:
            return self
        return msgspec.structs.replace(self, since=now, started=self.started or now)

    def shifted(self, seconds: float) -> "RunClock":
        """The clock where the API server's was set forward (or back) by so many seconds: no time has passed in them."""
        return msgspec.structs.replace(self, since=self.since + timedelta(seconds=seconds)) if self.since else self

    def stopped(self, now: datetime) -> "RunClock":
        """The clock standing still."""
        return self if self.since is None else msgspec.structs.replace(self, accumulated=self.elapsed(now), since=None)


class Completion(msgspec.Struct, frozen=True):
    """How the run ended; once saved it never changes."""

    condition: str  # Complete or Failed
    reason: str
    message: str
    time: datetime


@dataclass(frozen=True)
class Progress:
    """The whole of a run's progress; see the module's words."""

    snapshot: RunSnapshot
    total: int
    waiting: Intervals
    outcomes: Mapping[str, Intervals] = field(default_factory=dict)
    reasons: Mapping[str, Intervals] = field(default_factory=dict)
    queued_batches: tuple[Batch, ...] = ()
    open_batches: Mapping[str, Batch] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    top_anomalies: tuple[tuple[int, int, int], ...] = ()
    failure_samples: tuple[tuple[int, str, str], ...] = ()
    clock: RunClock = field(default_factory=RunClock)
    pod_seconds: int = 0  # that pods of judged Jobs ran
    consecutive_failures: int = 0  # Jobs in a row that failed for storage or identity
    slow_warning_sent: bool = False  # an event said that the run will not fit its window
    completion: Completion | None = None

    def count(self, outcome: str) -> int:
        """How many devices have this outcome."""
        return len(self.outcomes.get(outcome, EMPTY))

    @property
    def circuit_open(self) -> bool:
        """Whether so many Jobs in a row failed for storage or identity that only one at a time is tried."""
        return self.consecutive_failures >= CIRCUIT_BREAKER_THRESHOLD

    @property
    def recorded(self) -> int:
        """How many devices have an outcome."""
        return sum(map(len, self.outcomes.values()))


def new_progress(snapshot: RunSnapshot, total: int, already_scored: Intervals) -> Progress:
    """The progress of a run whose device list of `total` devices has just been frozen."""
    outcomes = {"alreadyScored": already_scored} if already_scored else {}
    return Progress(
        snapshot=snapshot, total=total, waiting=Intervals.range_to(total) - already_scored, outcomes=outcomes
    )


def finish(progress: Progress, completion: Completion) -> Progress:
    """The progress of a run that ends now: what has no outcome was not run."""
    done = EMPTY
    for positions in progress.outcomes.values():
        done = done | positions
    left = Intervals.range_to(progress.total) - done
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


def encode(progress: Progress) -> bytes:
    """The bytes of the progress ConfigMap."""
    document = {
        "v": FORMAT_VERSION,
        "frozen": progress.snapshot,
        "total": progress.total,
        "waiting": str(progress.waiting),
        "outcomes": _encode_sets(progress.outcomes),
        "reasons": _encode_sets(progress.reasons),
        "queue": [_encode_batch(batch) for batch in progress.queued_batches],
        "open": {name: _encode_batch(batch) for name, batch in progress.open_batches.items()},
        "results": progress.results,
        "top": progress.top_anomalies,
        "samples": progress.failure_samples,
        "clock": progress.clock,
        "podSeconds": progress.pod_seconds,
        "streak": progress.consecutive_failures,
        "warned": progress.slow_warning_sent,
        "end": progress.completion,
    }
    return zlib.compress(msgspec.json.encode(document), 1)


def decode(data: bytes) -> Progress:
    """Read the bytes of a progress ConfigMap.

    Raises:
        ProgressInvalidError: damaged, edited so that it does not hold together, or written by a newer operator.
    """
    try:
        document = msgspec.json.decode(zlib.decompressobj().decompress(data, _MAX_BYTES))
        return _validated(
            Progress(
                snapshot=_decode_snapshot(document),
                total=document["total"],
                waiting=Intervals.parse(document["waiting"]),
                outcomes=_decode_sets(document["outcomes"]),
                reasons=_decode_sets(document["reasons"]),
                queued_batches=tuple(_decode_batch(entry) for entry in document["queue"]),
                open_batches={name: _decode_batch(entry) for name, entry in document["open"].items()},
                results=msgspec.convert(document["results"], Results),
                top_anomalies=msgspec.convert(document["top"], tuple[tuple[int, int, int], ...]),
                failure_samples=msgspec.convert(document["samples"], tuple[tuple[int, str, str], ...]),
                clock=msgspec.convert(document["clock"], RunClock),
                pod_seconds=document["podSeconds"],
                consecutive_failures=document["streak"],
                slow_warning_sent=document["warned"],
                completion=msgspec.convert(document["end"], Completion | None),
            )
        )
    except (zlib.error, msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidProgress(f"the progress ConfigMap cannot be read: {error}") from error


def _validated(progress: Progress) -> Progress:
    """The progress, if every position is in exactly one place and nothing speaks of others."""
    batches = [*progress.queued_batches, *progress.open_batches.values()]
    places = [progress.waiting, *progress.outcomes.values(), *(batch.positions for batch in batches)]
    every = Intervals.from_spans(span for place in places for span in place.spans)
    named = [at for at, *_ in (*progress.top_anomalies, *progress.failure_samples)]
    if sum(map(len, places)) != progress.total or every != Intervals.range_to(progress.total):
        raise ValueError("its positions are not those of its devices, once each")
    if not all(0 <= at < progress.total for at in named):
        raise ValueError("it names devices that it does not have")
    return progress


def _decode_snapshot(document: Mapping[str, Any]) -> RunSnapshot:
    if document["v"] != FORMAT_VERSION:
        raise ValueError(f"format {document['v']}, and this operator reads {FORMAT_VERSION}")
    return msgspec.convert(document["frozen"], RunSnapshot)


def _encode_sets(sets: Mapping[str, Intervals]) -> dict[str, str]:
    return {key: str(positions) for key, positions in sets.items() if positions}


def _decode_sets(texts: Mapping[str, str]) -> dict[str, Intervals]:
    return {key: Intervals.parse(text) for key, text in texts.items()}


def _encode_batch(batch: Batch) -> list[Any]:
    return [str(batch.positions), batch.round, batch.attempts, batch.lost_jobs, int(batch.created)]


def _decode_batch(entry: list[Any]) -> Batch:
    positions, round_, tries, losses, created = entry
    return Batch(Intervals.parse(positions), round_, tries, losses, bool(created))
