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
from scoring_operator.errors import ProgressInvalidError

FORMAT = 1
BREAKER = 20  # Jobs in a row that failed for storage or identity, after which one at a time probes
_MOST_BYTES = 64 * 2**20  # of decoded progress; a hundred thousand devices need less than one


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
    tries: int = 0
    losses: int = 0
    created: bool = False


class Frozen(msgspec.Struct, frozen=True, rename="camel"):
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
    lists: tuple[str, ...] = ()
    devices_per_job: int = 1
    without_model: tuple[int, tuple[str, ...]] = (0, ())
    unreadable: tuple[int, tuple[str, ...]] = (0, ())
    rebuilt: bool = False


class Clock(msgspec.Struct, frozen=True, rename="camel"):
    """The run's own time, in seconds, which stands still while it is queued or suspended.

    Attributes:
        started: server time at which the run first ran.
        ran: seconds it had run when it last stood still.
        since: server time since which it runs; None while it stands still.
        first_pod: the first pod's start, as server time and on the run's own clock.
        progressed: server time of the last outcome.
    """

    started: datetime | None = None
    ran: float = 0.0
    since: datetime | None = None
    first_pod: tuple[datetime, float] | None = None
    progressed: datetime | None = None

    def elapsed(self, now: datetime) -> float:
        """Seconds the run has run."""
        return self.ran + (max((now - self.since).total_seconds(), 0.0) if self.since else 0.0)

    def run(self, now: datetime) -> "Clock":
        """The clock going."""
        if self.since is not None:
            return self
        return msgspec.structs.replace(self, since=now, started=self.started or now)

    def moved(self, seconds: float) -> "Clock":
        """The clock where the API server's was set forward (or back) by so many seconds: no time has passed in them."""
        return msgspec.structs.replace(self, since=self.since + timedelta(seconds=seconds)) if self.since else self

    def stop(self, now: datetime) -> "Clock":
        """The clock standing still."""
        return self if self.since is None else msgspec.structs.replace(self, ran=self.elapsed(now), since=None)


class End(msgspec.Struct, frozen=True):
    """How the run ended; once saved it never changes."""

    condition: str  # Complete or Failed
    reason: str
    message: str
    time: datetime


@dataclass(frozen=True)
class Progress:
    """The whole of a run's progress; see the module's words."""

    frozen: Frozen
    total: int
    waiting: Intervals
    outcomes: Mapping[str, Intervals] = field(default_factory=dict)
    reasons: Mapping[str, Intervals] = field(default_factory=dict)
    queue: tuple[Batch, ...] = ()
    open: Mapping[str, Batch] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    top: tuple[tuple[int, int, int], ...] = ()
    samples: tuple[tuple[int, str, str], ...] = ()
    clock: Clock = field(default_factory=Clock)
    pod_seconds: int = 0  # that pods of judged Jobs ran
    streak: int = 0  # Jobs in a row that failed for storage or identity
    warned: bool = False  # an event said that the run will not fit its window
    end: End | None = None

    def count(self, outcome: str) -> int:
        """How many devices have this outcome."""
        return len(self.outcomes.get(outcome, EMPTY))

    @property
    def probing(self) -> bool:
        """Whether so many Jobs in a row failed for storage or identity that only one at a time is tried."""
        return self.streak >= BREAKER

    @property
    def recorded(self) -> int:
        """How many devices have an outcome."""
        return sum(map(len, self.outcomes.values()))


def begin(frozen: Frozen, total: int, already_scored: Intervals) -> Progress:
    """The progress of a run whose device list of `total` devices has just been frozen."""
    outcomes = {"alreadyScored": already_scored} if already_scored else {}
    return Progress(frozen=frozen, total=total, waiting=Intervals.below(total) - already_scored, outcomes=outcomes)


