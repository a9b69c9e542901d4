"""What a store is: three containers of named blobs with metadata, written so that one writer wins.

`open_store` gives a folder or Azure's; neither is imported before it is wanted. A container is named by its role
("models", "data", "predictions"); the store maps it to the configured name.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

NO_METADATA: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob's content as one consistent read, with the ETag of that very content."""

    content: bytes = field(repr=False)
    etag: str
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What is known of a blob without reading it; `md5` is its Content-MD5 in hex, empty where the store has none."""

    name: str
    size: int
    etag: str
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)
    md5: str = ""


class Store(Protocol):
    """Blob storage by role. All methods raise StorageUnavailable, IdentityUnavailable or ConfigurationInvalid."""

    in_call: bool
    """Whether a call of this view (see `until`) waits for the store right now."""

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """The whole blob, checked against its length and MD5; None: no such blob. TooLarge before any byte is read."""

    def head(self, container: str, name: str) -> BlobInfo | None:
        """What is known of the blob; None: no such blob."""

    def write(
        self,
        container: str,
        name: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        if_match: str | None = None,
        overwrite: bool = False,
    ) -> str | None:
        """Write the whole blob or nothing and return its ETag.

        Without `if_match` and `overwrite` it is only created: None says that it exists already. With `if_match` it is
        only replaced: None says that the ETag is another by now. Where the answer to a write was lost, a blob with
        our own content and metadata counts as written.
        """

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """All blobs whose names begin with the prefix, in the order of their names, with metadata."""

    def delete(self, container: str, name: str) -> None:
        """Remove the blob if it is there."""

    def ensure_container(self, container: str) -> None:
        """Create the container if it is not there."""

    def with_deadline(self, deadline: float) -> "Store":
        """The same store, whose calls end (with StorageUnavailable if need be) by `time.monotonic() == deadline`."""

    def close(self) -> None:
        """Let go of connections; the store can still be used."""


def md5_hex(content: bytes) -> str:
    """MD5 in hex: Azure's own checksum of content, no protection against anyone."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
