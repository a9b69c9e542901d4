"""The metadata of blobs as HTTP headers carry it: printable ASCII, bounded, with a checksum of the content."""

import re
from collections.abc import Mapping
from urllib.parse import quote

CHECKSUM_KEY = "md5"
"""The key of the content's MD5 in hex. Clients that cannot read Content-MD5 use it to recognize their own blob.

Other programs use the same key for checksums of any form, such as base64, or of the content before its compression.
"""

_PREDICTIONS_KEYS = frozenset({"window", "complete"})
"""The keys that predictions have, and the blobs of other programs do not."""

MAX_METADATA_VALUE_CHARS = 4096
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def clean_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata whose values are printable ASCII; other characters are percent-encoded UTF-8.

    Therefore no value can end its header and begin another one. Surrounding spaces are removed, as HTTP does, and
    values above MAX_METADATA_VALUE_CHARS are cut.

    Args:
        metadata: The metadata. Its keys are constants of this program.
    """
    cleaned = {key: _clean_value(value) for key, value in metadata.items()}
    return {key: value for key, value in cleaned.items() if value}


def _clean_value(value: str) -> str:
    if value.isascii() and value.isprintable():
        text = value
    else:
        text = quote(value[:MAX_METADATA_VALUE_CHARS], safe=_PRINTABLE, errors="replace")
    return text[:MAX_METADATA_VALUE_CHARS].strip(" ")


def split_checksum(metadata: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return metadata with keys in lower case and without the checksum, and the checksum (empty if there is none).

    Args:
        metadata: The metadata as storage returns it.
    """
    found = {key.lower(): value for key, value in metadata.items()}
    return found, found.pop(CHECKSUM_KEY, "")


def own_checksum(metadata: Mapping[str, str], checksum: str) -> str:
    """Return the checksum if the scorer wrote it, and else an empty text.

    Args:
        metadata: The metadata without the checksum, see `split_checksum`.
        checksum: The checksum in the metadata.
    """
    is_own = metadata.keys() >= _PREDICTIONS_KEYS and re.fullmatch(r"[0-9a-f]{32}", checksum)
    return checksum if is_own else ""
