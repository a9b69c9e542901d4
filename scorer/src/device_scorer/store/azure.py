"""Azure Blob Storage as a store. This module and azure_errors are the only ones that know Azure's SDK."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceModifiedError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient, ContentSettings
from requests.utils import get_environ_proxies

from device_scorer.errors import BlobTooLarge, StorageUnavailable, UsageInvalid
from device_scorer.settings import Settings
from device_scorer.store.azure_errors import classify, http_status, storage_error_code
from device_scorer.store.base import NO_METADATA, Blob, BlobInfo, md5_hex
from device_scorer.store.retry import MAX_RETRY_SECONDS, call_with_retry

_CONNECT_TIMEOUT_SECONDS = 5.0
_READ_TIMEOUT_SECONDS = 20.0
_CHUNK_BYTES = 4 * 2**20
_MAX_SINGLE_PUT_BYTES = 512 * 2**20
_MAX_DAMAGED_READS = 3
_NOT_A_WRITE_CONFLICT = frozenset({"LeaseIdMissing", "BlobImmutableDueToPolicy", "ContainerBeingDeleted"})
"""Codes that come with 409 or 412 and yet do not say that someone else was first."""

_SINGLE_ATTEMPT_OPTIONS: Mapping[str, Any] = {
    "retry_total": 0,
    "retry_connect": 0,
    "retry_read": 0,
    "retry_status": 0,
    "retry_to_secondary": False,
    "connection_timeout": _CONNECT_TIMEOUT_SECONDS,
    "read_timeout": _READ_TIMEOUT_SECONDS,
}
"""The SDK's knobs: it tries once, we try again (patience.py)."""

_Result = TypeVar("_Result")


