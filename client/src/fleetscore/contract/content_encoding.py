"""The content of a blob with a Content-Encoding: gzip and deflate are decoded, by the rules of the scorer."""

import zlib

from fleetscore.errors import DataInvalid, TooLarge

MAX_ENCODINGS = 3
MAX_MEMBERS = 100_000
"""The largest number of members of a gzip file. Tools that compress in blocks of 64 KiB write one member a block."""

_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_CHUNK_BYTES = 16 * 1024


def decode_content(name: str, content: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """Return the decoded content of a blob.

    Args:
        name: The name of the blob, for messages.
        content: The bytes as they are stored.
        encoding: The Content-Encoding; empty for none. Of several, separated by commas, the last is outermost.
        max_bytes: The largest size of the decoded content.

    Raises:
        DataInvalid: The encoding is not supported, or the content does not have it.
        TooLarge: The decoded content is larger than max_bytes.
    """
    applied = [part for text in encoding.split(",") if (part := text.strip().lower()) not in ("", "identity")]
    problem = f"{name} is invalid: its Content-Encoding {encoding[:40]!r}"
    if len(applied) > MAX_ENCODINGS or not set(applied) <= _WINDOW_BITS.keys():
        raise DataInvalid(f"{problem} is not supported; use gzip or no encoding")
    for one in reversed(applied):
        try:
            content = _inflate(content, _WINDOW_BITS[one], max_bytes)
        except (zlib.error, EOFError) as error:
            raise DataInvalid(f"{problem} does not match the content, which may be cut; write it again") from error
        if len(content) > max_bytes:
            text = f"{name} is too large: decompressed, it has more than {max_bytes:,} bytes"
            raise TooLarge(f"{text}; delete it, or write a smaller one")
    return content


def _inflate(content: bytes, window_bits: int, max_bytes: int) -> bytes:
    """Return the decoded content, or its first max_bytes + 1 bytes.

    The input is passed in chunks: each end of a member copies the rest of its chunk.
    """
    decoded, size, members = [], 0, 0
    inflater = zlib.decompressobj(window_bits)
    for start in range(0, len(content), _CHUNK_BYTES):
        chunk = content[start : start + _CHUNK_BYTES]
        while chunk:
            if inflater.eof:
                members += 1
                chunk = chunk.lstrip(b"\0")  # padding, which gzip permits
                if members > MAX_MEMBERS:
                    raise EOFError
                if not chunk:
                    break
                inflater = zlib.decompressobj(window_bits)
            decoded.append(inflater.decompress(chunk, max_bytes - size + 1))
            size += len(decoded[-1])
            if size > max_bytes:
                return b"".join(decoded)
            chunk = inflater.unused_data
    if content and not inflater.eof:
        raise EOFError
    return b"".join(decoded)
