"""Tests of blobs with a Content-Encoding."""

import gzip
import zlib

import pytest

from device_scorer.decompression import MAX_MEMBERS
from device_scorer.errors import BlobEncodingInvalid, BlobTooLarge
from device_scorer.store.encoding import decode_content

TEXT = b"TS,Device,Tag,Value\n" * 5000


def compress(content: bytes) -> bytes:
    """Return the content as gzip without a time: the ids of the tests are the same in each worker."""
    return gzip.compress(content, mtime=0)


def size_or_text(value: bytes | str) -> str:
    return value if isinstance(value, str) else str(len(value))


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (compress(TEXT), "gzip"),
        (compress(TEXT), " X-GZIP "),
        (compress(TEXT[:50_000]) + compress(TEXT[50_000:]), "gzip"),
        (compress(TEXT) + b"\0" * 100, "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (compress(zlib.compress(TEXT)), "deflate, gzip"),
        (TEXT, ""),
        (TEXT, "identity"),
    ],
    ids=size_or_text,
)
def test_encoded_content_is_decoded(content: bytes, encoding: str) -> None:
    assert decode_content("a.csv", content, encoding, max_bytes=len(TEXT)) == TEXT
    assert decode_content("a.csv", content, encoding, max_bytes=None) == TEXT


def test_empty_content_stays_empty() -> None:
    assert decode_content("a.csv", b"", "gzip", max_bytes=10) == b""


@pytest.mark.parametrize(
    ("content", "encoding", "problem"),
    [
        (TEXT, "br", "is not supported"),
        (TEXT, "zstd", "is not supported"),
        (compress(TEXT), "gzip, gzip, gzip, gzip", "is not supported"),
        (TEXT, "gzip", "does not match the content"),
        (compress(TEXT)[:-9], "gzip", "does not match the content"),
        (compress(TEXT) + b"rest", "gzip", "does not match the content"),
        (compress(TEXT), "deflate", "does not match the content"),
        (compress(b"") * (MAX_MEMBERS + 2), "gzip", "does not match the content"),
    ],
    ids=size_or_text,
)
def test_content_that_cannot_be_decoded_names_its_encoding(content: bytes, encoding: str, problem: str) -> None:
    with pytest.raises(BlobEncodingInvalid, match=rf"a\.csv is invalid: its Content-Encoding .* {problem}"):
        decode_content("a.csv", content, encoding, max_bytes=None)


@pytest.mark.fault("D6", "T15")
def test_bomb_ends_at_the_limit_of_the_decoded_size() -> None:
    bomb = compress(compress(bytes(200 * 2**20)))
    with pytest.raises(BlobTooLarge) as rejected:
        decode_content("a.csv", bomb, "gzip, gzip", max_bytes=2**20)
    assert (rejected.value.size, rejected.value.limit) == (2**20 + 1, 2**20)