class AzureStore:
    """The Store protocol on a storage account; one client and its connections for all threads."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is sent yet. Raises UsageInvalid for settings that cannot work."""
        for name in ("azure", "msal", "urllib3"):  # their debug lines hold SAS and tokens, and no one may turn them on
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._service = _open_service(settings)
        self._containers = settings.containers
        self._deadline: float | None = None
        self.in_call = False

    def with_deadline(self, deadline: float) -> "AzureStore":
        """See Store."""
        other = object.__new__(AzureStore)
        other._service, other._containers, other._deadline = self._service, self._containers, deadline
        other.in_call = False
        return other

    def close(self) -> None:
        """See Store."""
        self._service.close()

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """See Store."""
        client = self._client(container, name)

        def download() -> Blob | None:
            found = client.download_blob(**self._timeouts())
            if max_bytes is not None and found.size > max_bytes:
                raise BlobTooLarge(name, found.size, max_bytes)
            try:
                content, properties = found.readall(), found.properties
            except ResourceModifiedError:  # replaced between two pieces of it
                return None
            checksum = _md5(properties)
            if len(content) != found.size or (checksum and checksum != md5_hex(content)):
                return None
            return Blob(content, _etag(properties), _metadata(properties))

        for _ in range(_MAX_DAMAGED_READS):
            blob = self._call_with_retry(download, container, name, expected_statuses=(404,))
            if isinstance(blob, _NotFound):
                return None
            if isinstance(blob, Blob):
                return blob
        raise StorageUnavailable(f"{name} arrives damaged: its bytes do not match its length or Content-MD5")

    def head(self, container: str, name: str) -> BlobInfo | None:
        """See Store."""
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
        """See Store."""
        client, lost = self._client(container, name), []
        checksum = md5_hex(content)
        condition: dict[str, Any] = {"overwrite": overwrite}
        if if_match is not None:
            condition = {"overwrite": True, "etag": f'"{if_match}"', "match_condition": MatchConditions.IfNotModified}

        def upload() -> str:
            answer = client.upload_blob(
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
            return str(answer["etag"]).strip('"')

        etag = self._call_with_retry(
            upload, container, name, expected_statuses=(409, 412), on_maybe_applied=lambda: lost.append(True)
        )
        if not isinstance(etag, _NotFound):
            return str(etag)
        there = self.head(container, name) if lost else None
        ours = there is not None and there.md5 == checksum and dict(there.metadata) == dict(metadata)
        return (
            there.etag if there is not None and ours else None
        )  # ours: only the answer to an earlier attempt was lost

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """See Store."""
        client = self._service.get_container_client(self._containers[container])
        token: str | None = None
        while True:

            def page(token: str | None = token) -> tuple[list[BlobInfo], str | None]:
                found = client.list_blobs(name_starts_with=prefix or None, include=["metadata"], **self._timeouts())
                pages = found.by_page(token)
                infos = [_to_blob_info(blob) for blob in next(pages, ())]
                return infos, getattr(pages, "continuation_token", None)

            found = self._call_with_retry(page, container, prefix)
            if isinstance(found, _NotFound):
                return
            infos, token = found
            yield from infos
            if not token:
                return

    def delete(self, container: str, name: str) -> None:
        """See Store."""
        client = self._client(container, name)
        self._call_with_retry(lambda: client.delete_blob(**self._timeouts()), container, name, expected_statuses=(404,))

    def ensure_container(self, container: str) -> None:
        """See Store."""
        client = self._service.get_container_client(self._containers[container])
        self._call_with_retry(
            lambda: client.create_container(**self._timeouts()), container, "", expected_statuses=(409,)
        )

    def _client(self, container: str, name: str) -> BlobClient:
        return self._service.get_blob_client(self._containers[container], name)

    def _timeouts(self) -> dict[str, Any]:
        """How long one attempt waits for a connection and for the next byte, never beyond the deadline."""
        left = max(0.2, self._effective_deadline() - time.monotonic())
        return {
            "connection_timeout": min(_CONNECT_TIMEOUT_SECONDS, left),
            "read_timeout": min(_READ_TIMEOUT_SECONDS, left),
        }

    def _effective_deadline(self) -> float:
        return time.monotonic() + MAX_RETRY_SECONDS if self._deadline is None else self._deadline

    def _call_with_retry(
        self,
        attempt: Callable[[], _Result],
        container: str,
        name: str,
        *,
        expected_statuses: tuple[int, ...] = (),
        on_maybe_applied: Callable[[], None] = lambda: None,
    ) -> "_Result | _NotFound":
        """The answer of a call with all its retries; _Absent for the statuses that mean "not there", or "not ours"."""
        what = f"{self._containers[container]}/{name}".rstrip("/")

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

        self.in_call = True
        try:
            return call_with_retry(
                attempt_once,
                lambda error: classify(error, target=what),
                deadline=self._effective_deadline(),
                on_maybe_applied=on_maybe_applied,
            )
        finally:
            self.in_call = False


class _NotFound:
    """The answer that there is nothing, or nothing of ours."""


def _open_service(settings: Settings) -> BlobServiceClient:
    sizes = {
        "max_single_get_size": _CHUNK_BYTES,
        "max_chunk_get_size": _CHUNK_BYTES,
        "max_single_put_size": _MAX_SINGLE_PUT_BYTES,
    }
    transport = RequestsTransport(use_env_settings=False, connection_verify=_ca_bundle())
    service = _create_service_client(settings, {**_SINGLE_ATTEMPT_OPTIONS, **sizes, "transport": transport})
    transport.open()
    transport.session.proxies = get_environ_proxies(service.url)
    return service


def _ca_bundle() -> str | bool:
    """The certificates that the environment says to trust, as requests itself would find them."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def _create_service_client(settings: Settings, options: Mapping[str, Any]) -> BlobServiceClient:
    try:
        if settings.auth == "connectionString":
            return BlobServiceClient.from_connection_string(settings.connection_string, **options)
        if settings.auth == "sas":
            return BlobServiceClient(settings.account_url, credential=settings.sas_token, **options)
        from azure.identity import WorkloadIdentityCredential  # noqa: PLC0415  a tenth of a second that keys need not pay

        return BlobServiceClient(
            settings.account_url, credential=WorkloadIdentityCredential(**_SINGLE_ATTEMPT_OPTIONS), **options
        )
    except (ValueError, KeyError) as error:  # the SDK's text may quote the secret
        cure = {
            "connectionString": "AZURE_STORAGE_CONNECTION_STRING is no connection string",
            "sas": "FLEETSCORE_ACCOUNT_URL or AZURE_STORAGE_SAS_TOKEN is wrong",
            "workloadIdentity": "workload identity needs AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE: "
            "label the pod azure.workload.identity/use=true and annotate its service account with the client id",
        }
        raise UsageInvalid(cure[settings.auth]) from error


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
