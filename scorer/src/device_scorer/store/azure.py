"""A store on Azure Blob Storage through Azure's SDK. Only the modules azure* import the SDK."""

import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceModifiedError
from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient, ContentSettings

from device_scorer.contract.storage_codes import CONFLICT_CODES
from device_scorer.errors import BlobTooLarge, ScorerError, StorageUnavailable
from device_scorer.settings import Settings
from device_scorer.store import listing
from device_scorer.store.account import read_account
from device_scorer.store.azure_client import MAX_BODY_SECONDS, create_service, take_page
from device_scorer.store.azure_errors import (
    classify,
    error_response,
    http_status,
    storage_error_code,
    unparsed,
)
from device_scorer.store.base import NO_METADATA, Blob, BlobInfo, md5_hex, plain_etag
from device_scorer.store.encoding import decode_content
from device_scorer.store.listing_progress import Markers
from device_scorer.store.metadata import clean_metadata, own_checksum, split_checksum
from device_scorer.store.rejections import foreign_response, repeated_listing
from device_scorer.store.retry import (
    DEFAULT_RETRY_POLICY,
    MAX_DAMAGED_READS,
    MIN_TIMEOUT_SECONDS,
    RetryPolicy,
    call_with_retry,
)

_MISSING_CODES = frozenset({"BlobNotFound"})
_CONTAINER_CODES = frozenset({"ContainerAlreadyExists"})

_Result = TypeVar("_Result")


