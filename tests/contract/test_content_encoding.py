"""Blobs with a Content-Encoding: the client reads what the scorer reads, and rejects what the scorer rejects."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.errors import BlobUnreadable
from device_scorer.store import encoding as scorer
from fleetscore.contract import content_encoding as client
from fleetscore.errors import DataInvalid

TEXT = b"TS,Device,Tag,Value\n" * 2000
MAX_BYTES = 2 * len(TEXT)


def packed(content: bytes = TEXT) -> bytes:
    return gzip.compress(content, mtime=0)


CONTENTS: dict[str, tuple[bytes, str, bytes | None]] = {
    "none": (TEXT, "", TEXT),
    "identity": (TEXT, "identity", TEXT),
    "gzip": (packed(), "GZIP", TEXT),
    "x-gzip": (packed(), " x-gzip ", TEXT),
    "deflate": (zlib.compress(TEXT), "deflate", TEXT),
    "twice": (packed(zlib.compress(TEXT)), "deflate, gzip", TEXT),
    "empty": (b"", "gzip", b""),
    "empty-member": (packed(b""), "gzip", b""),
    "members": (packed(TEXT[:50]) + packed(b"") + packed(TEXT[50:]), "gzip", TEXT),
    "zeros-after": (packed() + bytes(100), "gzip", TEXT),
    "zeros-between": (packed(TEXT[:50]) + bytes(9) + packed(TEXT[50:]), "gzip", TEXT),
    "cut": (packed()[:-9], "gzip", None),
    "cut-checksum": (packed()[:-1], "gzip", None),
    "cut-header": (packed()[:5], "gzip", None),
    "cut-second-member": (packed() + packed()[:-9], "gzip", None),
    "rest": (packed() + b"rest", "gzip", None),
    "wrong-checksum": (packed()[:-8] + bytes(8), "gzip", None),
    "plain": (TEXT, "gzip", None),
    "gzip-as-deflate": (packed(), "deflate", None),
    "unknown": (TEXT, "br", None),
    "four-times": (TEXT, "gzip, gzip, gzip, gzip", None),
    "bomb": (packed(bytes(MAX_BYTES + 1)), "gzip", None),
    "bomb-of-members": (packed(bytes(MAX_BYTES)) + packed(b"x"), "gzip", None),
    "bomb-in-bomb": (packed(packed(bytes(64 * MAX_BYTES))), "gzip, gzip", None),
    "many-members": (packed(b"") * (client.MAX_MEMBERS + 2), "gzip", None),
}
"""The stored content, its Content-Encoding, and the decoded content; None if it is rejected."""


def decoded(decode: Callable[..., bytes], content: bytes, encoding: str) -> bytes | None:
    try:
        return decode("a.csv", content, encoding, max_bytes=MAX_BYTES)
    except (BlobUnreadable, DataInvalid):
        return None


@pytest.mark.parametrize("name", CONTENTS)
def test_client_and_scorer_decode_or_reject_the_same_contents(name: str) -> None:
    content, encoding, expected = CONTENTS[name]
    assert decoded(scorer.decode_content, content, encoding) == expected
    assert decoded(client.decode_content, content, encoding) == expected


@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 10_000))
def test_damaged_content_is_decoded_by_both_or_by_none(at: int, flip: int, end: int) -> None:
    damaged = bytearray(packed(TEXT[:50]) + packed(TEXT[50:]))
    damaged[at % len(damaged)] ^= flip
    content = bytes(damaged[: end % (len(damaged) + 1)])
    found = decoded(client.decode_content, content, "gzip")
    assert found == decoded(scorer.decode_content, content, "gzip")
