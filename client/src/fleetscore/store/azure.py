"""A store in an Azure storage account, read with the user's own identity or with a credential of the environment."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobPrefix, BlobProperties, BlobServiceClient

from fleetscore.contract.content_encoding import decode_content
from fleetscore.errors import AccessDenied, DataInvalid, FleetscoreError, TooLarge, UsageInvalid
from fleetscore.store import causes
from fleetscore.store.base import MAX_BLOB_BYTES, Blob, BlobInfo, too_large
from fleetscore.store.endpoints import is_azure_endpoint

CONNECTION_STRING_VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"
SAS_TOKEN_VARIABLE = "AZURE_STORAGE_SAS_TOKEN"  # noqa: S105  the name of a variable
# A person waits: four attempts take 8 seconds in place of the SDK's 84, and a silent account costs a minute.
_RETRIES: dict[str, Any] = {"retry_total": 3, "initial_backoff": 0, "increment_base": 1.6, "random_jitter_range": 1}
_TIMEOUTS: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 30, "retry_read": 1}
_OPTIONS: dict[str, Any] = {**_RETRIES, **_TIMEOUTS, "permit_redirects": False}
_NOT_FROM_AZURE = (ValueError, TypeError, AttributeError, KeyError)
"""The errors of the SDK for a response of another server, such as the login page of a proxy."""


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
        # The SDK logs twenty lines if no login is found; the error has the next step. The user's handlers get them.
        logging.getLogger("azure").addHandler(logging.NullHandler())
        if text := environment.get(CONNECTION_STRING_VARIABLE):
            _check_credential("connectionString", text)
            try:
                service = BlobServiceClient.from_connection_string(text, **_OPTIONS)
            except ValueError as error:
                message = f"{CONNECTION_STRING_VARIABLE} is invalid: it is not a connection string; copy it again"
                raise UsageInvalid(message) from error
            return cls(service, containers, CONNECTION_STRING_VARIABLE)
        if not account_url:
            raise UsageInvalid(
                f"no storage account is known; set {CONNECTION_STRING_VARIABLE} or name a --store folder"
            )
        if not is_trusted and not is_azure_endpoint(account_url):
            text = f"{account_url} is not an endpoint of Azure Storage, and gets no token of this user"
            raise UsageInvalid(f"{text}; use --use-fleet-secret, or set {CONNECTION_STRING_VARIABLE}")
        credential_: Any
        if token := environment.get(SAS_TOKEN_VARIABLE):
            _check_credential("sas", token)
            credential_ = token.removeprefix("?")
        else:
            if credential is None:
                from azure.identity import DefaultAzureCredential  # noqa: PLC0415  it imports for half a second

                credential = DefaultAzureCredential()
            credential_ = _Login(credential, account_url)
        try:
            service = BlobServiceClient(account_url, credential=credential_, **_OPTIONS)
        except ValueError as error:
            raise UsageInvalid(f"account URL {account_url!r} is invalid; correct it in the chart's values") from error
        return cls(service, containers, SAS_TOKEN_VARIABLE if token else "")

    @property
    def location(self) -> str:
        """The account, without its credential."""
        return str(self._service.primary_endpoint).partition("?")[0].rstrip("/")

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """Yield the blobs with the prefix, in the order of their names."""
        client = self._service.get_container_client(self._containers[container])
        with self._failures(container):
            for blob in client.list_blobs(name_starts_with=prefix or None, include=["metadata"]):
                yield _info(blob.name, blob)

    def names(self, container: str, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with the prefix, in order."""
        client = self._service.get_container_client(self._containers[container])
        with self._failures(container):
            yield from client.list_blob_names(name_starts_with=prefix or None)

    def folders(self, container: str, prefix: str = "") -> Iterator[str]:
        """Yield the names up to the first slash after the prefix, with that slash, once and in order."""
        client = self._service.get_container_client(self._containers[container])
        with self._failures(container):
            for found in client.walk_blobs(name_starts_with=prefix or None, delimiter="/"):
                if isinstance(found, BlobPrefix):
                    yield found.name

    def exists(self, container: str, name: str) -> bool:
        """Return True if a blob exists."""
        return self.info(container, name) is not None

    def info(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a blob, or None if it does not exist."""
        client = self._service.get_blob_client(self._containers[container], name)
        with self._failures(container, name):
            try:
                return _info(name, client.get_blob_properties())
            except ResourceNotFoundError as error:
                if error_code(error) not in causes.MISSING_CODES:
                    raise
        return None

    def read(self, container: str, name: str, *, max_bytes: int = MAX_BLOB_BYTES) -> Blob | None:
        """Return a blob, or None if it does not exist."""
        client = self._service.get_blob_client(self._containers[container], name)
        with self._failures(container, name):
            try:
                stream = client.download_blob(decompress=False)
                info = _info(name, stream.properties)
                if info.size > max_bytes:
                    raise too_large(name, info.size, max_bytes)
                encoding = stream.properties.content_settings.content_encoding or ""
                return Blob(info, decode_content(name, stream.readall(), encoding, max_bytes=max_bytes))
            except ResourceNotFoundError as error:
                if error_code(error) not in causes.MISSING_CODES:
                    raise
        return None

    def write(self, container: str, name: str, content: bytes, *, if_match: str | None) -> bool:
        """Write a blob if it is unchanged."""
        client = self._service.get_blob_client(self._containers[container], name)
        condition: dict[str, Any] = (
            {"overwrite": False}
            if if_match is None
            else {"overwrite": True, "etag": f'"{if_match}"', "match_condition": MatchConditions.IfNotModified}
        )
        with self._failures(container, name, writes=True):
            try:
                client.upload_blob(content, **condition)
            except (ResourceExistsError, ResourceModifiedError) as error:
                if error_code(error) not in causes.CONFLICT_CODES:
                    raise
            else:
                return True
        with suppress(TooLarge):  # equal content counts as written: the response to an earlier attempt may be lost
            existing = self.read(container, name, max_bytes=len(content))
            return existing is not None and existing.content == content
        return False

    @contextmanager
    def _failures(self, container: str, name: str = "", *, writes: bool = False) -> Iterator[None]:
        """Raise the errors of the SDK as those of the client, which name the account, the container and the next step.

        Args:
            container: The role of the container.
            name: The name of the blob; empty for a listing.
            writes: True for a write.
        """
        try:
            yield
        except AzureError as error:
            raise self._error(error, container, name, writes=writes) from error
        except _NOT_FROM_AZURE as error:
            raise self._failure(causes.foreign_server(type(error).__name__), container, name) from error

    def _error(self, error: AzureError, container: str, name: str = "", *, writes: bool = False) -> FleetscoreError:
        status = (error.status_code or 0) if isinstance(error, HttpResponseError) else 0
        if isinstance(error, ClientAuthenticationError) and not status:
            status = 401  # no login, or a key that cannot sign
        if status >= 300:
            found = causes.cause_of(status, error_code(error), variable=self._variable, writes=writes)
        elif status:
            found = causes.foreign_server(f"it answered {status} with another content")
        else:
            found = causes.unreachable(_chain(error))
        return self._failure(found, container, name)

    def _failure(self, cause: causes.Cause, container: str, name: str) -> FleetscoreError:
        place = f"container {self._containers[container]} of {self.location}"
        if name and cause.kind is DataInvalid:
            place = f"{name} in {place}"
        return cause.kind(f"{place} {cause.reason}; {cause.cure}")


class _Login:
    """A token credential whose failure is an error for the user at once. The SDK would repeat it for seconds."""

    def __init__(self, credential: TokenCredential, account_url: str) -> None:
        self._credential, self._account_url = credential, account_url

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token. Raises AccessDenied without a login."""
        try:
            return self._credential.get_token(*scopes, **options)
        except ClientAuthenticationError as error:
            text = (
                f"{self._account_url} cannot be read (no identity); run `az login` with an identity that has the role"
            )
            raise AccessDenied(f"{text} Storage Blob Data Reader, or {causes.SET_CONNECTION_STRING}") from error


def _check_credential(kind: str, text: str) -> None:
    """Raise UsageInvalid for a credential of the environment, or of the fleet's Secret, with a visible fault."""
    if fault := causes.credential_fault(kind, text, datetime.now(UTC)):
        variable = SAS_TOKEN_VARIABLE if kind == "sas" else CONNECTION_STRING_VARIABLE
        raise UsageInvalid(f"{variable} is invalid, or the fleet's Secret: {fault[0]}; {fault[1]}")


def _chain(error: BaseException | None) -> str:
    """Return the names of the classes of an error and of its causes, and their texts."""
    names: list[str] = []
    texts: list[str] = []
    while error is not None and len(names) < 8:
        names.append(type(error).__name__)
        texts.append(str(error)[:1000])
        error = error.__cause__ or error.__context__
    return " ".join([*names, *texts])


def _info(name: str, properties: BlobProperties) -> BlobInfo:
    if properties.etag is None or properties.size is None:
        raise ValueError("the response has no ETag")
    metadata = properties.metadata or {}
    etag = str(properties.etag).strip('"')  # a listing has it without quotes, and so has the scorer's metadata
    return BlobInfo(name, properties.size, etag, metadata, properties.last_modified)


def error_code(error: BaseException | None) -> str:
    """Return the code of an error of storage, such as ContainerNotFound; empty without one."""
    code = getattr(error, "error_code", None) or ""
    return str(getattr(code, "value", code))  # the text of a member of an enum is its name
