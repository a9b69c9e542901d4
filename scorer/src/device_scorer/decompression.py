"""Decompression of files with several members, with limits."""

from collections.abc import Callable
from typing import Protocol

MAX_MEMBERS = 100_000
"""The largest number of members of a file. Tools that compress in blocks of 64 KiB write one member a block."""

_CHUNK_BYTES = 16 * 1024


class Decompressor(Protocol):
    """A decompressor of one member, as those of zlib, bz2 and lzma."""

    @property
    def eof(self) -> bool:
        """True after the end of the member."""

    @property
    def unused_data(self) -> bytes:
        """The data after the end of the member."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return decompressed data, at most max_length bytes."""


def decompress_members(content: bytes, create: Callable[[], Decompressor], max_bytes: int) -> bytes:
    """Return the decompressed content of all members, or its first max_bytes + 1 bytes.

    Zero bytes after a member are padding. The input is passed in chunks, as each end of a member copies the rest of
    one.

    Args:
        content: The members, one after the other.
        create: The function that creates the decompressor of a member.
        max_bytes: The largest allowed size of the decompressed content.

    Raises:
        EOFError: The last member is cut, or there are too many.
        zlib.error, OSError, lzma.LZMAError: The content is damaged; the type is that of the decompressor.
    """
    decoded, size, members = [], 0, 0
    decompressor = create()
    for start in range(0, len(content), _CHUNK_BYTES):
        chunk = content[start : start + _CHUNK_BYTES]
        while chunk:
            if decompressor.eof:
                members += 1
                chunk = chunk.lstrip(b"\0")
                if members > MAX_MEMBERS:
                    raise EOFError("it has too many members")
                if not chunk:
                    break
                decompressor = create()
            decoded.append(decompressor.decompress(chunk, max_bytes - size + 1))
            size += len(decoded[-1])
            if size > max_bytes:
                return b"".join(decoded)
            chunk = decompressor.unused_data
    if content and not decompressor.eof:
        raise EOFError("it is truncated")
    return b"".join(decoded)
