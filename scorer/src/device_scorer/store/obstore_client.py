"""Clients of obstore for a storage account. Only the modules obstore_* import obstore."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import AzureStore as Client

from device_scorer.errors import UsageInvalid
from device_scorer.store.account import Account, split_endpoint
from device_scorer.store.metadata import split_checksum
from device_scorer.store.rejections import invalid_ca_bundle
from device_scorer.store.retry import MIN_TIMEOUT_SECONDS, RetryPolicy

MAX_TRANSFER_SECONDS = 600
"""The time of one request with its body, if the deadline is far."""

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROPERTY_NAMES = frozenset(
    {"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Storage-Class"}
)
"""The attributes of obstore that are not metadata. Keys of metadata are in lower case."""


class Clients:
    """The clients of one account, created at their first use. One client serves all threads.

    The timeouts of obstore belong to a client and not to a request. Requests near a deadline use clients with shorter
    timeouts, which are halved step by step, so there are few of them.

    A client of obstore belongs to a container. A client for the whole account has the account, or nothing, in place of
    the container; the paths of blobs then begin with the container. Its connections and its token serve all containers.

    Args:
        account: The storage account.
        retry_policy: The timeouts of a request.
        environment: The environment with the variables of the CA bundle.

    Attributes:
        has_identity: True if the requests have a token of an identity.
    """

    def __init__(
        self, account: Account, retry_policy: RetryPolicy, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._account = account
        self._retry_policy = retry_policy
        self._credential = _credential(account)
        self.has_identity = account.identity is not None
        encrypted = account.endpoint.startswith("https:") or self.has_identity
        self._authorities = _read_authorities(environment) if encrypted else b""
        authority = account.identity.authority_host if account.identity else ""
        # With an https URL a redirect to http, such as the address of the node's identity, is not followed.
        self._allow_http = any(url.startswith("http:") for url in (account.endpoint, authority))
        self._clients: dict[tuple[str | None, float], Client] = {}
        self._lock = threading.Lock()
        self.for_account(retry_policy.read_timeout_seconds)

    def for_account(self, seconds_left: float) -> Client:
        """Return the client whose paths begin with the container.

        Args:
            seconds_left: The time until the deadline.
        """
        return self._get(None, seconds_left)

    def for_container(self, container: str, seconds_left: float) -> Client:
        """Return the client of one container, which can list it.

        Args:
            container: The name of the container.
            seconds_left: The time until the deadline.
        """
        return self._get(container, seconds_left)

    def _get(self, container: str | None, seconds_left: float) -> Client:
        longest = timeout = self._retry_policy.read_timeout_seconds
        while timeout > max(seconds_left, MIN_TIMEOUT_SECONDS):
            timeout /= 2
        key = container, timeout
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                total = MAX_TRANSFER_SECONDS if timeout == longest else timeout
                client = self._clients[key] = self._create(container, timeout, total)
        return client

    def _create(self, container: str | None, timeout: float, total: float) -> Client:
        account, endpoint = self._account, self._account.endpoint
        if container is None:
            endpoint, container = split_endpoint(endpoint)
        options: dict[str, Any] = {
            "allow_http": self._allow_http,
            "connect_timeout": _duration(min(self._retry_policy.connect_timeout_seconds, timeout)),
            "read_timeout": _duration(timeout),
            "timeout": _duration(total),
        }
        if self._authorities:
            options["root_certificate"] = self._authorities
        # The environment may have settings for other programs: what is named here goes before them.
        config: dict[str, Any] = {
            "account_name": account.name,
            "endpoint": endpoint,
            "skip_signature": False,
            "use_emulator": False,
            **self._credential,
        }
        try:
            return Client(container, config=config, client_options=options, retry_config={"max_retries": 0})  # type: ignore[arg-type]  # TypedDicts
        except (BaseError, ValueError) as error:  # the text may contain the secret
            raise UsageInvalid(
                "the storage settings are invalid: obstore does not accept account URL, credential or certificates; "
                "correct them, and install ca-certificates or set SSL_CERT_FILE"
            ) from error


def content_of(found: Any) -> bytes:
    """Return the content of a response, which is not read further than the size that the response states.

    Args:
        found: The response of obstore.
    """
    size, parts, received = found.meta["size"], [], 0
    for part in found.stream(max(size, 1)):
        parts.append(bytes(part))
        received += len(parts[-1])
        if received > size:
            break
    return b"".join(parts)


def metadata_of(attributes: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return the metadata among the attributes of a blob, and the checksum in it."""
    return split_checksum({key: value for key, value in attributes.items() if key not in _PROPERTY_NAMES})


def _credential(account: Account) -> dict[str, str]:
    if identity := account.identity:
        return {
            "credential_type": "workload_identity",
            "client_id": identity.client_id,
            "tenant_id": identity.tenant_id,
            "federated_token_file": identity.token_file,
            "authority_host": identity.authority_host,
        }
    if account.key:
        return {"credential_type": "access_key", "account_key": account.key}
    return {"credential_type": "sas_token", "sas_key": account.sas_token}


def _read_authorities(environment: Mapping[str, str]) -> bytes:
    """Return the certificates that the environment names in addition to those of the system."""
    name = next((value for variable in _CA_VARIABLES if (value := environment.get(variable))), "")
    if not name:
        return b""
    path = Path(name)
    try:
        files = [file for file in sorted(path.iterdir()) if file.is_file()] if path.is_dir() else [path]
        return b"\n".join(file.read_bytes() for file in files)
    except OSError as error:
        raise invalid_ca_bundle(name, str(error.strerror)) from error


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
