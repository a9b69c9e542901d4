"""One storage account, read through Azure's SDK. Calls block; the module is imported when a run first needs storage.

The operator never writes to storage. All retry settings of the SDK are explicit: with its defaults a single 503 costs
20 s, and a server without a response 328 s.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import WorkloadIdentityCredential
from azure.storage.blob import BlobServiceClient, ExponentialRetry

from scoring_operator.api.fleets import StorageSettings
from scoring_operator.errors import ConfigurationInvalid, IdentityUnavailable, StorageUnavailable

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20
LIST_TIMEOUT_SECONDS = 300.0  # 100,000 blobs with metadata take about 20 s
PAGE_SIZE = 1000  # blobs with metadata: the SDK needs 6 KB for each, so a page of Azure's default of 5,000 needs 30 MB
NAMES_PAGE_SIZE = 2500  # names only: they need less memory, and fewer pages cost a third less CPU
MAX_BLOBS = 1_000_000


class _NamesOnlyTransport(RequestsTransport):  # type: ignore[misc]  # azure.core exports it without a type
    """A transport that removes the properties of blobs from a listing of names before the SDK parses it.

    Properties are not used, but cause most of the CPU time and memory of a large listing.
    """

    def open(self) -> None:
        """Open the session."""
        super().open()
        self.session.hooks["response"] = [_strip_properties]


def _strip_properties(response: Any, **_: Any) -> None:
    query = parse_qs(urlsplit(response.url).query)
    if response.ok and query.get("comp") == ["list"] and "include" not in query:
        head, *blobs = response.content.split(b"<Properties>")
        rest = (blob.partition(b"</Blob>")[2] for blob in blobs)
        response._content = b"</Blob>".join([head, *rest])  # noqa: SLF001  # requests has no public setter


def _create_client(storage: StorageSettings, secret: str | None) -> BlobServiceClient:
    options: dict[str, Any] = {
        "retry_policy": ExponentialRetry(
            initial_backoff=1,
            increment_base=2,
            random_jitter_range=1,
            retry_total=3,
            retry_connect=3,
            retry_read=3,
            retry_status=3,
        ),
        "transport": _NamesOnlyTransport(connection_timeout=CONNECT_TIMEOUT_SECONDS, read_timeout=READ_TIMEOUT_SECONDS),
    }
    try:
        if storage.existing_secret is None or secret is None:
            return BlobServiceClient(storage.account_url, credential=WorkloadIdentityCredential(), **options)
        if storage.existing_secret.kind == "connectionString":
            return BlobServiceClient.from_connection_string(secret, **options)
        return BlobServiceClient(storage.account_url, credential=secret.lstrip("?"), **options)
    except ValueError as error:  # the SDK's message does not contain the settings
        raise ConfigurationInvalid(
            f"storage {storage.account_url or 'of the fleet'} cannot be used: {error}; fix the fleet's storage settings"
        ) from error


class BlobAccount:
    """A storage account, accessed with one identity.

    Args:
        storage: The fleet's storage settings.
        secret: The connection string or the SAS token, or None for workload identity.

    Raises:
        ConfigurationInvalid: The settings or the secret cannot be used.
    """

    def __init__(self, storage: StorageSettings, secret: str | None) -> None:
        self._client = _create_client(storage, secret)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def list_names(self, container: str, prefix: str, cancelled: Callable[[], bool]) -> Iterator[str]:
        """Yield the names of a container's blobs.

        Args:
            container: The name of the container.
            prefix: The prefix of the names.
            cancelled: A function that returns True to end the listing, called every 1,000 blobs.

        Raises:
            StorageError: The listing failed; the type says why.
        """
        with _sdk_errors(container):
            names = self._client.get_container_client(container).list_blob_names(
                name_starts_with=prefix, results_per_page=NAMES_PAGE_SIZE
            )
            yield from _limited(names, container, cancelled)

    def list_metadata(
        self, container: str, prefix: str, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield the names of a container's blobs with their metadata.

        Args:
            container: The name of the container.
            prefix: The prefix of the names.
            cancelled: A function that returns True to end the listing, called every 1,000 blobs.

        Raises:
            StorageError: The listing failed; the type says why.
        """
        with _sdk_errors(container):
            blobs = self._client.get_container_client(container).list_blobs(
                prefix, include=["metadata"], results_per_page=PAGE_SIZE
            )
            for blob in _limited(blobs, container, cancelled):
                yield blob.name, blob.metadata or {}

    def read(self, container: str, name: str, max_bytes: int) -> bytes | None:
        """Return the first bytes of a blob, or None if the blob does not exist.

        Args:
            container: The name of the container.
            name: The name of the blob.
            max_bytes: The maximum number of bytes.

        Raises:
            StorageError: The read failed; the type says why.
        """
        with _sdk_errors(container):
            try:
                blob = self._client.get_blob_client(container, name)
                return blob.download_blob(offset=0, length=max_bytes).readall()
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", "") == "BlobNotFound":
                    return None
                raise


def _limited(items: Iterable[T], container: str, cancelled: Callable[[], bool]) -> Iterator[T]:
    deadline = time.monotonic() + LIST_TIMEOUT_SECONDS
    for count, item in enumerate(items):
        if count >= MAX_BLOBS:
            raise ConfigurationInvalid(
                f"container {container!r} has more than {MAX_BLOBS:,} blobs under this path; fix the fleet's paths"
            )
        if count % 1000 == 0 and (cancelled() or time.monotonic() > deadline):
            raise StorageUnavailable(f"container {container!r}: the listing was cancelled after {count:,} blobs")
        yield item


@contextmanager
def _sdk_errors(container: str) -> Iterator[None]:
    """Convert errors of the SDK to errors of the operator, with the next step."""
    try:
        yield
    except ClientAuthenticationError as error:
        raise IdentityUnavailable(f"container {container!r}: authentication failed: {_first_line(error)}") from error
    except ResourceNotFoundError as error:
        raise ConfigurationInvalid(
            f"container {container!r} does not exist in this storage account; create it"
        ) from error
    except HttpResponseError as error:
        raise _storage_error(container, error) from error
    except AzureError as error:
        raise StorageUnavailable(f"container {container!r}: {_first_line(error)}") from error


def _storage_error(container: str, error: HttpResponseError) -> Exception:
    status = error.status_code or 0
    problem = f"container {container!r}: {status} {getattr(error, 'error_code', '') or ''} {_first_line(error)}"
    if status == 403:
        return IdentityUnavailable(f"{problem}; the identity needs the role Storage Blob Data Reader there")
    if status == 429 or status >= 500:
        return StorageUnavailable(problem)
    return ConfigurationInvalid(problem)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
