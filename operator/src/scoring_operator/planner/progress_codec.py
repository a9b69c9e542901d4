"""The stored form of progress: one ConfigMap of the run (key `progress`), zlib over JSON.

Users of the run's namespace may edit the ConfigMap. So decoded progress is checked: its size, types and texts by
`progress_document`, and here its times, the size of its batches, and that each position is in exactly one place.
"""

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from scoring_operator.api.intervals import Position, Positions
from scoring_operator.contract.outcome_message import Results
from scoring_operator.errors import InvalidProgress
from scoring_operator.planner.progress import (
    MAX_DEVICES_PER_JOB,
    Batch,
    Completion,
    Progress,
    RunClock,
    RunSnapshot,
)
from scoring_operator.planner.progress_document import FORMAT_VERSION, StoredBatch, parse_document

MAX_DEVICE_LISTS = 200  # a million ids of 128 characters have 144 parts
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)  # sums with them are times too


def encode_progress(progress: Progress) -> bytes:
    """Return the content of the progress ConfigMap."""
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
        "canary": str(progress.canary),
        "transientReason": progress.transient_reason,
    }
    return zlib.compress(msgspec.json.encode(document), 1)


def decode_progress(data: bytes) -> Progress:
    """Parse the content of a progress ConfigMap, which users of the run's namespace may have edited.

    Raises:
        InvalidProgress: The content is damaged, inconsistent, too large, or written by a newer operator.
    """
    try:
        document = parse_document(data)
        return _validated(
            Progress(
                snapshot=msgspec.json.decode(document.frozen, type=RunSnapshot),
                total=document.total,
                waiting=Positions.parse(document.waiting),
                outcomes=_decode_sets(document.outcomes),
                reasons=_decode_sets(document.reasons),
                queued_batches=tuple(_decode_batch(entry) for entry in document.queue),
                open_batches={name: _decode_batch(entry) for name, entry in document.open.items()},
                results=Results(**msgspec.structs.asdict(document.results)),
                top_anomalies=tuple((Position(at), rows, anomalies) for at, rows, anomalies in document.top),
                failure_samples=tuple((Position(at), reason, text) for at, reason, text in document.samples),
                clock=msgspec.json.decode(document.clock, type=RunClock),
                pod_seconds=document.pod_seconds,
                consecutive_failures=document.streak,
                slow_warning_sent=document.warned,
                completion=msgspec.json.decode(document.end, type=Completion | None),
                canary=Positions.parse(document.canary),
                transient_reason=document.transient_reason,
            )
        )
    except (zlib.error, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidProgress(f"the progress ConfigMap cannot be read: {error}") from error


def _validated(progress: Progress) -> Progress:
    """Check times, batches and positions, each of which is in exactly one place; return the progress."""
    batches = [*progress.queued_batches, *progress.open_batches.values()]
    if any(len(batch.positions) > MAX_DEVICES_PER_JOB for batch in batches):
        raise ValueError(f"a batch has more than {MAX_DEVICES_PER_JOB} devices")
    if not all(EARLIEST <= time <= LATEST for time in _times(progress)):
        raise ValueError(f"a time is before {EARLIEST.year} or after {LATEST.year}")
    places = [progress.waiting, *progress.outcomes.values(), *(batch.positions for batch in batches)]
    every = Positions.from_spans(span for place in places for span in place.spans)
    lists = progress.snapshot.device_list_names
    if len(lists) > MAX_DEVICE_LISTS or len(set(lists)) != len(lists):
        raise ValueError("the device list has too many or repeated ConfigMaps")
    named = [at for at, *_ in (*progress.top_anomalies, *progress.failure_samples)]
    if sum(map(len, places)) != progress.total or every != Positions.range_to(progress.total):
        raise ValueError("each position must be in exactly one place")
    if progress.canary - Positions.range_to(progress.total):
        raise ValueError("the canary has a position that does not exist")
    if not all(0 <= at < progress.total for at in named):
        raise ValueError("a sample has a position that does not exist")
    return progress


def _times(progress: Progress) -> list[datetime]:
    clock, end = progress.clock, progress.completion
    times = (clock.started, clock.since, clock.progressed, clock.first_pod and clock.first_pod[0], end and end.time)
    return [time for time in times if time]


def _encode_sets(sets: Mapping[str, Positions]) -> dict[str, str]:
    return {key: str(positions) for key, positions in sets.items() if positions}


def _decode_sets(texts: Mapping[str, str]) -> dict[str, Positions]:
    return {key: Positions.parse(text) for key, text in texts.items()}


def _encode_batch(batch: Batch) -> list[Any]:
    flags = int(batch.created) + 2 * int(batch.replaced)
    return [str(batch.positions), batch.round, batch.attempts, batch.lost_jobs, flags]


def _decode_batch(entry: StoredBatch) -> Batch:
    positions, round_, attempts, lost_jobs, flags = entry
    return Batch(Positions.parse(positions), round_, attempts, lost_jobs, bool(flags & 1), bool(flags & 2))
