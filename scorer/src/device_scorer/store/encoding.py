"""The content of a blob with a Content-Encoding. Only gzip and deflate are decoded."""

import zlib

from device_scorer.errors import BlobEncodingInvalid, BlobTooLarge

MAX_ENCODINGS = 3
MAX_MEMBERS = 100_000
"""The largest number of members of a gzip file. Tools that compress in blocks of 64 KiB write one member a block."""

_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_INPUT_CHUNK_BYTES = 16 * 1024
_NO_LIMIT_BYTES = 2**40


def decode_content(name: str, content: bytes, encoding: str, *, max_bytes: int | None) -> bytes:
    """Return the decoded content of a blob.

    Args:
        name: The blob's name, for error texts.
        content: The bytes as they are stored.
        encoding: The Content-Encoding; empty for none. Of several, separated by commas, the last is outermost.
        max_bytes: The largest allowed size of the decoded content; None allows every size.

    Raises:
        BlobEncodingInvalid: The encoding is not supported, or the content does not have it.
        BlobTooLarge: The decoded content is larger than max_bytes.
    """
    applied = [part for text in encoding.split(",") if (part := text.strip().lower()) not in ("", "identity")]
    if len(applied) > MAX_ENCODINGS or not set(applied) <= _WINDOW_BITS.keys():
        raise BlobEncodingInvalid(name, encoding, "is not supported")
    limit = _NO_LIMIT_BYTES if max_bytes is None else max_bytes
    for one in reversed(applied):
        try:
            content = _inflate(content, _WINDOW_BITS[one], limit)
        except _TooLargeError as error:
            raise BlobTooLarge(name, limit + 1, limit) from error
        except (zlib.error, EOFError) as error:
            raise BlobEncodingInvalid(name, encoding, "does not match the content") from error
    return content


class _TooLargeError(Exception):
    """The decoded content exceeds the limit."""


def _inflate(content: bytes, window_bits: int, max_bytes: int) -> bytes:
    """Return the decoded content. The input is passed in chunks, as each end of a member copies the rest of one."""
    decoded, size, members = [], 0, 0
    inflater = zlib.decompressobj(window_bits)
    for start in range(0, len(content), _INPUT_CHUNK_BYTES):
        chunk = content[start : start + _INPUT_CHUNK_BYTES]
        while chunk:
            if inflater.eof:
                members += 1
                chunk = chunk.lstrip(b"\0")
                if members > MAX_MEMBERS:
                    raise EOFError
                if not chunk:
                    break
                inflater = zlib.decompressobj(window_bits)
            decoded.append(inflater.decompress(chunk, max_bytes - size + 1))
            size += len(decoded[-1])
            if size > max_bytes:
                raise _TooLargeError
            chunk = inflater.unused_data
    if content and not inflater.eof:
        raise EOFError
    return b"".join(decoded)