class AzureStore:
    """A store on a storage account. See Store for the methods. One client serves all threads.

    Args:
        service: The client of the storage account.
        containers: The name of the container for each role.
        secret: The Secret with the credential, for error texts; empty if unknown.
        retry_policy: The limits of one call.
        deadline: The time at which all calls end, on the clock of `time.monotonic()`; None without a deadline.
    """

    lists_whole_folders = False

    def __init__(
        self,
        service: BlobServiceClient,
        containers: Mapping[str, str],
        *,
        secret: str = "",
        retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY,
        deadline: float | None = None,
    ) -> None:
        self._service = service
        self._containers = containers
        self._secret = secret
        self._retry_policy = retry_policy
        self._deadline = deadline
        self._in_call = False

    @property
    def in_call(self) -> bool:
        """True while a call of this view waits for the store."""
        return self._in_call

    def with_deadline(self, deadline: float) -> "AzureStore":
        """Return a view with the deadline. It shares the client with this store."""
        return AzureStore(
            self._service, self._containers, secret=self._secret, retry_policy=self._retry_policy, deadline=deadline
        )

    def close(self) -> None:
        """Close the connections. The store remains usable."""
        self._service.close()

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """Download a blob in ranges and check its length and Content-MD5."""
        client = self._client(container, name)
        for _ in range(MAX_DAMAGED_READS):
            blob = self._call_with_retry(
                lambda: self._download(client, name, max_bytes), container, name, expected={404: _MISSING_CODES}
            )
            if isinstance(blob, _NotFound):
                return None
            if blob is not None:
                return blob
        text = f"{name} is damaged: its content does not match its length or Content-MD5"
        raise StorageUnavailable(f"{text}; upload it again, or delete it if it has predictions")

    def _download(self, client: BlobClient, name: str, max_bytes: int | None) -> Blob | None:
        """Return the blob, or None if the content does not match its length or checksum."""
        found = client.download_blob(decompress=False, **self._timeouts())
        if max_bytes is not None and found.size > max_bytes:
            raise BlobTooLarge(name, found.size, max_bytes)
        try:
            content, properties = found.readall(), found.properties
        except ResourceModifiedError:  # the blob was replaced between two ranges
            return None
        checksum = _md5(properties)
        if len(content) != found.size or (checksum and checksum != md5_hex(content)):
            return None
        encoding = properties.content_settings.content_encoding or ""
        content = decode_content(name, content, encoding, max_bytes=max_bytes)
        return Blob(content, plain_etag(properties.etag), _metadata(properties))

    def head(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a blob, or None if it does not exist."""
        client = self._client(container, name)
        found = self._call_with_retry(
            lambda: client.get_blob_properties(**self._timeouts()), container, name, expected={404: _MISSING_CODES}
        )
        if isinstance(found, _NotFound):
            return None
        if not found.etag:
            raise foreign_response(f"{self._containers[container]}/{name}", "MissingEtag")
        return _to_blob_info(found)

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
        """Write the whole blob or nothing, with one Put Blob request."""
        client, maybe_applied = self._client(container, name), []
        cleaned, checksum = clean_metadata(metadata), md5_hex(content)
        condition: dict[str, Any] = {"overwrite": overwrite}
        if if_match is not None:
            condition = {"overwrite": True, "etag": f'"{if_match}"', "match_condition": MatchConditions.IfNotModified}

        def upload() -> str:
            response = client.upload_blob(
                content,
                metadata=cleaned,
                content_settings=ContentSettings(
                    content_type="application/octet-stream",
                    content_md5=bytearray.fromhex(checksum),
                ),
                validate_content=True,
                **condition,
                **self._timeouts(),
            )
            return plain_etag(response["etag"])

        etag = self._call_with_retry(
            upload,
            container,
            name,
            expected={409: CONFLICT_CODES, 412: CONFLICT_CODES},
            on_maybe_applied=lambda: maybe_applied.append(True),
        )
        if not isinstance(etag, _NotFound):
            return str(etag)
        existing = self.head(container, name) if maybe_applied else None
        if existing is None or existing.md5 != checksum or dict(existing.metadata) != cleaned:
            return None
        return existing.etag  # an earlier attempt wrote the blob, and its response was lost

    def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:
        """Yield the properties of the blobs with the prefix, page by page."""
        client = self._service.get_container_client(self._containers[container])
        token: str | None = None
        markers = Markers()
        while True:

            def page(token: str | None = token) -> tuple[list[BlobInfo], str | None]:
                infos: list[BlobInfo] = []
                pages = client.list_blobs(
                    name_starts_with=prefix or None,
                    include=["metadata"] if with_metadata else None,
                    results_per_page=listing.PAGE_SIZE,
                    raw_response_hook=lambda response: infos.extend(take_page(response)),
                    **self._timeouts(),
                ).by_page(token)
                next(pages, ())
                return infos, getattr(pages, "continuation_token", None)

            found = self._call_with_retry(page, container, prefix)
            if isinstance(found, _NotFound):
                return
            infos, token = found
            yield from infos
            if not token:
                return
            if not markers.add(token):
                raise repeated_listing(f"{self._containers[container]}/{prefix}")

    def delete(self, container: str, name: str) -> None:
        """Delete a blob if it exists."""
        client = self._client(container, name)
        self._call_with_retry(
            lambda: client.delete_blob(**self._timeouts()), container, name, expected={404: _MISSING_CODES}
        )

    def ensure_container(self, container: str) -> None:
        """Create a container if it does not exist."""
        client = self._service.get_container_client(self._containers[container])
        self._call_with_retry(
            lambda: client.create_container(**self._timeouts()), container, "", expected={409: _CONTAINER_CODES}
        )

    def _client(self, container: str, name: str) -> BlobClient:
        return self._service.get_blob_client(self._containers[container], name)

    def _timeouts(self) -> dict[str, Any]:
        """Return the timeouts of one request, which do not exceed the deadline."""
        left = max(MIN_TIMEOUT_SECONDS, self._effective_deadline() - time.monotonic())
        return {
            "connection_timeout": min(self._retry_policy.connect_timeout_seconds, left),
            "read_timeout": min(self._retry_policy.read_timeout_seconds, left),
        }

    def _effective_deadline(self) -> float:
        no_deadline = time.monotonic() + self._retry_policy.max_retry_seconds
        return no_deadline if self._deadline is None else self._deadline

    def _call_with_retry(
        self,
        attempt: Callable[[], _Result],
        container: str,
        name: str,
        *,
        expected: Mapping[int, frozenset[str]] = MappingProxyType({}),
        on_maybe_applied: Callable[[], None] = lambda: None,
    ) -> "_Result | _NotFound":
        """Return the result of a call with its retries, or _NotFound for an expected code of an expected status."""
        target = f"{self._containers[container]}/{name}".rstrip("/")

        def attempt_once() -> _Result | _NotFound:
            try:
                return attempt()
            except ScorerError:
                raise
            except Exception as raised:  # the SDK's parsers raise many types: ValueError, TypeError, MemoryError
                error = raised if isinstance(raised, AzureError) else error_response(raised)
                if error is None:
                    raise unparsed(raised, target) from raised
                if storage_error_code(error) in expected.get(http_status(error) or 0, ()):
                    return _NotFound()
                if error is raised:
                    raise
                raise error from None

        self._in_call = True
        try:
            return call_with_retry(
                attempt_once,
                lambda error: classify(error, target=target, secret=self._secret),
                deadline=self._effective_deadline(),
                policy=self._retry_policy,
                on_maybe_applied=on_maybe_applied,
            )
        finally:
            self._in_call = False


class _NotFound:
    """A response that is expected instead of a result: the blob does not exist, or another client has written it."""


def open_azure_store(
    settings: Settings,
    retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY,
    *,
    max_body_seconds: float = MAX_BODY_SECONDS,
) -> AzureStore:
    """Return a store on the account that the settings name. The function sends no request.

    Args:
        settings: The settings.
        retry_policy: The limits of one call.
        max_body_seconds: The time of a response's body.

    Raises:
        UsageInvalid: The settings are invalid.
    """
    service = create_service(read_account(settings), retry_policy, max_body_seconds=max_body_seconds)
    return AzureStore(service, settings.containers, secret=settings.secret, retry_policy=retry_policy)


def _to_blob_info(properties: BlobProperties) -> BlobInfo:
    return BlobInfo(
        *(str(properties.name), int(properties.size or 0), plain_etag(properties.etag)),
        *(_metadata(properties), _md5(properties)),
    )


def _md5(properties: BlobProperties) -> str:
    checksum = properties.content_settings.content_md5
    return bytes(checksum).hex() if checksum else own_checksum(*split_checksum(properties.metadata or {}))


def _metadata(properties: BlobProperties) -> dict[str, str]:
    return split_checksum(properties.metadata or {})[0]
