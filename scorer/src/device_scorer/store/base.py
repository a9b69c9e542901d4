"""The protocol of a store: three containers of named blobs with metadata, written atomically and conditionally.

A container is identified by its role ("models", "data", "predictions"); the store maps the role to the configured name.
"""

import hashlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Blob(NamedTuple):
    """The content of a blob, from one consistent read.

    Attributes:
        content: The bytes.
        etag: The ETag of exactly this content.
        metadata: The metadata, with keys in lower case.
    """

    content: bytes
    etag: str
    metadata: Mapping[str, str] = NO_METADATA

    def __repr__(self) -> str:
        return f"Blob({len(self.content)} bytes, etag={self.etag!r}, metadata={dict(self.metadata)!r})"


class BlobInfo(NamedTuple):
    """The properties of a blob.

    Attributes:
        name: The blob's name.
        size: The size in bytes.
        etag: The ETag.
        metadata: The metadata, with keys in lower case.
        md5: The MD5 of the stored content in hex; empty if the store has none.
    """

    name: str
    size: int
    etag: str
    metadata: Mapping[str, str] = NO_METADATA
    md5: str = ""


class Store(Protocol):
    """Blob storage by role.

    All methods may raise StorageUnavailable, IdentityUnavailable or ConfigurationInvalid.
    """

    @property
    def lists_whole_folders(self) -> bool:
        """True if `list` without metadata reads all names of the folder of a prefix."""

    @property
    def in_call(self) -> bool:
        """True while a call of this view waits for the store."""

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """Return a blob whose content matches its length and its checksum, or None if it does not exist.

        The content is decoded if the blob has the Content-Encoding gzip or deflate.

        Args:
            container: The role of the container.
            name: The blob's name.
            max_bytes: The largest allowed size, stored and decoded; None allows every size.

        Raises:
            BlobTooLarge: The blob is larger than max_bytes. The content was not read, or not decoded to its end.
            BlobEncodingInvalid: The blob has a Content-Encoding that cannot be decoded.
        """

    def head(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a blob, or None if it does not exist.

        Args:
            container: The role of the container.
            name: The blob's name.
        """

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
        """Write the whole blob or nothing.

        If the response to a write was lost, a blob with the same content and metadata counts as written.

        Args:
            container: The role of the container.
            name: The blob's name.
            content: The bytes.
            metadata: The metadata. Its values are cleaned, see `metadata.clean_metadata`.
            if_match: The ETag of the blob to replace; None creates the blob.
            overwrite: True to replace every blob of this name.

        Returns:
            The new ETag. None if the blob already exists (without if_match and overwrite), or has another ETag or
            does not exist (with if_match).
        """

    def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:
        """Yield the properties of the blobs whose names begin with the prefix, in the order of their names.

        Args:
            container: The role of the container.
            prefix: The prefix of the names.
            with_metadata: False if the metadata is not needed and may be missing.
        """

    def delete(self, container: str, name: str) -> None:
        """Delete a blob if it exists.

        Args:
            container: The role of the container.
            name: The blob's name.
        """

    def ensure_container(self, container: str) -> None:
        """Create a container if it does not exist.

        Args:
            container: The role of the container.
        """

    def with_deadline(self, deadline: float) -> "Store":
        """Return a view of the store whose calls end at the deadline, with StorageUnavailable if necessary.

        Args:
            deadline: The deadline on the clock of `time.monotonic()`, in seconds.
        """

    def close(self) -> None:
        """Close the connections. The store remains usable."""


def plain_etag(etag: str | None) -> str:
    """Return an ETag without its quotes, and without the mark of a weak one: proxies that compress add it."""
    return (etag or "").removeprefix("W/").strip('"')


def md5_hex(content: bytes) -> str:
    """Return the MD5 in hex. Azure uses MD5 as a checksum; it does not protect against attacks."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
