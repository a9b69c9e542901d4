"""A store on Azure Blob Storage through obstore, for scoring: it starts in a tenth of the time of Azure's SDK.

obstore cannot list metadata, create containers or delete a single blob. The store on the SDK does this; it is opened
when it is first needed. Decision 0027 says what else obstore does not provide.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import obstore

from device_scorer.contract.storage_codes import CONFLICT_CODES
from device_scorer.errors import BlobTooLarge, StorageUnavailable
from device_scorer.settings import Settings
from device_scorer.store.account import read_account
from device_scorer.store.base import NO_METADATA, Blob, BlobInfo, Store, md5_hex, plain_etag
from device_scorer.store.encoding import decode_content
from device_scorer.store.listing_progress import NamedPages
from device_scorer.store.metadata import CHECKSUM_KEY, clean_metadata, own_checksum
from device_scorer.store.obstore_calls import BlobMissing, Calls, ExpectedCode
from device_scorer.store.obstore_client import Clients, content_of, metadata_of
from device_scorer.store.rejections import repeated_listing
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, MAX_DAMAGED_READS, RetryPolicy

LIST_CHUNK_SIZE = 5000
_CONTENT_TYPE = {"Content-Type": "application/octet-stream"}
_ALL_BYTES = {"range": {"offset": 0}}
_NO_OPTIONS: Mapping[str, Any] = {}
_EMPTY_CODES = frozenset({"InvalidRange"})
_FIRST_BYTE = {"range": (0, 1)}
_HEAD = {"head": True}
_HEAD_CODES = frozenset({"InvalidRange", "BlobArchived", "BlobBeingRehydrated", ""})


class ObstoreStore:
    """A store on a storage account. See Store for the methods. Its clients serve all threads.

    Args:
        calls: The calls of this view of the storage account.
        open_sdk_store: A function that opens the store on Azure's SDK.
    """

    lists_whole_folders = True

    def __init__(self, calls: Calls, open_sdk_store: Callable[[], Store]) -> None:
        self._calls = calls
        self._open_sdk_store = open_sdk_store

    @property
    def in_call(self) -> bool:
        """True while a call of this view waits for the store."""
        return self._calls.active

    def with_deadline(self, deadline: float) -> "ObstoreStore":
        """Return a view with the deadline. It shares the clients with this store."""
        return ObstoreStore(self._calls.with_deadline(deadline), self._open_sdk_store)

    def close(self) -> None:
        """Do nothing: obstore closes idle connections."""

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """Download a blob with one request, and check its length and, if the scorer wrote it, its checksum.

        The request is for the range from the first byte: the response then has the size of the blob. A request without
        a range follows for an empty blob, and if a proxy ignores ranges.
        """

        def download(found: Any) -> Blob:
            size = found.meta["size"]
            if max_bytes is not None and size > max_bytes:
                raise BlobTooLarge(name, size, max_bytes)
            content = content_of(found)
            metadata, written_checksum = metadata_of(found.attributes)
            checksum = own_checksum(metadata, written_checksum)
            if len(content) != size or (checksum and checksum != md5_hex(content)):
                raise _BlobDamaged
            encoding = found.attributes.get("Content-Encoding", "")
            if encoding:
                content = decode_content(name, content, encoding, max_bytes=max_bytes)
            return Blob(content, plain_etag(found.meta["e_tag"]), metadata)

        for _ in range(MAX_DAMAGED_READS):
            with suppress(_BlobDamaged):
                return self._calls.get(
                    container, name, download, (_ALL_BYTES, _NO_OPTIONS), expected_codes=_EMPTY_CODES
                )
        text = f"{name} is damaged: its content does not match its length or checksum"
        raise StorageUnavailable(f"{text}; upload it again, or delete it if it has predictions")

    def head(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a blob, or None if it does not exist."""
        info = self._properties(container, name)
        return info and info._replace(md5=own_checksum(info.metadata, info.md5))

    def _properties(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a blob with the checksum of any program in its metadata, or None without a blob.

        The request is a GET of the first byte. The error response to a HEAD has no body, and obstore finds the error
        code only in a body. A HEAD follows for blobs without a first byte, for archived blobs, and as in `read`.
        """

        def describe(found: Any) -> BlobInfo:
            metadata, checksum = metadata_of(found.attributes)
            return BlobInfo(name, found.meta["size"], plain_etag(found.meta["e_tag"]), metadata, checksum)

        return self._calls.get(container, name, describe, (_FIRST_BYTE, _HEAD), expected_codes=_HEAD_CODES)

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
        """Write the whole blob or nothing, with one Put Blob request. The metadata gets the checksum of the content."""
        cleaned, checksum, maybe_applied = clean_metadata(metadata), md5_hex(content), []
        mode: Any = {"e_tag": f'"{if_match}"'} if if_match is not None else "overwrite" if overwrite else "create"

        def upload() -> str:
            response = obstore.put(
                self._calls.account_client(),
                self._calls.path(container, name),
                content,
                attributes={**_CONTENT_TYPE, **cleaned, CHECKSUM_KEY: checksum},
                mode=mode,
                use_multipart=False,
            )
            return plain_etag(response["e_tag"])

        try:
            return self._calls.with_retry(
                upload,
                container,
                name,
                expected={409: CONFLICT_CODES, 412: CONFLICT_CODES},
                may_be_missing=if_match is not None,
                on_maybe_applied=lambda: maybe_applied.append(True),
            )
        except BlobMissing:
            return None
        except ExpectedCode:
            existing = self._properties(container, name) if maybe_applied else None
        if existing is None or existing.md5 != checksum or dict(existing.metadata) != cleaned:
            return None
        return existing.etag  # an earlier attempt wrote the blob, and its response was lost

    def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:
        """Yield the properties of the blobs with the prefix. Without metadata the checksum is missing, too."""
        if with_metadata:
            yield from self._sdk_store().list(container, prefix)
            return
        folder, stream, pages = prefix.rpartition("/")[0], None, NamedPages()  # obstore lists whole folders

        def next_page() -> Any:
            nonlocal stream
            if stream is None:  # a stream ends with its first error, so a retry begins again
                stream = obstore.list(
                    self._calls.container_client(container), folder or None, chunk_size=LIST_CHUNK_SIZE
                )
            try:
                return next(stream, ())
            except Exception:
                stream = None
                raise

        while page := self._calls.with_retry(next_page, container, prefix):
            new = pages.take(page)
            if new is None:
                raise repeated_listing(self._calls.target(container, prefix))
            found = (one for one in new if one["path"].startswith(prefix))
            yield from (BlobInfo(one["path"], one["size"], plain_etag(one["e_tag"])) for one in found)

    def delete(self, container: str, name: str) -> None:
        """Delete a blob if it exists."""
        if self.head(container, name) is not None:
            self._sdk_store().delete(container, name)

    def ensure_container(self, container: str) -> None:
        """Create a container if it does not exist."""
        self._sdk_store().ensure_container(container)

    def _sdk_store(self) -> Store:
        store, deadline = self._open_sdk_store(), self._calls.deadline
        return store if deadline is None else store.with_deadline(deadline)


class _BlobDamaged(Exception):  # noqa: N818  a signal: see errors.py
    """The content of a blob does not match its length or checksum."""


def open_obstore_store(settings: Settings, retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> ObstoreStore:
    """Return a store on the account that the settings name. The function sends no request.

    Args:
        settings: The settings.
        retry_policy: The limits of one call.

    Raises:
        UsageInvalid: The settings are invalid.
    """

    @functools.cache
    def open_sdk_store() -> Store:
        from device_scorer.store.azure import open_azure_store  # noqa: PLC0415  the import takes 0.6 s

        return open_azure_store(settings, retry_policy)

    clients = Clients(read_account(settings), retry_policy)
    calls = Calls(clients, settings.containers, secret=settings.secret, retry_policy=retry_policy)
    return ObstoreStore(calls, open_sdk_store)
