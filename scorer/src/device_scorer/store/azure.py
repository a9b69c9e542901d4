"""A store on Azure Blob Storage. Only this module and azure_errors import the Azure SDK."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, DecodeError, ResourceModifiedError
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient, ContentSettings
from requests.utils import get_environ_proxies

from device_scorer.errors import BlobTooLarge, StorageUnavailable, UsageInvalid
from device_scorer.settings import Settings
from device_scorer.store import listing
from device_scorer.store.azure_errors import classify, http_status, storage_error_code
from device_scorer.store.base import NO_METADATA, Blob, BlobInfo, md5_hex
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, RetryPolicy, call_with_retry

CHUNK_BYTES = 4 * 2**20
"""The size of one range of a download. One range costs one request."""

MAX_SINGLE_PUT_BYTES = 512 * 2**20
"""The size up to which an upload is one Put Blob request, which is atomic (Azure allows 5,000 MiB)."""

MAX_DAMAGED_READS = 3
"""Number of downloads of a blob whose content does not match its length or Content-MD5."""

MIN_TIMEOUT_SECONDS = 0.2
"""The shortest timeout of a request, for a view whose deadline is over."""

_NOT_A_WRITE_CONFLICT = frozenset(
    {"LeaseIdMissing", "BlobImmutableDueToPolicy", "ContainerBeingDeleted", "AccountBeingCreated"}
)
"""Error codes with the status 409 or 412 that do not mean that another client has written the blob."""

_Result = TypeVar("_Result")


class AzureStore:
    """A store on a storage account. See Store for the methods. One client serves all threads.

    Args:
        service: The client of the storage account.
        containers: The name of the container for each role.
        retry_policy: The limits of one call.
        deadline: The time at which all calls end, on the clock of `time.monotonic()`; None without a deadline.
    """

    def __init__(
        self,
        service: BlobServiceClient,
        containers: Mapping[str, str],
        *,
        retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY,
        deadline: float | None = None,
    ) -> None:
        self._service = service
        self._containers = containers
        self._retry_policy = retry_policy
        self._deadline = deadline
        self._in_call = False

    @property
    def in_call(self) -> bool:
        """True while a call of this view waits for the store."""
        return self._in_call

    def with_deadline(self, deadline: float) -> "AzureStore":
        """Return a view with the deadline. It shares the client with this store."""
        return AzureStore(self._service, self._containers, retry_policy=self._retry_policy, deadline=deadline)

    def close(self) -> None:
        """Close the connections. The store remains usable."""
        self._service.close()

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """Download a blob in ranges and check its length and Content-MD5."""
        client = self._client(container, name)

        def download() -> Blob | None:
            found = client.download_blob(**self._timeouts())
            if max_bytes is not None and found.size > max_bytes:
                raise BlobTooLarge(name, found.size, max_bytes)
            try:
                content, properties = found.readall(), found.properties
            except ResourceModifiedError:  # the blob was replaced between two ranges
                return None
            checksum = _md5(properties)
            if len(content) != found.size or (checksum and checksum != md5_hex(content)):
                return None
            return Blob(content, _etag(properties), _metadata(properties))

        for _ in range(MAX_DAMAGED_READS):
            blob = self._call_with_retry(download, container, name, expected_statuses=(404,))
            if isinstance(blob, _NotFound):
                return None
            if isinstance(blob, Blob):
                return blob
        raise StorageUnavailable(f"{name} is damaged: its content does not match its length or Content-MD5")

    def head(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a blob, or None if it does not exist."""
        client = self._client(container, name)
        found = self._call_with_retry(
            lambda: client.get_blob_properties(**self._timeouts()), container, name, expected_statuses=(404,)
        )
        return None if isinstance(found, _NotFound) else _to_blob_info(found)

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
        checksum = md5_hex(content)
        condition: dict[str, Any] = {"overwrite": overwrite}
        if if_match is not None:
            condition = {"overwrite": True, "etag": f'"{if_match}"', "match_condition": MatchConditions.IfNotModified}

        def upload() -> str:
            response = client.upload_blob(
                content,
                metadata=dict(metadata),
                content_settings=ContentSettings(
                    content_type="application/octet-stream",
                    content_md5=bytearray.fromhex(checksum),
                ),
                validate_content=True,
                **condition,
                **self._timeouts(),
            )
            return str(response["etag"]).strip('"')

        etag = self._call_with_retry(
            upload, container, name, expected_statuses=(409, 412), on_maybe_applied=lambda: maybe_applied.append(True)
        )
        if not isinstance(etag, _NotFound):
            return str(etag)
        existing = self.head(container, name) if maybe_applied else None
        if existing is None or existing.md5 != checksum or dict(existing.metadata) != dict(metadata):
            return None
        return existing.etag  # an earlier attempt wrote the blob, and its response was lost

    def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:
        """Yield the properties of the blobs with the prefix, page by page."""
        client = self._service.get_container_client(self._containers[container])
        token: str | None = None
        while True:

            def page(token: str | None = token) -> tuple[list[BlobInfo], str | None]:
                infos: list[BlobInfo] = []
                pages = client.list_blobs(
                    name_starts_with=prefix or None,
                    include=["metadata"] if with_metadata else None,
                    results_per_page=listing.PAGE_SIZE,
                    raw_response_hook=lambda response: infos.extend(_take_page(response)),
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

    def delete(self, container: str, name: str) -> None:
        """Delete a blob if it exists."""
        client = self._client(container, name)
        self._call_with_retry(lambda: client.delete_blob(**self._timeouts()), container, name, expected_statuses=(404,))

    def ensure_container(self, container: str) -> None:
        """Create a container if it does not exist."""
        client = self._service.get_container_client(self._containers[container])
        self._call_with_retry(
            lambda: client.create_container(**self._timeouts()), container, "", expected_statuses=(409,)
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
        expected_statuses: tuple[int, ...] = (),
        on_maybe_applied: Callable[[], None] = lambda: None,
    ) -> "_Result | _NotFound":
        """Return the result of a call with its retries, or _NotFound for one of the expected statuses."""
        target = f"{self._containers[container]}/{name}".rstrip("/")

        def attempt_once() -> _Result | _NotFound:
            try:
                return attempt()
            except AzureError as error:
                code = storage_error_code(error)
                if (
                    http_status(error) in expected_statuses
                    and code != "ContainerNotFound"
                    and code not in _NOT_A_WRITE_CONFLICT
                ):
                    return _NotFound()
                raise

        self._in_call = True
        try:
            return call_with_retry(
                attempt_once,
                lambda error: classify(error, target=target),
                deadline=self._effective_deadline(),
                policy=self._retry_policy,
                on_maybe_applied=on_maybe_applied,
            )
        finally:
            self._in_call = False


class _NotFound:
    """A response that is expected instead of a result: the blob does not exist, or another client has written it."""


def open_azure_store(settings: Settings, retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> AzureStore:
    """Return a store on the account that the settings name. The function sends no request.

    Args:
        settings: The settings.
        retry_policy: The limits of one call.

    Raises:
        UsageInvalid: The settings are invalid.
    """
    for name in ("azure", "msal", "urllib3"):  # their debug lines contain the SAS and tokens
        logging.getLogger(name).setLevel(logging.CRITICAL)
    single_attempt: dict[str, Any] = {  # the SDK must not retry: see retry.py
        "retry_total": 0,
        "retry_connect": 0,
        "retry_read": 0,
        "retry_status": 0,
        "retry_to_secondary": False,
        "connection_timeout": retry_policy.connect_timeout_seconds,
        "read_timeout": retry_policy.read_timeout_seconds,
    }
    sizes = {
        "max_single_get_size": CHUNK_BYTES,
        "max_chunk_get_size": CHUNK_BYTES,
        "max_single_put_size": MAX_SINGLE_PUT_BYTES,
    }
    transport = RequestsTransport(use_env_settings=False, connection_verify=_ca_bundle())
    service = _create_service_client(settings, single_attempt, {**sizes, "transport": transport})
    transport.open()
    transport.session.proxies = get_environ_proxies(service.url)
    return AzureStore(service, settings.containers, retry_policy=retry_policy)


def _ca_bundle() -> str | bool:
    """Return the CA bundle that the environment names, by the rules of the library requests."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def _create_service_client(
    settings: Settings, single_attempt: Mapping[str, Any], options: Mapping[str, Any]
) -> BlobServiceClient:
    options = {**single_attempt, **options}
    try:
        if settings.auth == "connectionString":
            return BlobServiceClient.from_connection_string(settings.connection_string, **options)
        if settings.auth == "sas":
            return BlobServiceClient(settings.account_url, credential=settings.sas_token, **options)
        from azure.identity import WorkloadIdentityCredential  # noqa: PLC0415  the import takes 0.1 s, which only this case needs

        return BlobServiceClient(
            settings.account_url, credential=WorkloadIdentityCredential(**single_attempt), **options
        )
    except (ValueError, KeyError) as error:  # the text of the SDK may quote the secret
        message = {
            "connectionString": "AZURE_STORAGE_CONNECTION_STRING is invalid: it must be a connection string; "
            "copy it from the storage account's access keys",
            "sas": "FLEETSCORE_ACCOUNT_URL or AZURE_STORAGE_SAS_TOKEN is invalid",
            "workloadIdentity": "workload identity needs AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE; "
            "label the pod azure.workload.identity/use=true and annotate its service account with the client id",
        }
        raise UsageInvalid(message[settings.auth]) from error


def _take_page(response: PipelineResponse[Any, Any]) -> list[BlobInfo]:
    """Return the blobs of a response that lists blobs, and remove them from it. See `listing`."""
    if response.http_response.status_code != HTTPStatus.OK:
        return []
    try:
        infos, rest = listing.parse_page(response.http_response.body())
    except ValueError as error:
        raise DecodeError(str(error), response=response.http_response) from error
    response.http_response = listing.ReducedResponse(response.http_response, rest)
    return infos


def _to_blob_info(properties: BlobProperties) -> BlobInfo:
    return BlobInfo(
        str(properties.name), int(properties.size or 0), _etag(properties), _metadata(properties), _md5(properties)
    )


def _etag(properties: BlobProperties) -> str:
    return str(properties.etag or "").strip('"')


def _md5(properties: BlobProperties) -> str:
    checksum = properties.content_settings.content_md5
    return bytes(checksum).hex() if checksum else ""


def _metadata(properties: BlobProperties) -> dict[str, str]:
    return {key.lower(): value for key, value in (properties.metadata or {}).items()}
