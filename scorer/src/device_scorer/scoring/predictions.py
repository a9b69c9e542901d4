"""The header and metadata of a predictions blob, and the state of an existing blob for a later run.

Metadata keys are one lower-case word each, because HTTP headers carry them safely; values are ASCII. `tags` is "*" or
the requested tags, percent-encoded and joined by spaces (their SHA-256 if that text is long). `complete` is "true" if
all of them were scored.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from device_scorer import __version__
from device_scorer.contract.blob_paths import decode_id, encode_id
from device_scorer.contract.digest import METADATA_KEY, DeviceDigest, encode_digest
from device_scorer.contract.outcome_message import RowCounts
from device_scorer.store.base import BlobInfo
from device_scorer.window import Window

PREDICTIONS_HEADER = b"TS,Device,Tag,Val,Prediction,Score\n"
READ_AT_KEY = "readat"
MAX_VALUE_CHARS = 1500
MAX_COUNT_DIGITS = 15
_COUNT_KEYS = ("rows", "badrows", "unscoredrows", "anomalies")


class InputVersions(NamedTuple):
    """The versions of the inputs that predictions were made from.

    Attributes:
        data_etags: The ETags of the partitions, in order.
        model_etag: The ETag of the bundle.
        model_sha256: The SHA-256 of the bundle, in hex.
        sklearn_versions: The scikit-learn versions that fitted the models, joined by commas.
    """

    data_etags: tuple[str, ...]
    model_etag: str
    model_sha256: str = ""
    sklearn_versions: str = ""


class ExistingState(Enum):
    """The state of an existing predictions blob under a write policy, before any input is read."""

    ABSENT = "no blob exists"
    WRITTEN_BY_THIS_RUN = "an earlier pod of this run wrote the blob"
    KEEP = "the blob is complete and covers the request"
    KEEP_IF_UNCHANGED = "the blob is kept if data and model are unchanged"
    REPLACE = "the blob is replaced, if its ETag is unchanged on write"


def build_metadata(
    *,
    run_uid: str,
    window: Window,
    tags: frozenset[str] | None,
    complete: bool,
    input_versions: InputVersions,
    row_counts: RowCounts,
    digest: DeviceDigest | None = None,
    read_at: datetime | None = None,
) -> dict[str, str]:
    """Return the metadata of a predictions blob, without empty values.

    Args:
        run_uid: The uid of the ScoringRun; empty outside a run.
        window: The window.
        tags: The requested tags; None for all tags.
        complete: True if all requested tags were scored.
        input_versions: The versions of the inputs.
        row_counts: The counts of the rows.
        digest: The figures of the tags; None for none.
        read_at: The instant at which the scorer began to read the readings, in UTC; None for none.
    """
    values = {
        "runuid": run_uid,
        "window": window.interval,
        "tags": encode_tags(tags),
        "complete": "true" if complete else "false",
        "dataetags": _hash_if_long(" ".join(input_versions.data_etags)),
        "modeletag": input_versions.model_etag,
        "modelsha256": input_versions.model_sha256,
        READ_AT_KEY: f"{read_at:%Y-%m-%dT%H:%M:%SZ}" if read_at else "",
        "scorer": __version__,
        "sklearn": input_versions.sklearn_versions,
        "rows": str(row_counts.rows),
        "badrows": str(row_counts.bad_rows),
        "unscoredrows": str(row_counts.unscored_rows),
        "anomalies": str(row_counts.anomalies),
        METADATA_KEY: encode_digest(digest) if digest else "",
    }
    return {key: value for key, value in values.items() if value}


def encode_tags(tags: frozenset[str] | None) -> str:
    """Return the requested tags as one metadata value; None (all tags) is "*"."""
    return "*" if tags is None else _hash_if_long(" ".join(encode_id(tag) for tag in sorted(tags)))


def covers(encoded_tags: str, requested_tags: frozenset[str] | None) -> bool:
    """Return True if predictions for the encoded tags hold all requested tags."""
    if encoded_tags in ("*", encode_tags(requested_tags)):
        return True
    return requested_tags is not None and {encode_id(tag) for tag in requested_tags} <= set(encoded_tags.split(" "))


def is_complete(metadata: Mapping[str, str], window: Window, requested_tags: frozenset[str] | None) -> bool:
    """Return True if a blob with this metadata holds all requested tags of this window."""
    same = metadata.get("complete") == "true" and metadata.get("window") == window.interval
    return same and covers(metadata.get("tags", ""), requested_tags) and not read_before_end(metadata)


def read_before_end(metadata: Mapping[str, str]) -> bool:
    """Return True if the readings were read before the window was over, so that later ones are not scored.

    Predictions of versions that do not record the instant count as read after the end. Both texts have the same form
    and are in UTC, so their order is that of the instants.
    """
    read_at, end = metadata.get(READ_AT_KEY, ""), metadata.get("window", "").rpartition("/")[2]
    return len(read_at) == len(end) == len("2018-08-29T00:00:00Z") and read_at < end


def data_changed(metadata: Mapping[str, str], data_etags: Sequence[str]) -> bool:
    """Return True if a blob with this metadata was made from other readings.

    Args:
        metadata: The metadata of the predictions.
        data_etags: The current ETags of the partitions, in order.
    """
    known = metadata.get("dataetags")
    return known is not None and known != _hash_if_long(" ".join(data_etags))


def existing_state(
    existing: BlobInfo | None, *, run_uid: str, window: Window, requested_tags: frozenset[str] | None, policy: str
) -> ExistingState:
    """Return the state of the existing blob.

    Args:
        existing: The blob; None if it does not exist.
        run_uid: The uid of this run; empty outside a run.
        window: The window of the request.
        requested_tags: The tags of the request; None for all tags.
        policy: One of request.WRITE_POLICIES.
    """
    if existing is None:
        return ExistingState.ABSENT
    metadata = existing.metadata
    if run_uid and metadata.get("runuid") == run_uid and metadata.get("window") == window.interval:
        return (
            ExistingState.WRITTEN_BY_THIS_RUN
            if covers(metadata.get("tags", ""), requested_tags)
            else ExistingState.REPLACE
        )
    if policy == "Overwrite" or not is_complete(metadata, window, requested_tags):
        return ExistingState.REPLACE
    return ExistingState.KEEP if policy == "CreateOnly" else ExistingState.KEEP_IF_UNCHANGED


def merged_tags(
    existing: BlobInfo | None, *, window: Window, requested_tags: frozenset[str] | None
) -> frozenset[str] | None:
    """Return the tags to score so that the new blob holds the requested tags and those of the existing blob.

    These are all tags (None) if the metadata do not list the tags of the existing blob, such as those of a long list.
    """
    if existing is None or requested_tags is None or existing.metadata.get("window") != window.interval:
        return requested_tags
    encoded_tags = existing.metadata.get("tags", "")
    if encoded_tags == encode_tags(requested_tags):
        return requested_tags
    tags = [decode_id(segment) for segment in encoded_tags.split(" ")]
    return None if None in tags else requested_tags.union(filter(None, tags))


def inputs_unchanged(metadata: Mapping[str, str], current: InputVersions) -> bool:
    """Return True if a blob with this metadata was made from the current inputs."""
    etags = _hash_if_long(" ".join(current.data_etags))
    return (metadata.get("dataetags"), metadata.get("modeletag")) == (etags, current.model_etag)


def row_counts_from(metadata: Mapping[str, str]) -> RowCounts:
    """Return the counts in the metadata; a value that is not a number of at most MAX_COUNT_DIGITS counts as 0."""
    texts: Sequence[str] = [metadata.get(key, "") for key in _COUNT_KEYS]
    return RowCounts(*(int(text) if text.isdecimal() and len(text) <= MAX_COUNT_DIGITS else 0 for text in texts))


def _hash_if_long(text: str) -> str:
    """Return the text, or its SHA-256 if it has more than MAX_VALUE_CHARS: metadata is limited to 8 KiB a blob."""
    return text if len(text) <= MAX_VALUE_CHARS else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
