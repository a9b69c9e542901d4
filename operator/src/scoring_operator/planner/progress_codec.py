"""The stored form of progress: one ConfigMap of the run (key `progress`), zlib over JSON.

Users of the run's namespace may edit the ConfigMap. So decoded progress is checked: its size, types and texts by
`progress_document`, and here its times, the size of its batches, and that each position is in exactly one place.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from scoring_operator.api.intervals import EMPTY, Position, Positions, Span
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
from scoring_operator.planner.progress_document import (
    DENSE_FORMAT_VERSION,
    FIRST_PLACE,
    FORMAT_VERSION,
    MAX_CONTENT_BYTES,
    MAX_DOCUMENT_BYTES,
    MAX_LABELS,
    WAITING_LABEL,
    Label,
    ProgressDocument,
    StoredBatch,
    parse_document,
)

MAX_DEVICE_LISTS = 200  # a million ids of 128 characters have 144 parts
_IN_CANARY = bytes((code + MAX_LABELS) % 256 for code in range(256))
_CHARACTERS = bytes((code + FIRST_PLACE) % 256 for code in range(256))
_Sets = tuple[Positions, Mapping[str, Positions], Mapping[str, Positions], Positions]
"""Waiting positions, outcomes, reasons, and the canary."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)  # sums with them are times too


def encode_progress(
    progress: Progress, *, max_document_bytes: int = MAX_DOCUMENT_BYTES, max_content_bytes: int = MAX_CONTENT_BYTES
) -> bytes:
    """Return the content of the progress ConfigMap.

    Args:
        progress: The progress.
        max_document_bytes: The limit of JSON with intervals; a larger one has a character per device instead.
        max_content_bytes: That limit after compression.
    """
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
    text = msgspec.json.encode(document)
    content = zlib.compress(text, 1)
    if len(text) <= max_document_bytes and len(content) <= max_content_bytes:
        return content
    places = _encode_places(progress)
    return zlib.compress(msgspec.json.encode(document | places), 1) if places else content


def decode_progress(data: bytes) -> Progress:
    """Parse the content of a progress ConfigMap, which users of the run's namespace may have edited.

    Raises:
        InvalidProgress: The content is damaged, inconsistent, too large, or written by a newer operator.
    """
    try:
        document = parse_document(data)
        waiting, outcomes, reasons, canary = (
            _decode_places(document) if document.places else _decode_intervals(document)
        )
        return _validated(
            Progress(
                snapshot=msgspec.json.decode(document.frozen, type=RunSnapshot),
                total=document.total,
                waiting=waiting,
                outcomes=outcomes,
                reasons=reasons,
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
                canary=canary,
                transient_reason=document.transient_reason,
            )
        )
    except (zlib.error, msgspec.MsgspecError, ValueError, IndexError, RecursionError) as error:
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


def _decode_intervals(document: ProgressDocument) -> _Sets:
    return (
        Positions.parse(document.waiting),
        _decode_sets(document.outcomes),
        _decode_sets(document.reasons),
        Positions.parse(document.canary),
    )


def _decode_sets(texts: Mapping[str, str]) -> dict[str, Positions]:
    return {key: Positions.parse(text) for key, text in texts.items()}


def _encode_places(progress: Progress) -> dict[str, Any] | None:
    """Return the fields of the dense format; None if sets overlap, which is possible only in edited progress."""
    counts = {"failed": 0} | {outcome: len(found) for outcome, found in progress.outcomes.items()}
    counts["failed"] -= sum(map(len, progress.reasons.values()))
    labelled: list[tuple[Label, Positions, int]] = [
        (("", ""), EMPTY, progress.total - len(progress.waiting) - progress.recorded),
        ((WAITING_LABEL, ""), progress.waiting, len(progress.waiting)),
        *(((outcome, ""), progress.outcomes.get(outcome, EMPTY), count) for outcome, count in counts.items()),
        *((("failed", reason), found, len(found)) for reason, found in progress.reasons.items()),
    ]
    if len(labelled) > MAX_LABELS:
        return None
    places = bytearray(progress.total)
    for index, (_, positions, _) in enumerate(labelled):
        code = bytes((index,))
        for first, last in positions.spans:
            places[first : last + 1] = code * (last - first + 1)
    if any(places.count(index) != count for index, (_, _, count) in enumerate(labelled)):
        return None
    for first, last in progress.canary.spans:
        places[first : last + 1] = places[first : last + 1].translate(_IN_CANARY)
    return {
        "v": DENSE_FORMAT_VERSION,
        "waiting": "",
        "outcomes": {},
        "reasons": {},
        "canary": "",
        "labels": [label for label, *_ in labelled],
        "places": places.translate(_CHARACTERS).decode(),
    }


def _decode_places(document: ProgressDocument) -> _Sets:
    runs: defaultdict[str, list[Span]] = defaultdict(list)
    for run in re.finditer(r"(.)\1*", document.places):
        runs[run[1]].append((run.start(), run.end() - 1))
    outcomes: defaultdict[str, list[Span]] = defaultdict(list)
    reasons: defaultdict[str, list[Span]] = defaultdict(list)
    canary: list[Span] = []
    for character, spans in runs.items():
        in_canary, index = divmod(ord(character) - FIRST_PLACE, MAX_LABELS)
        outcome, reason = document.labels[index]
        outcomes[outcome] += spans
        reasons[reason] += spans
        canary += spans if in_canary else ()
    waiting = outcomes.pop(WAITING_LABEL, [])
    return Positions.from_spans(waiting), _joined(outcomes), _joined(reasons), Positions.from_spans(canary)


def _joined(spans_by_key: Mapping[str, list[Span]]) -> dict[str, Positions]:
    return {key: Positions.from_spans(spans) for key, spans in spans_by_key.items() if key}


def _encode_batch(batch: Batch) -> list[Any]:
    flags = int(batch.created) + 2 * int(batch.replaced)
    return [str(batch.positions), batch.round, batch.attempts, batch.lost_jobs, flags]


def _decode_batch(entry: StoredBatch) -> Batch:
    positions, round_, attempts, lost_jobs, flags = entry
    return Batch(Positions.parse(positions), round_, attempts, lost_jobs, bool(flags & 1), bool(flags & 2))
