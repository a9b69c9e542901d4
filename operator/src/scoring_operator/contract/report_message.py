"""The result of a report Job: the termination message of its pod, and its parser.

A scorer pod has no Kubernetes token, so the message is untrusted input. It has numbers and truth values only: nothing
of it is text that the operator could repeat. The parser rejects a message whose numbers are out of range or contradict
each other. Faults and causes that this operator does not know are left out.

The scorer implements its side in device_scorer.report.result; tests/contract compares the two.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

MAX_MESSAGE_BYTES = 4096  # of a termination message, by the kubelet
FLAGS = ("silent", "sparse", "stale", "stuck", "implausible", "jumpy")
CAUSES = ("machine", "sensor", "data", "fleet")
Count = Annotated[int, Meta(ge=0, le=10**15)]
"""A number; a larger one cannot be a count of rows."""


class IncidentCounts(Struct, frozen=True, rename="camel"):
    """The incidents of a window: `open` includes the opened ones, and `causes` has the cause of each open one.

    `opened_unmuted` are those opened ones of which receivers get a notice, and `opened_fleet` those of the whole fleet.
    """

    open: Count = 0
    opened: Count = 0
    closed: Count = 0
    muted: Count = 0
    opened_unmuted: Count = 0
    opened_fleet: Count = 0
    causes: dict[str, Count] = {}


class ReportMessage(Struct, frozen=True, rename="camel"):
    """A consistent message of a report.

    Attributes:
        v: The version of the format.
        complete: Whether every device of the window has predictions.
        unreadable: The number of devices whose predictions cannot be read.
        unmodelled_devices: The number of devices that send readings and have no model.
        unscored_rows: The number of readings whose tag has no model.
        vanished_models: The number of devices that have predictions and no longer have a model.
        outdated_devices: The number of devices whose readings or models changed after they were scored.
        unknown_devices: The number of ids of the run that have neither a model nor readings.
        unknown_names: The number of names of blobs that denote no device.
        problems: The number of problems that the log of the report names, those of `notify_problems` included.
        notify_problems: The number of problems with receivers of notices.
        sensors: The number of faulty sensors by fault.
        incidents: The incidents.
    """

    v: Literal[1]
    complete: bool = False
    unreadable: Count = 0
    unmodelled_devices: Count = 0
    unscored_rows: Count = 0
    vanished_models: Count = 0
    outdated_devices: Count = 0
    unknown_devices: Count = 0
    unknown_names: Count = 0
    problems: Count = 0
    notify_problems: Count = 0
    sensors: dict[str, Count] = {}
    incidents: IncidentCounts = IncidentCounts()


def parse_report_message(raw: str) -> ReportMessage | None:
    """Return the message of a report; None if it is malformed, too long or inconsistent.

    Args:
        raw: The termination message.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        return None
    try:
        message = msgspec.json.decode(raw, type=ReportMessage)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    found = message.incidents
    causes = known(found.causes, CAUSES)
    if not found.opened_unmuted <= found.opened <= found.open or sum(found.causes.values()) > found.open:
        return None
    if found.opened_fleet > min(found.opened, causes["fleet"]):
        return None
    if message.notify_problems > message.problems:
        return None
    return msgspec.structs.replace(
        message,
        sensors=known(message.sensors, FLAGS),
        incidents=msgspec.structs.replace(found, causes=causes),
    )


def known(counts: Mapping[str, int], keys: tuple[str, ...]) -> dict[str, int]:
    """Return the counts of the known keys, in their order; a missing one is 0."""
    return {key: counts.get(key, 0) for key in keys}
