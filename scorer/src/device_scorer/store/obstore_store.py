"""A store on Azure Blob Storage through obstore, for scoring: it starts in a tenth of the time of Azure's SDK.

obstore cannot list metadata, create containers or delete a single blob. The store on the SDK does this; it is opened
when it is first needed. Decision 0027 says what else obstore does not provide.
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import obstore

from device_scorer.contract.storage_codes import CONFLICT_CODES
from device_scorer.errors import BlobTooLarge, ConfigurationInvalid, StorageUnavailable
from device_scorer.settings import Settings
from device_scorer.store.account import read_account
from device_scorer.store.base import NO_METADATA, Blob, BlobInfo, Store, md5_hex
from device_scorer.store.encoding import decode_content
from device_scorer.store.metadata import CHECKSUM_KEY, clean_metadata
from device_scorer.store.obstore_client import Clients, metadata_of
from device_scorer.store.obstore_errors import (
    classify,
    convert_panic,
    http_status,
    is_missing_blob,
    storage_error_code,
)
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, RetryPolicy, call_with_retry

MAX_DAMAGED_READS = 3
"""Number of downloads of a blob whose content does not match its length or checksum."""

LIST_CHUNK_SIZE = 5000
_CONTENT_TYPE = {"Content-Type": "application/octet-stream"}
_FIRST_BYTE = {"range": (0, 1)}
_HEAD = {"head": True}
_HEAD_CODES = frozenset({"InvalidRange", "BlobArchived", "BlobBeingRehydrated", ""})
_CONFLICT_STATUSES = (409, 412, 416)
_Result = TypeVar("_Result")


class ObstoreStore:
    """A store on a storage account. See Store for the methods. Its clients serve all threads.

    Args:
        clients: The clients of the storage account.
        containers: The name of the container for each role.
        open_sdk_store: A function that opens the store on Azure's SDK.
        secret: The Secret with the credential, for error texts; empty if unknown.
        retry_policy: The limits of one call.
        deadline: The time at which all calls end, on the clock of `time.monotonic()`; None without a deadline.
    """

    def __init__(
        self,
        clients: Clients,
        containers: Mapping[str, str],
        open_sdk_store: Callable[[], Store],
        *,
        secret: str = "",
        retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY,
        deadline: float | None = None,
    ) -> None:
        self._clients = clients
        self._containers = containers
        self._open_sdk_store = open_sdk_store
        self._secret = secret
        self._retry_policy = retry_policy
        self._deadline = deadline
        self._in_call = False

    @property
    def in_call(self) -> bool:
        """True while a call of this view waits for the store."""
        return self._in_call

    def with_deadline(self, deadline: float) -> "ObstoreStore":
        """Return a view with the deadline. It shares the clients with this store."""
        return ObstoreStore(
            self._clients,
            self._containers,
            self._open_sdk_store,
            secret=self._secret,
            retry_policy=self._retry_policy,
            deadline=deadline,
        )

    def close(self) -> None:
        """Do nothing: obstore closes idle connections."""

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """Download a blob with one request, and check its length and, if it has one, the checksum in its metadata."""

        def download() -> Blob | None:
            found = obstore.get(self._account_client(), self._path(container, name))
            size = found.meta["size"]
            if max_bytes is not None and size > max_bytes:
                raise BlobTooLarge(name, size, max_bytes)
            content = b"".join(map(bytes, found.stream(max(size, 1))))
            metadata, checksum = metadata_of(found.attributes)
            if len(content) != size or (checksum and checksum != md5_hex(content)):
                return None
            encoding = found.attributes.get("Content-Encoding", "")
            if encoding:
                content = decode_content(name, content, encoding, max_bytes=max_bytes)
            return Blob(content, _etag(found.meta), metadata)

        for _ in range(MAX_DAMAGED_READS):
            try:
                blob = self._call_with_retry(download, container, name)
            except _BlobMissingError:
                return None
            if blob is not None:
                return blob
        raise StorageUnavailable(f"{name} is damaged: its content does not match its length or checksum")

    def head(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a blob, or None if it does not exist.

        The request is a GET of the first byte. The error response to a HEAD has no body, and obstore finds the error
        code only in a body. A HEAD follows for blobs without a first byte and for archived blobs.
        """
        options: dict[str, Any] = _FIRST_BYTE

        def request() -> Any:
            return obstore.get(self._account_client(), self._path(container, name), options=options)  # type: ignore[arg-type]  # a TypedDict

        try:
            try:
                found = self._call_with_retry(request, container, name, expected_codes=_HEAD_CODES)
            except _ExpectedCodeError:
                options = _HEAD
                found = self._call_with_retry(request, container, name)
        except _BlobMissingError:
            return None
        metadata, checksum = metadata_of(found.attributes)
        return BlobInfo(name, found.meta["size"], _etag(found.meta), metadata, checksum)

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
                self._account_client(),
                self._path(container, name),
                content,
                attributes={**_CONTENT_TYPE, **cleaned, CHECKSUM_KEY: checksum},
                mode=mode,
                use_multipart=False,
            )
            return (response["e_tag"] or "").strip('"')

        try:
            return self._call_with_retry(
                upload,
                container,
                name,
                expected_codes=CONFLICT_CODES,
                on_maybe_applied=lambda: maybe_applied.append(True),
            )
        except _BlobMissingError:  # with if_match
            return None
        except _ExpectedCodeError:
            existing = self.head(container, name) if maybe_applied else None
        if existing is None or existing.md5 != checksum or dict(existing.metadata) != cleaned:
            return None
        return existing.etag  # an earlier attempt wrote the blob, and its response was lost

    def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:
        """Yield the properties of the blobs with the prefix. Without metadata the checksum is missing, too."""
        if with_metadata:
            yield from self._sdk_store().list(container, prefix)
            return
        folder, stream, last = prefix.rpartition("/")[0], None, ""  # obstore lists whole folders

        def next_page() -> Any:
            nonlocal stream
            if stream is None:  # a stream ends with its first error, so a retry begins again
                stream = obstore.list(self._container_client(container), folder or None, chunk_size=LIST_CHUNK_SIZE)
            try:
                return next(stream, ())
            except Exception:
                stream = None
                raise

        while page := self._call_with_retry(next_page, container, prefix):
            for found in page:
                if found["path"] > last and found["path"].startswith(prefix):
                    yield BlobInfo(found["path"], found["size"], _etag(found))
            last = max(last, page[-1]["path"])

    def delete(self, container: str, name: str) -> None:
        """Delete a blob if it exists."""
        if self.head(container, name) is not None:
            self._sdk_store().delete(container, name)

    def ensure_container(self, container: str) -> None:
        """Create a container if it does not exist."""
        self._sdk_store().ensure_container(container)

    def _sdk_store(self) -> Store:
        store = self._open_sdk_store()
        return store if self._deadline is None else store.with_deadline(self._deadline)

    def _path(self, container: str, name: str) -> str:
        if name.startswith("/") or name.endswith("/") or not name:  # obstore would request another blob
            raise ConfigurationInvalid(f"blob name {name!r} is invalid: a segment is empty")
        return f"{self._containers[container]}/{name}"

    def _account_client(self) -> Any:
        return self._clients.for_account(self._seconds_left())

    def _container_client(self, container: str) -> Any:
        return self._clients.for_container(self._containers[container], self._seconds_left())

    def _seconds_left(self) -> float:
        return self._retry_policy.max_retry_seconds if self._deadline is None else self._deadline - time.monotonic()

    def _call_with_retry(
        self,
        attempt: Callable[[], _Result],
        container: str,
        name: str,
        *,
        expected_codes: frozenset[str] = frozenset(),
        on_maybe_applied: Callable[[], None] = lambda: None,
    ) -> _Result:
        """Return the result of a call with its retries.

        Raises:
            _BlobMissingError: The blob does not exist.
            _ExpectedCodeError: The response has one of the expected codes.
        """
        target = f"{self._containers[container]}/{name}".rstrip("/")

        def classify_or_raise(error: Exception) -> Any:
            if is_missing_blob(error):
                raise _BlobMissingError from error
            if storage_error_code(error) in expected_codes and http_status(error) in _CONFLICT_STATUSES:
                raise _ExpectedCodeError from error
            return classify(error, target=target, secret=self._secret)

        self._in_call = True
        try:
            return call_with_retry(
                lambda: convert_panic(attempt),
                classify_or_raise,
                deadline=time.monotonic() + self._seconds_left(),
                policy=self._retry_policy,
                on_maybe_applied=on_maybe_applied,
            )
        finally:
            self._in_call = False


class _BlobMissingError(Exception):
    """The blob does not exist."""


class _ExpectedCodeError(Exception):
    """The response has an error code that its request expects."""


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
    return ObstoreStore(clients, settings.containers, open_sdk_store, secret=settings.secret, retry_policy=retry_policy)


def _etag(properties: Mapping[str, Any]) -> str:
    return (properties["e_tag"] or "").strip('"')
