"""The outcomes of devices, and the results of a Job: exit code, outcome message and outcome record.

The numbers in a message are argument indexes. Sets of indexes have the interval notation of batch/v1 ("0-3,7"; see
`completedIndexes` of a Job's status). A device that the process did not finish before SIGTERM is not listed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

FORMAT_VERSION = 1
MAX_MESSAGE_BYTES = 4096
"""The size that the kubelet keeps of a termination message (Kubernetes, "Determine the Reason for Pod Failure")."""

SCORED, PARTIAL, EMPTY, ALREADY_SCORED, FAILED = "scored", "partial", "empty", "alreadyScored", "failed"
KINDS = (SCORED, PARTIAL, EMPTY, ALREADY_SCORED, FAILED)
TRANSIENT = "transient"
"""The kind of a device without an outcome, because storage or identity was unavailable."""

EXIT_SUCCESS, EXIT_PERMANENT, EXIT_TRANSIENT = 0, 65, 75
_MAX_SAMPLE_CHARS = 200
_MAX_TOP_DEVICES = 5
_MAX_SAMPLES = 5


class RowCounts(NamedTuple):
    """Counts of the rows of one device in a window.

    Attributes:
        rows: The number of labelled rows.
        bad_rows: The number of malformed rows.
        unscored_rows: The number of rows of tags without a model.
        anomalies: The number of labelled rows that are anomalies.
    """

    rows: int = 0
    bad_rows: int = 0
    unscored_rows: int = 0
    anomalies: int = 0


class Outcome(NamedTuple):
    """The result of one device.

    Attributes:
        kind: One of KINDS, or TRANSIENT.
        reason: The reason of a failure.
        message: A sentence for people.
        row_counts: The counts of the device's rows.
        anomalous: True if the device is anomalous.
        changed: True if the readings of an already scored device changed after they were scored.
    """

    kind: str
    reason: str = ""
    message: str = ""
    row_counts: RowCounts = RowCounts()
    anomalous: bool = False
    changed: bool = False


def exit_code(outcomes: Mapping[int, Outcome], devices: int) -> int:
    """Return the exit code of the process.

    Args:
        outcomes: The outcomes by argument index.
        devices: The number of devices of the Job.

    Returns:
        75 if a device has no permanent outcome, 65 if all devices failed, 0 otherwise.
    """
    kinds = [outcome.kind for outcome in outcomes.values()]
    if TRANSIENT in kinds or len(kinds) < devices:
        return EXIT_TRANSIENT
    return EXIT_PERMANENT if all(kind == FAILED for kind in kinds) else EXIT_SUCCESS


def outcome_record(outcomes: Mapping[int, Outcome], devices: Sequence[str]) -> bytes:
    """Return the outcome record: the outcome message without a size limit, and one message per device.

    The record has the message of every device except those that were scored without a message. Each message contains
    the device id, because the report reads the record and does not know the Job's arguments.

    Args:
        outcomes: The outcomes by argument index.
        devices: The device ids in the order of the arguments.
    """
    messages = {
        str(index): [outcome.kind, outcome.reason, outcome.message, devices[index]]
        for index, outcome in sorted(outcomes.items())
        if outcome.kind != SCORED or outcome.message
    }
    return _encode({**_payload(outcomes, len(devices)), "top": _most_anomalous(outcomes), "messages": messages})


def count_failures(outcomes: Mapping[int, Outcome]) -> int:
    """Return the number of failed and partial devices. The report reads only records in which this is not zero."""
    return sum(outcome.kind in (FAILED, PARTIAL) for outcome in outcomes.values())


def termination_message(outcomes: Mapping[int, Outcome], devices: int) -> bytes:
    """Return the outcome message for the pod's termination message, with at most MAX_MESSAGE_BYTES bytes.

    The sets of up to 500 devices always fit. The most anomalous devices and samples of messages use the remaining
    bytes. A message whose sets do not fit has only `tooLong`.

    Args:
        outcomes: The outcomes by argument index.
        devices: The number of devices of the Job.
    """
    payload = _payload(outcomes, devices)
    encoded = _encode(payload)
    if len(encoded) > MAX_MESSAGE_BYTES:
        return _encode({"v": FORMAT_VERSION, "devices": devices, "tooLong": True})
    for extra in ("top", "samples"):
        entries = _most_anomalous(outcomes) if extra == "top" else _sample_messages(outcomes)
        for count in range(len(entries), 0, -1):
            longer = _encode({**payload, extra: entries[:count]})
            if len(longer) <= MAX_MESSAGE_BYTES:
                payload, encoded = {**payload, extra: entries[:count]}, longer
                break
    return encoded


def format_intervals(indexes: Iterable[int]) -> str:
    """Return a set of indexes in the interval notation of batch/v1."""
    spans: list[list[int]] = []
    for index in sorted(indexes):
        if spans and spans[-1][1] == index - 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _payload(outcomes: Mapping[int, Outcome], devices: int) -> dict[str, Any]:
    done = [outcome for outcome in outcomes.values() if outcome.kind in (SCORED, PARTIAL)]
    payload: dict[str, Any] = {
        "v": FORMAT_VERSION,
        "devices": devices,
        "outcomes": _intervals_by_key(
            {index: outcome.kind for index, outcome in outcomes.items() if outcome.kind != TRANSIENT}, KINDS
        ),
        "rows": sum(outcome.row_counts.rows for outcome in done),
        "badRows": sum(outcome.row_counts.bad_rows for outcome in done),
        "unscoredRows": sum(outcome.row_counts.unscored_rows for outcome in done),
        "anomalies": sum(outcome.row_counts.anomalies for outcome in done),
        "anomalousDevices": sum(outcome.anomalous for outcome in done),
    }
    if changed := sum(outcome.changed for outcome in outcomes.values()):
        payload["changed"] = changed
    for key, kind in (("reasons", FAILED), ("transient", TRANSIENT)):
        reasons = {index: outcome.reason for index, outcome in outcomes.items() if outcome.kind == kind}
        if reasons:
            payload[key] = _intervals_by_key(reasons, sorted(set(reasons.values())))
    return payload


def _intervals_by_key(key_by_index: Mapping[int, str], order: Sequence[str]) -> dict[str, str]:
    sets = {key: format_intervals(index for index, found in key_by_index.items() if found == key) for key in order}
    return {key: notation for key, notation in sets.items() if notation}


def _most_anomalous(outcomes: Mapping[int, Outcome]) -> list[list[int]]:
    worst = sorted(
        (
            index
            for index, outcome in outcomes.items()
            if outcome.kind in (SCORED, PARTIAL) and outcome.row_counts.anomalies
        ),
        key=lambda index: (-outcomes[index].row_counts.anomalies, index),
    )
    return [
        [index, outcomes[index].row_counts.rows, outcomes[index].row_counts.anomalies]
        for index in worst[:_MAX_TOP_DEVICES]
    ]


def _sample_messages(outcomes: Mapping[int, Outcome]) -> list[list[Any]]:
    """Return some messages. The first message of each reason precedes the others, so that rare reasons are shown."""
    with_message = [(index, outcome) for index, outcome in sorted(outcomes.items()) if outcome.message]
    first: dict[tuple[str, str], int] = {}
    for index, outcome in with_message:
        first.setdefault((outcome.kind, outcome.reason), index)
    order = sorted(with_message, key=lambda entry: (first[entry[1].kind, entry[1].reason] != entry[0], entry[0]))
    return [[index, outcome.reason, outcome.message[:_MAX_SAMPLE_CHARS]] for index, outcome in order[:_MAX_SAMPLES]]


def _encode(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
