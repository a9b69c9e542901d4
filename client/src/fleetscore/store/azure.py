"""A store in an Azure storage account, read with the user's own identity or with a credential of the environment."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.storage.blob import BlobPrefix, BlobProperties, BlobServiceClient

from fleetscore.errors import AccessDenied, DataInvalid, FleetscoreError, NotFound, StorageUnavailable, UsageInvalid
from fleetscore.store.base import Blob, BlobInfo
from fleetscore.store.endpoints import is_azure_endpoint

CONNECTION_STRING_VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"
SAS_TOKEN_VARIABLE = "AZURE_STORAGE_SAS_TOKEN"  # noqa: S105  the name of a variable
# A person waits: four attempts take 8 seconds in place of the SDK's 84.
_RETRIES: dict[str, Any] = {"retry_total": 3, "initial_backoff": 0, "increment_base": 1.6, "random_jitter_range": 1}
_OPTIONS: dict[str, Any] = {**_RETRIES, "connection_timeout": 5, "read_timeout": 60}

T = TypeVar("T")


class AzureStore:
    """A store in a storage account. See Store for the methods.

    Args:
        service: The client of the account.
        containers: The names of the containers by role: models, data and predictions.
        variable: The environment variable of the key or SAS token; empty for an identity.
    """

    def __init__(self, service: BlobServiceClient, containers: Mapping[str, str], variable: str = "") -> None:
        self._service, self._containers, self._variable = service, containers, variable

    @classmethod
    def connect(
        cls,
        account_url: str,
        containers: Mapping[str, str],
        *,
        environment: Mapping[str, str] = os.environ,
        credential: TokenCredential | None = None,
        is_trusted: bool = False,
    ) -> "AzureStore":
        """Connect with a connection string or SAS token of the environment, or else with the user's identity.

        Args:
            account_url: The blob endpoint; a connection string has its own.
            containers: The names of the containers by role.
            environment: The environment variables.
            credential: The identity; None for DefaultAzureCredential, which takes the login of `az login`.
            is_trusted: True if the administrator names the account, so that it may have an endpoint of any domain.

        Raises:
            UsageInvalid: No account is named, it gets no token, or the credential of the environment is invalid.
        """
        if text := environment.get(CONNECTION_STRING_VARIABLE):
            try:
                return cls(
                    BlobServiceClient.from_connection_string(text, **_OPTIONS), containers, CONNECTION_STRING_VARIABLE
                )
            except ValueError as error:
                message = f"{CONNECTION_STRING_VARIABLE} is invalid: it is not a connection string; copy it again"
                raise UsageInvalid(message) from error
        if not account_url:
            raise UsageInvalid(
                f"no storage account is known; set {CONNECTION_STRING_VARIABLE} or name a --store folder"
            )
        if not is_trusted and not is_azure_endpoint(account_url):
            text = f"{account_url} is not an endpoint of Azure Storage, and gets no token of this user"
            raise UsageInvalid(f"{text}; use --use-fleet-secret, or set {CONNECTION_STRING_VARIABLE}")
        if token := environment.get(SAS_TOKEN_VARIABLE):
            service = BlobServiceClient(account_url, credential=token.removeprefix("?"), **_OPTIONS)
            return cls(service, containers, SAS_TOKEN_VARIABLE)
        if credential is None:
            from azure.identity import DefaultAzureCredential  # noqa: PLC0415  it imports for half a second

            credential = DefaultAzureCredential()
        return cls(BlobServiceClient(account_url, credential=credential, **_OPTIONS), containers)

    @property
    def location(self) -> str:
        """The account, without its credential."""
        return str(self._service.primary_endpoint).partition("?")[0].rstrip("/")

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """Yield the blobs with the prefix, in the order of their names."""
        client = self._service.get_container_client(self._containers[container])
        try:
            for blob in client.list_blobs(name_starts_with=prefix or None, include=["metadata"]):
                yield _info(blob.name, blob)
        except AzureError as error:
            raise self._error(error, container) from error

    def names(self, container: str, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with the prefix, in order."""
        client = self._service.get_container_client(self._containers[container])
        try:
            yield from client.list_blob_names(name_starts_with=prefix or None)
        except AzureError as error:
            raise self._error(error, container) from error

    def folders(self, container: str, prefix: str = "") -> Iterator[str]:
        """Yield the names up to the first slash after the prefix, with that slash, once and in order."""
        client = self._service.get_container_client(self._containers[container])
        try:
            for found in client.walk_blobs(name_starts_with=prefix or None, delimiter="/"):
                if isinstance(found, BlobPrefix):
                    yield found.name
        except AzureError as error:
            raise self._error(error, container) from error

    def exists(self, container: str, name: str) -> bool:
        """Return True if a blob exists."""
        try:
            return self._service.get_blob_client(self._containers[container], name).exists()
        except AzureError as error:
            raise self._error(error, container) from error

    def info(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a blob, or None if it does not exist."""
        client = self._service.get_blob_client(self._containers[container], name)
        return self._unless_missing(container, lambda: _info(name, client.get_blob_properties()))

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """Return a blob, or None if it does not exist."""
        client = self._service.get_blob_client(self._containers[container], name)

        def download() -> Blob:
            stream = client.download_blob()
            info = _info(name, stream.properties)
            if max_bytes is not None and info.size > max_bytes:
                raise DataInvalid(f"{name} is too large: it has {info.size:,} bytes of at most {max_bytes:,}")
            return Blob(info, stream.readall())

        return self._unless_missing(container, download)

    def _unless_missing(self, container: str, request: Callable[[], T]) -> T | None:
        """Return the result of a request for a blob, or None if the blob does not exist."""
        try:
            return request()
        except ResourceNotFoundError as error:
            if error_code(error) == "ContainerNotFound":
                raise self._error(error, container) from error
            return None
        except AzureError as error:
            raise self._error(error, container) from error

    def write(self, container: str, name: str, content: bytes, *, if_match: str | None) -> bool:
        """Write a blob if it is unchanged."""
        client = self._service.get_blob_client(self._containers[container], name)
        condition: dict[str, Any] = (
            {"overwrite": False}
            if if_match is None
            else {"overwrite": True, "etag": f'"{if_match}"', "match_condition": MatchConditions.IfNotModified}
        )
        try:
            client.upload_blob(content, **condition)
        except (ResourceExistsError, ResourceModifiedError):
            return False
        except AzureError as error:
            raise self._error(error, container, writes=True) from error
        return True

    def _error(self, error: AzureError, container: str, *, writes: bool = False) -> FleetscoreError:
        """Return the error for the user; the text names the account, the container and the next step."""
        code = error_code(error)
        status = error.status_code if isinstance(error, HttpResponseError) else None
        place = f"container {self._containers[container]} of {self.location}"
        if code == "ContainerNotFound":
            return NotFound(f"{place} does not exist; check the fleet's storage settings")
        if code == "AuthorizationFailure":
            text = f"{place} rejects this network; add it to the account's firewall, or use its private endpoint"
            return AccessDenied(text)
        if isinstance(error, ClientAuthenticationError) or status in (401, 403):
            role = "Contributor" if writes else "Reader"
            verb = "written" if writes else "read"
            if self._variable:
                text = (
                    f"{place} cannot be {verb} with the key or SAS token ({code or 'rejected'}): it is wrong, expired"
                )
                text += (
                    f" or too weak, or this machine's clock is off; set {self._variable} or the fleet's Secret again"
                )
                return AccessDenied(f"{text}, and a SAS token needs the permissions to read, list and write")
            text = f"{place} cannot be {verb} ({code or 'no identity'}); run `az login` with an identity"
            return AccessDenied(
                f"{text} that has the role Storage Blob Data {role}, or set {CONNECTION_STRING_VARIABLE}"
            )
        if isinstance(error, ServiceRequestError) and "resolve" in str(error):
            text = (
                f"{place} cannot be reached: the host name is unknown; check the account's name in the fleet's settings"
            )
            return StorageUnavailable(f"{text}, the VPN, and the DNS zone of its private endpoint")
        first_line = str(error).partition("\n")[0][:200]
        return StorageUnavailable(f"{place} cannot be reached: {first_line}; try again")


def _info(name: str, properties: BlobProperties) -> BlobInfo:
    metadata = properties.metadata or {}
    etag = str(properties.etag).strip('"')  # a listing has it without quotes, and so has the scorer's metadata
    return BlobInfo(name, properties.size, etag, metadata, properties.last_modified)


def error_code(error: BaseException | None) -> str:
    """Return the code of an error of storage, such as ContainerNotFound; empty without one."""
    code = getattr(error, "error_code", None) or ""
    return str(getattr(code, "value", code))  # the text of a member of an enum is its name
