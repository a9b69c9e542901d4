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
from device_scorer.contract.blob_paths import identifier, segment
from device_scorer.contract.outcome_message import Figures
from device_scorer.store.base import BlobInfo
from device_scorer.window import Window

_LONGEST = 1500
_FIGURES = ("rows", "badrows", "unscoredrows", "anomalies")


@dataclass(frozen=True, slots=True)
class Sources:
    """The very inputs of a prediction: ETags of the readings in order, ETag and SHA-256 of the bundle."""

    data_etags: tuple[str, ...]
    model_etag: str
    model_sha256: str = ""
    sklearn: str = ""


class Standing(Enum):
    """What an existing blob means for a device under a write policy, before anything is read."""

    ABSENT = "there is none"
    OURS = "this run wrote it: a retried pod finds its work done"
    STANDS = "it is complete and covers what is asked"
    STANDS_IF_UNCHANGED = "it stands if data and model are the same as then"
    YIELDS = "it is to be replaced, if it is still the same by then"


def metadata(
    *,
    run_uid: str,
    window: Window,
    tags: frozenset[str] | None,
    complete: bool,
    sources: Sources,
    figures: Figures,
) -> dict[str, str]:
    """The metadata of a predictions blob; what is empty is left out."""
    words = {
        "runuid": run_uid,
        "window": window.text,
        "tags": encode_tags(tags),
        "complete": "true" if complete else "false",
        "dataetags": _short(" ".join(sources.data_etags)),
        "modeletag": sources.model_etag,
        "modelsha256": sources.model_sha256,
        "scorer": __version__,
        "sklearn": sources.sklearn,
        "rows": str(figures.rows),
        "badrows": str(figures.bad_rows),
        "unscoredrows": str(figures.unscored_rows),
        "anomalies": str(figures.anomalies),
    }
    return {key: value for key, value in words.items() if value}


def encode_tags(tags: frozenset[str] | None) -> str:
    """The tags asked for as one word of metadata."""
    return "*" if tags is None else _short(" ".join(segment(tag) for tag in sorted(tags)))


def covers(there: str, asked: frozenset[str] | None) -> bool:
    """Whether predictions made for the tags in metadata hold all that is asked for."""
    if there in ("*", encode_tags(asked)):
        return True
    return asked is not None and {segment(tag) for tag in asked} <= set(there.split(" "))


def is_complete(found: Mapping[str, str], window: Window, asked: frozenset[str] | None) -> bool:
    """Whether a blob with this metadata answers the question for this window and these tags in full."""
    same = found.get("complete") == "true" and found.get("window") == window.text
    return same and covers(found.get("tags", ""), asked)


def standing(
    there: BlobInfo | None, *, run_uid: str, window: Window, asked: frozenset[str] | None, policy: str
) -> Standing:
    """What the blob that is there means; see Standing. `policy` is one of task.WRITE_POLICIES."""
    if there is None:
        return Standing.ABSENT
    found = there.metadata
    if run_uid and found.get("runuid") == run_uid and found.get("window") == window.text:
        return Standing.OURS if covers(found.get("tags", ""), asked) else Standing.YIELDS
    if policy == "Overwrite" or not is_complete(found, window, asked):
        return Standing.YIELDS
    return Standing.STANDS if policy == "CreateOnly" else Standing.STANDS_IF_UNCHANGED


def widened(there: BlobInfo | None, *, window: Window, asked: frozenset[str] | None) -> frozenset[str] | None:
    """The tags to score so that replacing the blob that is there loses none of its tags."""
    if there is None or asked is None or there.metadata.get("window") != window.text:
        return asked
    found = there.metadata.get("tags", "")
    if found == "*":
        return None
    return asked | {tag for word in found.split(" ") if (tag := identifier(word)) is not None}


def unchanged(found: Mapping[str, str], sources: Sources) -> bool:
    """Whether a blob with this metadata was made of these very inputs."""
    etags = _short(" ".join(sources.data_etags))
    return (found.get("dataetags"), found.get("modeletag")) == (etags, sources.model_etag)


def figures_of(found: Mapping[str, str]) -> Figures:
    """The figures in metadata; what is no number counts as 0."""
    numbers: Sequence[int] = [int(text) if (text := found.get(key, "")).isdecimal() else 0 for key in _FIGURES]
    return Figures(*numbers)


def _short(text: str) -> str:
    """The text, or its hash where it would not fit beside the rest into a blob's metadata (8 KiB)."""
    return text if len(text) <= _LONGEST else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
