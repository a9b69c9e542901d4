"""The content of a blob with a Content-Encoding. Only gzip and deflate are decoded."""

import zlib
from functools import partial

from device_scorer.decompression import decompress_members
from device_scorer.errors import BlobEncodingInvalid, BlobTooLarge

MAX_ENCODINGS = 3
_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
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
            content = decompress_members(content, partial(zlib.decompressobj, _WINDOW_BITS[one]), limit)
        except (zlib.error, EOFError) as error:
            raise BlobEncodingInvalid(name, encoding, "does not match the content") from error
        if len(content) > limit:
            raise BlobTooLarge(name, limit + 1, limit)
    return content
