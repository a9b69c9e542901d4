"""A predictions blob's metadata, and what it means for who comes next. Pure.

Metadata keys are one lower-case word each, as HTTP headers carry them safely; values are ASCII. `tags` is "*" or the
tags asked for, percent-encoded and joined by spaces (their SHA-256 where that is long); `complete` is "true" where all
of them were scored.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from device_scorer import __version__
from device_scorer.contract.blob_paths import decode_id, encode_id
from device_scorer.contract.outcome_message import RowCounts
from device_scorer.store.base import BlobInfo
from device_scorer.window import Window

_MAX_VALUE_CHARS = 1500
_COUNT_KEYS = ("rows", "badrows", "unscoredrows", "anomalies")


@dataclass(frozen=True, slots=True)
class InputVersions:
    """The very inputs of a prediction: ETags of the readings in order, ETag and SHA-256 of the bundle."""

    data_etags: tuple[str, ...]
    model_etag: str
    model_sha256: str = ""
    sklearn_versions: str = ""


class ExistingState(Enum):
    """What an existing blob means for a device under a write policy, before anything is read."""

    ABSENT = "there is none"
    WRITTEN_BY_THIS_RUN = "this run wrote it: a retried pod finds its work done"
    KEEP = "it is complete and covers what is asked"
    KEEP_IF_UNCHANGED = "it stands if data and model are the same as then"
    REPLACE = "it is to be replaced, if it is still the same by then"


def build_metadata(
    *,
    run_uid: str,
    window: Window,
    tags: frozenset[str] | None,
    complete: bool,
    input_versions: InputVersions,
    row_counts: RowCounts,
) -> dict[str, str]:
    """The metadata of a predictions blob; what is empty is left out."""
    values = {
        "runuid": run_uid,
        "window": window.interval,
        "tags": encode_tags(tags),
        "complete": "true" if complete else "false",
        "dataetags": _hash_if_long(" ".join(input_versions.data_etags)),
        "modeletag": input_versions.model_etag,
        "modelsha256": input_versions.model_sha256,
        "scorer": __version__,
        "sklearn": input_versions.sklearn_versions,
        "rows": str(row_counts.rows),
        "badrows": str(row_counts.bad_rows),
        "unscoredrows": str(row_counts.unscored_rows),
        "anomalies": str(row_counts.anomalies),
    }
    return {key: value for key, value in values.items() if value}


def encode_tags(tags: frozenset[str] | None) -> str:
    """The tags asked for as one word of metadata."""
    return "*" if tags is None else _hash_if_long(" ".join(encode_id(tag) for tag in sorted(tags)))


def covers(encoded_tags: str, requested_tags: frozenset[str] | None) -> bool:
    """Whether predictions made for the tags in metadata hold all that is asked for."""
    if encoded_tags in ("*", encode_tags(requested_tags)):
        return True
    return requested_tags is not None and {encode_id(tag) for tag in requested_tags} <= set(encoded_tags.split(" "))


def is_complete(metadata: Mapping[str, str], window: Window, requested_tags: frozenset[str] | None) -> bool:
    """Whether a blob with this metadata answers the question for this window and these tags in full."""
    same = metadata.get("complete") == "true" and metadata.get("window") == window.interval
    return same and covers(metadata.get("tags", ""), requested_tags)


def existing_state(
    existing: BlobInfo | None, *, run_uid: str, window: Window, requested_tags: frozenset[str] | None, policy: str
) -> ExistingState:
    """What the blob that is there means; see Standing. `policy` is one of task.WRITE_POLICIES."""
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
    """The tags to score so that replacing the blob that is there loses none of its tags."""
    if existing is None or requested_tags is None or existing.metadata.get("window") != window.interval:
        return requested_tags
    encoded_tags = existing.metadata.get("tags", "")
    if encoded_tags == "*":
        return None
    return requested_tags | {tag for word in encoded_tags.split(" ") if (tag := decode_id(word)) is not None}


def inputs_unchanged(metadata: Mapping[str, str], current: InputVersions) -> bool:
    """Whether a blob with this metadata was made of these very inputs."""
    etags = _hash_if_long(" ".join(current.data_etags))
    return (metadata.get("dataetags"), metadata.get("modeletag")) == (etags, current.model_etag)


def row_counts_from(metadata: Mapping[str, str]) -> RowCounts:
    """The figures in metadata; what is no number counts as 0."""
    numbers: Sequence[int] = [int(text) if (text := metadata.get(key, "")).isdecimal() else 0 for key in _COUNT_KEYS]
    return RowCounts(*numbers)


def _hash_if_long(text: str) -> str:
    """The text, or its hash where it would not fit beside the rest into a blob's metadata (8 KiB)."""
    return text if len(text) <= _MAX_VALUE_CHARS else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
