"""The protocol of a store, and the values that it returns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from fleetscore.errors import TooLarge

MAX_BLOB_BYTES = 256 * 2**20
"""Size above which a blob is not read if its reader has no lower limit: other clients can write it."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """The properties of a blob.

    Attributes:
        name: The name in its container.
        size: The size in bytes.
        etag: The version; it changes with every write.
        metadata: The user's metadata, with lower-case keys.
        modified: The time of the last write, in UTC; None if it is unknown.
    """

    name: str
    size: int
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob: its properties and its content."""

    info: BlobInfo
    content: bytes = field(repr=False)


def too_large(name: str, size: int, max_bytes: int) -> TooLarge:
    """Return the error for a blob that is larger than its reader permits."""
    return TooLarge(f"{name} is too large: it has {size:,} bytes of at most {max_bytes:,}")


class Store(Protocol):
    """A storage account or folder with the containers models, data and predictions."""

    @property
    def location(self) -> str:
        """The account or folder, for messages. It contains no credential."""

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """Yield the blobs whose names begin with the prefix, in the order of their names.

        Raises:
            StorageUnavailable: The storage cannot be reached.
            AccessDenied: The identity lacks a role.
            NotFound: The container does not exist.
        """

    def names(self, container: str, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with the prefix, in order; as `list`, without reading a blob."""

    def folders(self, container: str, prefix: str = "") -> Iterator[str]:
        """Yield the names up to the first slash after the prefix, with that slash, once and in order; as `list`.

        The cost is that of the folders, not that of their blobs.
        """

    def exists(self, container: str, name: str) -> bool:
        """Return True if a blob exists; as `list`."""

    def info(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a blob without its content, or None if it does not exist; as `list`."""

    def read(self, container: str, name: str, *, max_bytes: int = MAX_BLOB_BYTES) -> Blob | None:
        """Return a blob, or None if it does not exist.

        Args:
            container: The role of the container: models, data or predictions.
            name: The name of the blob.
            max_bytes: The largest size that is read, in bytes, also after the Content-Encoding is decoded.

        Raises:
            StorageUnavailable: The storage cannot be reached.
            AccessDenied: The identity lacks a role.
            TooLarge: The blob is larger than `max_bytes`.
            DataInvalid: The blob is of another kind, or its Content-Encoding cannot be decoded.
        """

    def write(self, container: str, name: str, content: bytes, *, if_match: str | None) -> bool:
        """Write a blob if it is unchanged.

        Args:
            container: The role of the container.
            name: The name of the blob.
            content: The new content.
            if_match: The ETag that the blob must have; None if it must not exist.

        Returns:
            False if the blob has another ETag or exists already, and has another content.

        Raises:
            StorageUnavailable: The storage cannot be reached.
            AccessDenied: The identity lacks a role.
        """
