"""Tests of the decompression of files with several members."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from device_scorer.decompression import MAX_MEMBERS, decompress_members

TEXT = b"a line of text\n" * 5000
FORMATS: list[Any] = [
    pytest.param(gzip.compress, partial(zlib.decompressobj, 47), id="gzip"),
    pytest.param(zlib.compress, partial(zlib.decompressobj, 47), id="zlib"),
    pytest.param(bz2.compress, bz2.BZ2Decompressor, id="bz2"),
    pytest.param(lzma.compress, lzma.LZMADecompressor, id="xz"),
]


def test_file_of_more_than_100000_members_is_rejected() -> None:
    assert MAX_MEMBERS == 100_000
    with pytest.raises(EOFError, match="too many members"):
        decompress_members(gzip.compress(b"", mtime=0) * 100_002, partial(zlib.decompressobj, 31), 10)


@pytest.mark.parametrize(("compress", "create"), FORMATS)
def test_all_members_are_decompressed(compress: Callable[[bytes], bytes], create: Callable[[], Any]) -> None:
    parts = [TEXT[at : at + 100] for at in range(0, len(TEXT), 100)]
    content = b"".join(map(compress, parts))
    assert decompress_members(content + bytes(20), create, len(TEXT)) == TEXT
    assert len(decompress_members(content, create, len(TEXT) - 1)) == len(TEXT)


@pytest.mark.parametrize(("compress", "create"), FORMATS)
def test_cut_last_member_is_an_error(compress: Callable[[bytes], bytes], create: Callable[[], Any]) -> None:
    with pytest.raises(EOFError, match="truncated"):
        decompress_members(compress(TEXT) + compress(TEXT)[:-3], create, 2 * len(TEXT))