def close(progress: Progress, end: End) -> Progress:
    """The progress of a run that ends now: what has no outcome was not run."""
    done = EMPTY
    for positions in progress.outcomes.values():
        done = done | positions
    left = Intervals.below(progress.total) - done
    outcomes = {**progress.outcomes, "notRun": left} if left else progress.outcomes
    clock = progress.clock.stop(end.time)
    return replace(progress, outcomes=outcomes, waiting=EMPTY, queue=(), open={}, clock=clock, end=end)


def encode(progress: Progress) -> bytes:
    """The bytes of the progress ConfigMap."""
    document = {
        "v": FORMAT,
        "frozen": progress.frozen,
        "total": progress.total,
        "waiting": str(progress.waiting),
        "outcomes": _texts(progress.outcomes),
        "reasons": _texts(progress.reasons),
        "queue": [_pack(batch) for batch in progress.queue],
        "open": {name: _pack(batch) for name, batch in progress.open.items()},
        "results": progress.results,
        "top": progress.top,
        "samples": progress.samples,
        "clock": progress.clock,
        "podSeconds": progress.pod_seconds,
        "streak": progress.streak,
        "warned": progress.warned,
        "end": progress.end,
    }
    return zlib.compress(msgspec.json.encode(document), 1)


def decode(data: bytes) -> Progress:
    """Read the bytes of a progress ConfigMap.

    Raises:
        ProgressInvalidError: damaged, edited so that it does not hold together, or written by a newer operator.
    """
    try:
        document = msgspec.json.decode(zlib.decompressobj().decompress(data, _MOST_BYTES))
        return _whole(
            Progress(
                frozen=_readable(document),
                total=document["total"],
                waiting=Intervals.parse(document["waiting"]),
                outcomes=_sets(document["outcomes"]),
                reasons=_sets(document["reasons"]),
                queue=tuple(_unpack(entry) for entry in document["queue"]),
                open={name: _unpack(entry) for name, entry in document["open"].items()},
                results=msgspec.convert(document["results"], Results),
                top=msgspec.convert(document["top"], tuple[tuple[int, int, int], ...]),
                samples=msgspec.convert(document["samples"], tuple[tuple[int, str, str], ...]),
                clock=msgspec.convert(document["clock"], Clock),
                pod_seconds=document["podSeconds"],
                streak=document["streak"],
                warned=document["warned"],
                end=msgspec.convert(document["end"], End | None),
            )
        )
    except (zlib.error, msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProgressInvalidError(f"the progress ConfigMap cannot be read: {error}") from error


def _whole(progress: Progress) -> Progress:
    """The progress, if every position is in exactly one place and nothing speaks of others."""
    batches = [*progress.queue, *progress.open.values()]
    places = [progress.waiting, *progress.outcomes.values(), *(batch.positions for batch in batches)]
    every = Intervals.joined(span for place in places for span in place.spans)
    named = [at for at, *_ in (*progress.top, *progress.samples)]
    if sum(map(len, places)) != progress.total or every != Intervals.below(progress.total):
        raise ValueError("its positions are not those of its devices, once each")
    if not all(0 <= at < progress.total for at in named):
        raise ValueError("it names devices that it does not have")
    return progress


def _readable(document: Mapping[str, Any]) -> Frozen:
    if document["v"] != FORMAT:
        raise ValueError(f"format {document['v']}, and this operator reads {FORMAT}")
    return msgspec.convert(document["frozen"], Frozen)


def _texts(sets: Mapping[str, Intervals]) -> dict[str, str]:
    return {key: str(positions) for key, positions in sets.items() if positions}


def _sets(texts: Mapping[str, str]) -> dict[str, Intervals]:
    return {key: Intervals.parse(text) for key, text in texts.items()}


def _pack(batch: Batch) -> list[Any]:
    return [str(batch.positions), batch.round, batch.tries, batch.losses, int(batch.created)]


def _unpack(entry: list[Any]) -> Batch:
    positions, round_, tries, losses, created = entry
    return Batch(Intervals.parse(positions), round_, tries, losses, bool(created))
