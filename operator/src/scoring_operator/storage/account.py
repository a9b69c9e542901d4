"""The only Azure: one storage account, read through its SDK. Blocking; imported only when a run needs storage.

The operator never writes to storage. All of the SDK's retries are set: by default a single 503 costs 20 s and a silent
server 328 s.
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
LIST_TIMEOUT_SECONDS = 300.0  # 100,000 blobs with metadata take about 20
PAGE_SIZE = 1000  # blobs an answer: the SDK needs 6 KB for each while it reads one, and Azure's own 5,000 are 30 MB
NAMES_PAGE_SIZE = 2500  # names an answer: they need less, and fewer answers cost a third less CPU
MAX_BLOBS = 1_000_000


class _NamesOnlyTransport(RequestsTransport):  # type: ignore[misc]  # azure.core exports it without a type
    """Drops all but the names of blobs from a listing of names before the SDK builds an object of each.

    The rest is most of what a large listing costs in CPU and memory, and nobody here reads them.
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
        response._content = b"</Blob>".join([head, *rest])  # noqa: SLF001  # it has no other setter


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
    except ValueError as error:  # what the SDK says of settings it cannot use; it quotes none of them
        raise ConfigurationInvalid(
            f"storage {storage.account_url or 'of the fleet'} cannot be used: {error}"
        ) from error


class BlobAccount:
    """A storage account, as one identity.

    Args:
        storage: The fleet's.
        secret: Connection string or SAS token; None: workload identity.

    Raises:
        ConfigurationInvalid: They cannot be used.
    """

    def __init__(self, storage: StorageSettings, secret: str | None) -> None:
        self._client = _create_client(storage, secret)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def list_names(self, container: str, prefix: str, cancelled: Callable[[], bool]) -> Iterator[str]:
        """List the names of a container's blobs.

        Args:
            container: Its name.
            prefix: Only names that begin so.
            give_up: Asked now and then; the listing ends where it says yes.

        Raises:
            StorageError: As its type says.
        """
        with _sdk_errors(container):
            names = self._client.get_container_client(container).list_blob_names(
                name_starts_with=prefix, results_per_page=NAMES_PAGE_SIZE
            )
            yield from _limited(names, container, cancelled)

    def list_metadata(
        self, container: str, prefix: str, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[str, Mapping[str, str]]]:
        """List a container's blobs with their metadata; else like `names`."""
        with _sdk_errors(container):
            blobs = self._client.get_container_client(container).list_blobs(
                prefix, include=["metadata"], results_per_page=PAGE_SIZE
            )
            for blob in _limited(blobs, container, cancelled):
                yield blob.name, blob.metadata or {}

    def read(self, container: str, name: str, max_bytes: int) -> bytes | None:
        """Read a blob, but no more than so many bytes; None where there is none."""
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
                f"container {container!r} has over {MAX_BLOBS:,} blobs here: mend the fleet's paths"
            )
        if count % 1000 == 0 and (cancelled() or time.monotonic() > deadline):
            raise StorageUnavailable(f"container {container!r}: listing was given up after {count:,} blobs")
        yield item


@contextmanager
def _sdk_errors(container: str) -> Iterator[None]:
    """Turn the SDK's errors into ours, with what can be done about them."""
    try:
        yield
    except ClientAuthenticationError as error:
        raise IdentityUnavailable(f"container {container!r}: signing in failed: {_first_line(error)}") from error
    except ResourceNotFoundError as error:
        raise ConfigurationInvalid(f"there is no container {container!r} in this storage account: create it") from error
    except HttpResponseError as error:
        raise _storage_error(container, error) from error
    except AzureError as error:
        raise StorageUnavailable(f"container {container!r}: {_first_line(error)}") from error


def _storage_error(container: str, error: HttpResponseError) -> Exception:
    status = error.status_code or 0
    what = f"container {container!r}: {status} {getattr(error, 'error_code', '') or ''} {_first_line(error)}"
    if status == 403:
        return IdentityUnavailable(f"{what}; the identity needs the role Storage Blob Data Reader there")
    if status == 429 or status >= 500:
        return StorageUnavailable(what)
    return ConfigurationInvalid(what)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
