"""One storage account, read through Azure's SDK. Calls block; the module is imported when a run first needs storage.

The operator never writes to storage. All retry settings of the SDK are explicit: with its defaults a single 503 costs
20 s, and a server without a response 328 s.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.paging import ItemPaged
from azure.identity import WorkloadIdentityCredential
from azure.storage.blob import BlobServiceClient, ExponentialRetry

from scoring_operator.api.fleets import StorageSettings
from scoring_operator.contract.secret_formats import secret_problem
from scoring_operator.contract.storage_codes import CONFIGURATION, UNAVAILABLE, Rule, storage_rule, token_rule
from scoring_operator.errors import ConfigurationInvalid, FleetscoreError, IdentityUnavailable, StorageUnavailable
from scoring_operator.storage.limits import DEFAULT_LIMITS, StorageLimits
from scoring_operator.storage.transport import LimitedTransport

T = TypeVar("T")

PAGE_SIZE = 1000  # blobs with metadata: the SDK needs 6 KB for each, so a page of Azure's default of 5,000 needs 30 MB
NAMES_PAGE_SIZE = 2500  # names only: they need less memory, and fewer pages cost a third less CPU
_ENTRA_CODE = re.compile(r"AADSTS\d{4,9}")


def secret_name(storage: StorageSettings) -> str:
    """Return the Secret with the credential, for messages; 'the Secret' if there is none."""
    secret = storage.existing_secret
    return f"the key {secret.key} of the Secret {secret.name}" if secret else "the Secret"


def _create_client(storage: StorageSettings, secret: str | None, limits: StorageLimits) -> BlobServiceClient:
    options: dict[str, Any] = {
        "retry_policy": ExponentialRetry(
            initial_backoff=1,
            increment_base=2,
            random_jitter_range=1,
            retry_total=limits.max_retries,
            retry_connect=limits.max_retries,
            retry_read=limits.max_retries,
            retry_status=limits.max_retries,
        ),
        "transport": LimitedTransport(limits),
    }
    if storage.existing_secret and secret is not None:
        problem = secret_problem(storage.existing_secret.kind, secret)
        if problem:
            raise ConfigurationInvalid(f"{secret_name(storage)} is invalid: {problem}")
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
        limits: The limits of requests.

    Raises:
        ConfigurationInvalid: The settings or the secret cannot be used.
    """

    def __init__(self, storage: StorageSettings, secret: str | None, limits: StorageLimits = DEFAULT_LIMITS) -> None:
        self._client = _create_client(storage, secret, limits)
        self._secret = secret_name(storage)
        self._limits = limits

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def list_names(self, container: str, prefix: str, cancelled: Callable[[], bool]) -> Iterator[str]:
        """Yield the names of a container's blobs.

        Args:
            container: The name of the container.
            prefix: The prefix of the names.
            cancelled: A function that returns True to end the listing, called for each page.

        Raises:
            StorageError: The listing failed; the type says why.
        """
        with self._errors(container):
            names = self._client.get_container_client(container).list_blob_names(
                name_starts_with=prefix, results_per_page=NAMES_PAGE_SIZE
            )
            yield from _limited(names, container, cancelled, self._limits)

    def list_metadata(
        self, container: str, prefix: str, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield the names of a container's blobs with their metadata.

        Args:
            container: The name of the container.
            prefix: The prefix of the names.
            cancelled: A function that returns True to end the listing, called for each page.

        Raises:
            StorageError: The listing failed; the type says why.
        """
        with self._errors(container):
            blobs = self._client.get_container_client(container).list_blobs(
                prefix, include=["metadata"], results_per_page=PAGE_SIZE
            )
            for blob in _limited(blobs, container, cancelled, self._limits):
                yield blob.name, blob.metadata or {}

    def read(self, container: str, name: str, max_bytes: int) -> bytes | None:
        """Return the first bytes of a blob as they are stored, or None if the blob does not exist.

        Args:
            container: The name of the container.
            name: The name of the blob.
            max_bytes: The maximum number of bytes.

        Raises:
            StorageError: The read failed; the type says why.
        """
        with self._errors(container):
            try:
                blob = self._client.get_blob_client(container, name)
                # Decompressed, a blob with a Content-Encoding may have a thousand times more bytes.
                return blob.download_blob(offset=0, length=max_bytes, decompress=False).readall()
            except ResourceNotFoundError as error:
                if getattr(error, "error_code", "") == "BlobNotFound":
                    return None
                raise

    def is_folder(self, container: str, name: str) -> bool:
        """Return True if a name is that of a directory: accounts with a hierarchical namespace list them as blobs.

        Args:
            container: The name of the container.
            name: The name.

        Raises:
            StorageError: The request failed; the type says why.
        """
        with self._errors(container):
            try:
                metadata = self._client.get_blob_client(container, name).get_blob_properties().metadata or {}
            except ResourceNotFoundError:
                return True  # it was deleted meanwhile
        return {key.lower(): value for key, value in metadata.items()}.get("hdi_isfolder") == "true"

    @contextmanager
    def _errors(self, container: str) -> Iterator[None]:
        """Convert errors of the SDK to errors of the operator, with the next step."""
        try:
            yield
        except AzureError as error:
            raise _storage_error(f"container {container!r}", error, self._secret) from error
        except FleetscoreError:
            raise
        except Exception as error:  # the SDK's parsers raise many types: ValueError, RecursionError, MemoryError
            raise StorageUnavailable(
                f"container {container!r}: storage sends an invalid response ({type(error).__name__}); "
                "check the account URL, and proxies on the way"
            ) from error


def _limited(items: ItemPaged[T], container: str, cancelled: Callable[[], bool], limits: StorageLimits) -> Iterator[T]:
    """Yield the items of a listing within the limits of number and time.

    A page may be empty, so the limits are checked for each page. A server whose next marker is that of the page itself
    would send the same page without end.
    """
    deadline, count, marker = time.monotonic() + limits.list_timeout, 0, None
    pages: Any = items.by_page()  # its type lacks the marker
    for page in pages:
        if cancelled() or time.monotonic() > deadline:
            raise StorageUnavailable(f"container {container!r}: the listing was cancelled after {count:,} blobs")
        if marker is not None and pages.continuation_token == marker:
            raise StorageUnavailable(f"container {container!r}: storage repeats a page of the listing")
        marker = pages.continuation_token
        for item in page:
            count += 1
            if count > limits.max_blobs:
                raise ConfigurationInvalid(
                    f"container {container!r} has more than {limits.max_blobs:,} blobs under this path; "
                    "fix the fleet's paths"
                )
            yield item


def _storage_error(target: str, error: AzureError, secret: str) -> Exception:
    """Return the operator's error. Its message has only codes and texts of the contract: the SDK's may have a SAS."""
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if isinstance(error, ClientAuthenticationError) and (found := _ENTRA_CODE.search(str(error))):
        rule, problem = token_rule(found[0]), f"there is no token for the storage account ({found[0]})"
    elif status:
        code = str(getattr(error, "error_code", "") or "")
        rule, problem = storage_rule(status, code), f"{target}: storage rejects the request: {status} {code}".rstrip()
    elif isinstance(error, ClientAuthenticationError):
        rule, problem = token_rule(""), f"there is no token for the storage account ({type(error).__name__})"
    elif _needs_proxy_login(error):
        rule, problem = storage_rule(407, ""), f"{target}: storage cannot be reached: 407"
    else:
        rule = Rule(UNAVAILABLE, "check the account URL, DNS, the network and HTTPS_PROXY")
        problem = f"{target}: storage cannot be reached ({type(error).__name__})"
    text = f"{problem}; {rule.cure.replace('the Secret', secret)}" if rule.cure else problem
    if rule.reason == UNAVAILABLE:
        return StorageUnavailable(text)
    return ConfigurationInvalid(text) if rule.reason == CONFIGURATION else IdentityUnavailable(text)


def _needs_proxy_login(error: BaseException) -> bool:
    """Return True if a proxy opens no tunnel to an HTTPS server without a login."""
    while (deeper := getattr(error, "inner_exception", None) or error.__cause__ or error.__context__) is not None:
        error = deeper
    return type(error) is OSError and str(error).startswith("Tunnel connection failed: 407")
