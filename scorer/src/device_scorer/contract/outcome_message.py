"""Outcomes of devices, and the scorer's word about all of them: exit code, termination message, outcome record. Pure.

Numbers in the word are indexes into the argument list, sets of them in the interval notation of batch/v1 ("0-3,7").
A device that was not finished and is not passing (the process was told to stop) is not spoken of.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

VERSION = 1
LONGEST_WORD = 4096
"""Bytes that the kubelet keeps of a termination message."""

SCORED, PARTIAL, EMPTY, ALREADY_SCORED, FAILED = "scored", "partial", "empty", "alreadyScored", "failed"
KINDS = (SCORED, PARTIAL, EMPTY, ALREADY_SCORED, FAILED)
PASSING = "passing"
"""Not final: storage or identity was unavailable."""

EXIT_DONE, EXIT_FINAL, EXIT_PASSING = 0, 65, 75
_LONGEST_MESSAGE = 200
_TOP = 5
_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of rows of one device's window."""

    rows: int = 0
    bad_rows: int = 0
    unscored_rows: int = 0
    anomalies: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one device: one of KINDS or PASSING, the reason of a failure, a sentence, its figures."""

    kind: str
    reason: str = ""
    message: str = ""
    figures: Figures = field(default_factory=Figures)
    anomalous: bool = False


def exit_code(outcomes: Mapping[int, Outcome], devices: int) -> int:
    """0 when every device has a final outcome, 75 when one has none, 65 when all failed."""
    kinds = [outcome.kind for outcome in outcomes.values()]
    if PASSING in kinds or len(kinds) < devices:
        return EXIT_PASSING
    return EXIT_FINAL if all(kind == FAILED for kind in kinds) else EXIT_DONE


def record(outcomes: Mapping[int, Outcome], devices: Sequence[str]) -> bytes:
    """The outcome record: the word without a limit, with the message of every device that was not plainly scored.

    Each message has its device's id: who reads the record (the report) knows nothing of the Job's arguments.
    """
    messages = {
        str(index): [outcome.kind, outcome.reason, outcome.message, devices[index]]
        for index, outcome in sorted(outcomes.items())
        if outcome.kind != SCORED or outcome.message
    }
    return _encode({**_word(outcomes, len(devices)), "top": _top(outcomes), "messages": messages})


def complaints(outcomes: Mapping[int, Outcome]) -> int:
    """How many messages of a record say why a device failed or was scored in part: what a report reads it for."""
    return sum(outcome.kind in (FAILED, PARTIAL) for outcome in outcomes.values())


def message(outcomes: Mapping[int, Outcome], devices: int) -> bytes:
    """The termination message: never more than LONGEST_WORD bytes for up to 500 devices, whatever became of them.

    The sets always stay; the most anomalous devices and sample messages take what room is left.
    """
    word = _word(outcomes, devices)
    best = _encode(word)
    if len(best) > LONGEST_WORD:
        return _encode({"v": VERSION, "devices": devices, "tooLong": True})
    for extra in ("top", "samples"):
        entries = _top(outcomes) if extra == "top" else _samples(outcomes)
        for count in range(len(entries), 0, -1):
            longer = _encode({**word, extra: entries[:count]})
            if len(longer) <= LONGEST_WORD:
                word, best = {**word, extra: entries[:count]}, longer
                break
    return best


def intervals(indexes: Iterable[int]) -> str:
    """A set of indexes in the notation of batch/v1."""
    spans: list[list[int]] = []
    for index in sorted(indexes):
        if spans and spans[-1][1] == index - 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _word(outcomes: Mapping[int, Outcome], devices: int) -> dict[str, Any]:
    done = [outcome for outcome in outcomes.values() if outcome.kind in (SCORED, PARTIAL)]
    word: dict[str, Any] = {
        "v": VERSION,
        "devices": devices,
        "outcomes": _sets(
            {index: outcome.kind for index, outcome in outcomes.items() if outcome.kind != PASSING}, KINDS
        ),
        "rows": sum(outcome.figures.rows for outcome in done),
        "badRows": sum(outcome.figures.bad_rows for outcome in done),
        "unscoredRows": sum(outcome.figures.unscored_rows for outcome in done),
        "anomalies": sum(outcome.figures.anomalies for outcome in done),
        "anomalousDevices": sum(outcome.anomalous for outcome in done),
    }
    for key, kind in (("reasons", FAILED), ("passing", PASSING)):
        reasons = {index: outcome.reason for index, outcome in outcomes.items() if outcome.kind == kind}
        if reasons:
            word[key] = _sets(reasons, sorted(set(reasons.values())))
    return word


def _sets(keys: Mapping[int, str], order: Sequence[str]) -> dict[str, str]:
    sets = {key: intervals(index for index, found in keys.items() if found == key) for key in order}
    return {key: notation for key, notation in sets.items() if notation}


def _top(outcomes: Mapping[int, Outcome]) -> list[list[int]]:
    worst = sorted(
        (
            index
            for index, outcome in outcomes.items()
            if outcome.kind in (SCORED, PARTIAL) and outcome.figures.anomalies
        ),
        key=lambda index: (-outcomes[index].figures.anomalies, index),
    )
    return [[index, outcomes[index].figures.rows, outcomes[index].figures.anomalies] for index in worst[:_TOP]]


def _samples(outcomes: Mapping[int, Outcome]) -> list[list[Any]]:
    """A few devices' messages: one of each reason first, so that the rarest is seen."""
    told = [(index, outcome) for index, outcome in sorted(outcomes.items()) if outcome.message]
    first: dict[tuple[str, str], int] = {}
    for index, outcome in told:
        first.setdefault((outcome.kind, outcome.reason), index)
    order = sorted(told, key=lambda entry: (first[entry[1].kind, entry[1].reason] != entry[0], entry[0]))
    return [[index, outcome.reason, outcome.message[:_LONGEST_MESSAGE]] for index, outcome in order[:_SAMPLES]]


def _encode(word: Mapping[str, Any]) -> bytes:
    return json.dumps(word, separators=(",", ":")).encode()
