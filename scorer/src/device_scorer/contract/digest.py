"""The digest of a device in a window: figures of each tag, in the metadata of the predictions.

`score` writes a digest as the metadata `digest` of each predictions blob, and `report` reads it in the listing in place
of the predictions. A digest is `1.` and the base64 of zlib-compressed JSON. Azure allows 8 KiB of metadata for a blob
(REST API, "Setting and retrieving properties and metadata"), so a digest is bounded. Tags that do not fit are left out
and counted. Any client with write access may write a digest, so `decode_digest` accepts only what `encode_digest`
writes.
"""

import json
import re
import zlib
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections import Counter
from collections.abc import Callable, Container, Sequence
from math import isfinite
from typing import Any, NamedTuple, TypeGuard

from device_scorer.quality import MAX_ABSOLUTE_VALUE

METADATA_KEY = "digest"
BUCKET_COUNT = 60
"""Number of equal parts of a window by which anomalies are counted."""

MAX_DIGEST_CHARS = 4096
"""Length of an encoded digest. The other metadata of predictions has at most 3.5 KiB."""

MAX_TAGS = 400
MIN_WHOLE_TAGS = 10
"""Number of tags whose figures are kept before further tags are named."""

MAX_TAG_CHARS = 256
MAX_UNMODELLED_TAGS = 20
MAX_TEXT_CHARS = 64
"""Length of the text of a TS, of a value, or of a tag without a model."""

MAX_DETAIL_CHARS = 160
MAX_INTEGER = 10**15 - 1
FLAGS = ("silent", "sparse", "stale", "stuck", "implausible", "jumpy")
"""The faults of a sensor in a window (IOOS, "QARTOD Manual for Real-Time Quality Control": gap, flat line, range, rate
of change)."""

_MAX_UNPACKED_BYTES = 64 * 1024
_PREFIX = "1."
_SURROGATES = re.compile("[\ud800-\udfff]")
_TAG_FIELDS = 16


class SensorFlag(NamedTuple):
    """A fault of a sensor in a window.

    Attributes:
        name: One of FLAGS.
        since: The instant since which the fault is known, in seconds since the epoch; 0 if it is unknown.
        detail: The numbers that show the fault, as a short sentence of at most MAX_DETAIL_CHARS.
    """

    name: str
    since: int = 0
    detail: str = ""


class TagDigest(NamedTuple):
    """The figures of one tag in a window. Times and numbers of a tag without rows are 0.

    Attributes:
        tag: The tag.
        rows: Rows with a prediction.
        bad_rows: Rows of the tag that are not readings.
        first_time: The time of the first row, in seconds since the epoch.
        last_time: The time of the last row, in seconds since the epoch.
        minimum: The lowest value.
        maximum: The highest value.
        mean: The mean of the values.
        longest_flat_seconds: The longest time during which the value did not change.
        anomalies: Rows that are predicted as anomalies.
        first_anomaly: TS of the earliest anomaly, as the predictions have it.
        last_anomaly: TS of the latest anomaly.
        worst_ts: TS of the anomaly with the lowest score; of equal scores the first one.
        worst_value: The text of the value of that anomaly.
        worst_score: The score of that anomaly, as the predictions have it.
        flags: The faults of the sensor.
    """

    tag: str
    rows: int = 0
    bad_rows: int = 0
    first_time: int = 0
    last_time: int = 0
    minimum: float = 0.0
    maximum: float = 0.0
    mean: float = 0.0
    longest_flat_seconds: int = 0
    anomalies: int = 0
    first_anomaly: str = ""
    last_anomaly: str = ""
    worst_ts: str = ""
    worst_value: str = ""
    worst_score: float = 0.0
    flags: tuple[SensorFlag, ...] = ()


class DeviceDigest(NamedTuple):
    """The figures of one device in a window.

    Attributes:
        tags: The figures by tag.
        newest_time: The time of the newest row, in seconds since the epoch; 0 without rows.
        anomalies_by_bucket: The anomalies of all tags by part of the window, BUCKET_COUNT numbers; empty without
            anomalies.
        left_out_tags: The number of tags that did not fit.
        unmodelled: The tags without a model with their rows, as pairs. At most MAX_UNMODELLED_TAGS are kept, those with
            the most rows.
        left_out_flags: The flags of the tags that did not fit, a number for each of FLAGS, and then the anomalies of
            these flagged tags; empty without such flags.
    """

    tags: tuple[TagDigest, ...] = ()
    newest_time: int = 0
    anomalies_by_bucket: tuple[int, ...] = ()
    left_out_tags: int = 0
    unmodelled: tuple[tuple[str, int], ...] = ()
    left_out_flags: tuple[int, ...] = ()


