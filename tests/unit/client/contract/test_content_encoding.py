"""Blobs with a Content-Encoding; tests/contract compares the results with those of the scorer."""

import gzip

import pytest

from fleetscore.contract.content_encoding import decode_content
from fleetscore.errors import DataInvalid, TooLarge

PACKED = gzip.compress(b"TS,Device\n" * 1000, mtime=0)


@pytest.mark.parametrize(
    ("content", "encoding", "kind", "text"),
    [
        (PACKED[:-9], "gzip", DataInvalid, "'gzip' does not match the content, which may be cut; write it again"),
        (PACKED + b"rest", "gzip", DataInvalid, "'gzip' does not match the content"),
        (PACKED, "br", DataInvalid, "'br' is not supported; use gzip or no encoding"),
        (gzip.compress(bytes(10_001), mtime=0), "gzip", TooLarge, "it has more than 10,000 bytes; delete it"),
    ],
    ids=["cut", "rest", "unknown", "bomb"],
)
def test_content_that_cannot_be_decoded_is_named(
    content: bytes, encoding: str, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=rf"^w/a\.csv is .*{text}"):
        decode_content("w/a.csv", content, encoding, max_bytes=10_000)


def test_content_of_exactly_the_limit_is_decoded() -> None:
    assert len(decode_content("a.csv", PACKED, "gzip", max_bytes=10_000)) == 10_000
