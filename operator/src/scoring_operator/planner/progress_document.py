"""The JSON document of a progress ConfigMap, as a type with bounds.

Users of the run's namespace may edit the ConfigMap. A decoder without types would create an object for each value, and
need a gigabyte for a ConfigMap of 60 KB. So the size is bounded before the document is decoded, and the number of its
intervals and batches before they are parsed. `planner.progress` has the meaning of the values.

Format 1 has the sets of positions as intervals. A million devices with scattered outcomes do not fit into a ConfigMap
that way. For them, format 2 has one character per device, which is the index of its label.
"""

import zlib
from collections.abc import Iterator
from typing import Annotated

import msgspec

from scoring_operator.contract.outcome_message import MAX_SUM

FORMAT_VERSION = 1
DENSE_FORMAT_VERSION = 2  # with `places` instead of the sets
MAX_DEVICES = 1_000_000  # the maximum of `maxDevices` in the schema of the CRD
MAX_DOCUMENT_BYTES = 4 * 2**20  # of JSON; compressed, a larger one does not fit into a ConfigMap
MAX_SNAPSHOT_BYTES = 256 * 2**10  # of the part that has no fixed type
MAX_CONTENT_BYTES = 2**20  # of a ConfigMap
MAX_LABELS = 32
FIRST_PLACE = ord("0")  # the character of a device with the first label
WAITING_LABEL = "-"
MAX_SAMPLES = 20  # of each kind, as in the schema of the CRD
MAX_SAMPLE_LENGTH = 1024  # characters

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_SUM)]
Reason = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{1,64}\Z")]
SampleText = Annotated[str, msgspec.Meta(max_length=MAX_SAMPLE_LENGTH)]
JobName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")]
StoredBatch = tuple[str, Count, Count, Count, int | bool]
"""A batch: positions, round, attempts, lost Jobs, and flags (a boolean in progress of an earlier operator)."""

Label = tuple[
    Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9]{1,64}|-?)\Z")],
    Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{0,64}\Z")],
]
"""An outcome (WAITING_LABEL without one, empty in a batch), and the reason of a failure."""


class StoredResults(msgspec.Struct, frozen=True):
    """The sums over the devices that were scored."""

    rows: Count = 0
    bad_rows: Count = 0
    unscored_rows: Count = 0
    anomalies: Count = 0
    anomalous_devices: Count = 0


class ProgressDocument(msgspec.Struct, frozen=True, rename="camel"):
    """The document. `frozen`, `clock` and `end` are decoded by their own types."""

    frozen: msgspec.Raw
    total: Annotated[int, msgspec.Meta(ge=0, le=MAX_DEVICES)]
    waiting: str
    outcomes: dict[Reason, str]
    reasons: dict[Reason, str]
    queue: list[StoredBatch]
    open: dict[JobName, StoredBatch]
    results: StoredResults
    top: Annotated[list[tuple[int, Count, Count]], msgspec.Meta(max_length=MAX_SAMPLES)]
    samples: Annotated[list[tuple[int, Reason, SampleText]], msgspec.Meta(max_length=MAX_SAMPLES)]
    clock: msgspec.Raw
    pod_seconds: Count
    streak: Count
    warned: bool
    end: msgspec.Raw
    canary: str = ""
    transient_reason: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{0,64}\Z")] = ""
    labels: Annotated[list[Label], msgspec.Meta(max_length=MAX_LABELS)] = []
    places: Annotated[str, msgspec.Meta(pattern=r"^[0-o]*\Z")] = ""

    def sets(self) -> Iterator[str]:
        """Yield the sets of positions that are in exactly one place."""
        yield self.waiting
        yield from self.outcomes.values()
        for positions, *_ in (*self.queue, *self.open.values()):
            yield positions


class _Version(msgspec.Struct, frozen=True):
    v: int


def parse_document(data: bytes) -> ProgressDocument:
    """Parse the content of a progress ConfigMap.

    Args:
        data: The compressed document.

    Raises:
        zlib.error: The content is damaged.
        msgspec.MsgspecError: The document has another structure, or a number is out of range.
        ValueError: The document has another format, or is truncated or too large.
    """
    inflater = zlib.decompressobj()
    text = inflater.decompress(data, MAX_DOCUMENT_BYTES + 1)
    if len(text) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"it has more than {MAX_DOCUMENT_BYTES:,} bytes")
    if not inflater.eof:
        raise ValueError("it is truncated")
    version = msgspec.json.decode(text, type=_Version).v
    if version not in (FORMAT_VERSION, DENSE_FORMAT_VERSION):
        raise ValueError(f"its format is {version}; this operator reads formats 1 to {DENSE_FORMAT_VERSION}")
    document = msgspec.json.decode(text, type=ProgressDocument)
    if len(bytes(document.frozen)) > MAX_SNAPSHOT_BYTES:
        raise ValueError(f"its facts of the start have more than {MAX_SNAPSHOT_BYTES:,} bytes")
    spans = sum(text.count(",") + 1 for text in document.sets() if text)
    failed = sum(text.count(",") + 1 for text in document.reasons.values())
    canary = document.canary.count(",")
    if max(spans, failed, canary) > document.total or not all(batch[0] for batch in document.queue):
        raise ValueError("it has more intervals than devices, or a batch without devices")
    if document.places and len(document.places) != document.total:
        raise ValueError("it has not one label for each device")
    return document