def encode_digest(digest: DeviceDigest) -> str:
    """Return a digest as ASCII text of at most MAX_DIGEST_CHARS.

    Flagged tags are kept first, then the tags with the most anomalies. If not all of them fit, the last ones have only
    their rows, anomalies and the names of their flags. A tag with a longer text or a number out of range is left out.

    Args:
        digest: The digest.
    """
    kept = [index for index, tag in enumerate(digest.tags) if _tag_is_valid(tag)]
    kept.sort(key=lambda index: (not digest.tags[index].flags, -digest.tags[index].anomalies, index))
    kept = kept[:MAX_TAGS]
    needed = sum(bool(digest.tags[index].flags or digest.tags[index].anomalies) for index in kept)
    return (
        _encode(digest, kept)
        or _longest(len(kept), lambda count: _encode(digest, kept[:count], kept[count:needed]))
        or _longest(len(kept), lambda count: _encode(digest, kept[:MIN_WHOLE_TAGS], kept[MIN_WHOLE_TAGS:count]))
        or _longest(len(kept), lambda count: _encode(digest, kept[:count]))
        or ""
    )


def _longest(high: int, encode: Callable[[int], str | None]) -> str | None:
    """Return the text with the largest number of tags that fits; None if the text without tags is too long."""
    best, low = encode(0), 1
    while best is not None and low <= high:
        middle = (low + high) // 2
        text = encode(middle)
        if text is None:
            high = middle - 1
        else:
            best, low = text, middle + 1
    return best


def decode_digest(text: str) -> DeviceDigest | None:
    """Return the digest of a text, or None if `encode_digest` does not write such a text.

    Args:
        text: The metadata value, which any writer of blobs may have replaced.
    """
    if not text.startswith(_PREFIX) or len(text) > MAX_DIGEST_CHARS or not text.isascii():
        return None
    try:
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(a2b_base64(text[len(_PREFIX) :], strict_mode=True), _MAX_UNPACKED_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            return None
        newest, left_out, buckets, unmodelled, entries, *flags = json.loads(plain)
        if len(flags) > 1:
            return None
        tags = tuple(_decode_tag(entry) for entry in entries)
        pairs = tuple((tag, rows) for tag, rows in unmodelled)
        digest = DeviceDigest(tags, newest, tuple(buckets), left_out, pairs, tuple(flags[0]) if flags else ())
    except (Base64Error, zlib.error, ValueError, TypeError, RecursionError):
        return None
    return digest if _digest_is_valid(digest) and all(map(_tag_is_valid, tags)) else None


def _encode(digest: DeviceDigest, kept: Sequence[int], short: Sequence[int] = ()) -> str | None:
    """Return the text with these tags, some of them in a short form, or None if it is too long."""
    left_out = digest.left_out_tags + len(digest.tags) - len(kept) - len(short)
    tags = {index: digest.tags[index] for index in kept} | {index: _shorten(digest.tags[index]) for index in short}
    entries = [_encode_tag(tags[index]) for index in sorted(tags)]
    unmodelled = sorted(filter(_pair_is_valid, digest.unmodelled), key=lambda pair: (-pair[1], pair[0]))
    document = [
        digest.newest_time,
        left_out,
        digest.anomalies_by_bucket,
        unmodelled[:MAX_UNMODELLED_TAGS],
        entries,
    ]
    if flags := _left_out_flags(digest, tags):
        document.append(flags)
    plain = json.dumps(document, separators=(",", ":")).encode()
    if len(plain) > _MAX_UNPACKED_BYTES:
        return None
    text = _PREFIX + b2a_base64(zlib.compress(plain), newline=False).decode()
    return text if len(text) <= MAX_DIGEST_CHARS else None


def _left_out_flags(digest: DeviceDigest, kept: Container[int]) -> list[int]:
    """Return `left_out_flags` of a digest of which only the tags at some indexes are kept."""
    flagged = [tag for index, tag in enumerate(digest.tags) if tag.flags and index not in kept]
    names = Counter(flag.name for tag in flagged for flag in tag.flags)
    counts = [*(names[name] for name in FLAGS), sum(tag.anomalies for tag in flagged)]
    before = digest.left_out_flags or [0] * len(counts)
    return [min(sum(pair), MAX_INTEGER) for pair in zip(counts, before, strict=True)] if flagged or any(before) else []


def _shorten(tag: TagDigest) -> TagDigest:
    """Return the tag without the figures that only people read."""
    return TagDigest(
        tag.tag,
        tag.rows,
        anomalies=tag.anomalies,
        first_anomaly=tag.first_anomaly,
        last_anomaly=tag.last_anomaly,
        worst_ts=tag.worst_ts,
        worst_value=tag.worst_value,
        worst_score=tag.worst_score,
        flags=tuple(SensorFlag(flag.name, flag.since) for flag in tag.flags),
    )


def _encode_tag(tag: TagDigest) -> list[Any]:
    return [
        tag.tag,
        tag.rows,
        tag.bad_rows,
        tag.first_time,
        tag.last_time,
        tag.minimum,
        tag.maximum,
        tag.mean,
        tag.longest_flat_seconds,
        tag.anomalies,
        tag.first_anomaly,
        tag.last_anomaly,
        tag.worst_ts,
        tag.worst_value,
        tag.worst_score,
        [[flag.name, flag.since, flag.detail] for flag in tag.flags],
    ]


def _decode_tag(entry: list[Any]) -> TagDigest:
    if type(entry) is not list or len(entry) != _TAG_FIELDS or type(entry[-1]) is not list:
        raise ValueError("a tag has other fields")
    flags = tuple(SensorFlag(name, since, detail) for name, since, detail in entry[-1])
    return TagDigest(*[*entry[:-1], flags])


def _digest_is_valid(digest: DeviceDigest) -> bool:
    counts, tags, flags = digest.anomalies_by_bucket, digest.tags, digest.left_out_flags
    numbers = [digest.newest_time, digest.left_out_tags, *counts, *flags]
    return (
        all(map(_is_integer, numbers))
        and min(digest.left_out_tags, *counts, *flags, 0) == 0
        and len(flags) in (0, len(FLAGS) + 1)
        and max(flags[:-1], default=0) <= digest.left_out_tags
        and len(counts) in (0, BUCKET_COUNT)
        and len(tags) <= MAX_TAGS
        and len({tag.tag for tag in tags if type(tag.tag) is str}) == len(tags)
        and len(digest.unmodelled) <= MAX_UNMODELLED_TAGS
        and all(map(_pair_is_valid, digest.unmodelled))
    )


def _pair_is_valid(pair: tuple[object, object]) -> bool:
    tag, rows = pair
    return _is_text(tag, MAX_TEXT_CHARS) and _is_integer(rows) and rows >= 0


def _tag_is_valid(tag: TagDigest) -> bool:
    """Return True if every field has its type and is in its range."""
    counts = (tag.rows, tag.bad_rows, tag.longest_flat_seconds, tag.anomalies)
    texts = (tag.first_anomaly, tag.last_anomaly, tag.worst_ts, tag.worst_value)
    values = (tag.minimum, tag.maximum, tag.mean)
    return (
        all(map(_is_integer, (*counts, tag.first_time, tag.last_time)))
        and min(counts) >= 0
        and tag.anomalies <= tag.rows
        and all(map(_is_number, (*values, tag.worst_score)))
        and max(map(abs, values)) <= MAX_ABSOLUTE_VALUE
        and tag.minimum <= tag.maximum
        and _is_text(tag.tag, MAX_TAG_CHARS)
        and tag.tag != ""
        and all(_is_text(text, MAX_TEXT_CHARS) for text in texts)
        and len(tag.flags) <= len(FLAGS)
        and all(map(_flag_is_valid, tag.flags))
    )


def _flag_is_valid(flag: SensorFlag) -> bool:
    return flag.name in FLAGS and _is_integer(flag.since) and _is_text(flag.detail, MAX_DETAIL_CHARS)


def _is_text(value: object, limit: int) -> bool:
    """Return True for a text of at most `limit` characters without surrogates, which UTF-8 cannot encode."""
    if type(value) is not str or len(value) > limit:
        return False
    return value.isascii() or _SURROGATES.search(value) is None


def _is_integer(value: object) -> TypeGuard[int]:
    return type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER


def _is_number(value: object) -> bool:
    return (type(value) is float and isfinite(value)) or _is_integer(value)
