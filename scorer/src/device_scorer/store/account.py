"""The storage account that the settings name: its endpoint, and the credential of each kind."""

import binascii
import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from device_scorer.contract.secret_formats import secret_problem
from device_scorer.errors import UsageInvalid
from device_scorer.settings import Settings

DEVELOPMENT_ACCOUNT = "devstoreaccount1"
# The key of the storage emulator, which is public: "Use the Azurite emulator" (Azure Storage documentation).
_DEVELOPMENT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_DEVELOPMENT_ENDPOINT = f"http://127.0.0.1:10000/{DEVELOPMENT_ACCOUNT}"
_HOST = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
_ENDPOINT_PATTERN = re.compile(rf"(https?)://{_HOST}(/[^\s?#@]*)?")
_DEFAULT_AUTHORITY_HOST = "https://login.microsoftonline.com"
# obstore panics for other texts. The pattern is compiled only for an identity.
_AUTHORITY_PATTERN = rf"((?i:https)://)?{_HOST}(/[A-Za-z0-9._~-]+)*"
_MAX_PORT = 65_535
_MAX_LABEL_CHARS = 63
_VARIABLES = {"connectionString": "AZURE_STORAGE_CONNECTION_STRING", "sas": "AZURE_STORAGE_SAS_TOKEN"}


class WorkloadIdentity(NamedTuple):
    """The identity of a pod: the values that the webhook of azure-workload-identity sets.

    Attributes:
        client_id: The client id of the application or managed identity.
        tenant_id: The id of the tenant.
        token_file: The file with the service account's token.
        authority_host: The URL of Microsoft Entra in this cloud, without a slash at the end.
    """

    client_id: str
    tenant_id: str
    token_file: str
    authority_host: str = _DEFAULT_AUTHORITY_HOST


class Account(NamedTuple):
    """A storage account with one credential: a key, a SAS token or an identity.

    Attributes:
        endpoint: The URL of the blob service, without a slash at the end.
        name: The name of the account.
        key: The account key in base64, a secret.
        sas_token: The SAS token without its question mark, a secret.
        identity: The workload identity.
    """

    endpoint: str
    name: str
    key: str = ""
    sas_token: str = ""
    identity: WorkloadIdentity | None = None

    def __repr__(self) -> str:
        return f"Account({self.endpoint!r}, {self.name!r})"  # without the secrets


def read_account(settings: Settings, environment: Mapping[str, str] = os.environ) -> Account:
    """Return the account that the settings name.

    Args:
        settings: The settings.
        environment: The environment with the variables of workload identity.

    Raises:
        UsageInvalid: The settings or the secret are invalid. The text does not contain the secret.
    """
    if settings.auth == "workloadIdentity":
        identity = _read_identity(environment)
        if not settings.account_url.startswith("https:"):
            raise UsageInvalid("FLEETSCORE_ACCOUNT_URL is invalid: a token is sent over HTTPS only; set an https URL")
        return Account(settings.account_url, _account_name(settings.account_url), identity=identity)
    variable = _VARIABLES[settings.auth]
    secret = settings.connection_string if settings.auth == "connectionString" else settings.sas_token
    if problem := secret_problem(settings.auth, secret):
        raise UsageInvalid(f"{settings.secret or variable} is invalid: {problem}")
    if settings.auth == "sas":
        return Account(settings.account_url, _account_name(settings.account_url), sas_token=secret)
    try:
        return parse_connection_string(secret)
    except ValueError as error:
        raise UsageInvalid(
            f"{settings.secret or variable} is invalid: {error}; copy the connection string from the storage "
            "account's access keys"
        ) from None  # the cause may contain the secret


def parse_connection_string(text: str) -> Account:
    """Return the account of a connection string.

    Args:
        text: The connection string.

    Raises:
        ValueError: The connection string is incomplete or malformed. The text does not contain it.
    """
    parts = [part.strip().partition("=") for part in text.split(";") if part.strip()]
    if not all(equals for _, equals, _ in parts):
        raise ValueError("it must be a connection string: name=value parts, separated by semicolons")
    values = {name.strip().lower(): value.strip() for name, _, value in parts}
    if values.get("usedevelopmentstorage", "").lower() == "true":
        return Account(_DEVELOPMENT_ENDPOINT, DEVELOPMENT_ACCOUNT, key=_DEVELOPMENT_KEY)
    name, key, sas = (values.get(part, "") for part in ("accountname", "accountkey", "sharedaccesssignature"))
    scheme, suffix = values.get("defaultendpointsprotocol", "https"), values.get("endpointsuffix", "core.windows.net")
    endpoint = values.get("blobendpoint") or (f"{scheme}://{name}.blob.{suffix}" if name else "")
    endpoint = endpoint.rstrip("/")
    if not _match(_ENDPOINT_PATTERN, endpoint):
        raise ValueError("AccountName and BlobEndpoint are missing or malformed")
    if not key and not sas:
        raise ValueError("AccountKey and SharedAccessSignature are missing")
    try:
        binascii.a2b_base64(key, strict_mode=True)
    except binascii.Error:
        raise ValueError("AccountKey is not base64") from None
    return Account(endpoint, name or _account_name(endpoint), key=key, sas_token="" if key else sas.lstrip("?"))


def split_endpoint(endpoint: str) -> tuple[str, str]:
    """Return the URL of a blob service without the last segment of its path, and that segment (empty if none).

    Args:
        endpoint: The URL, such as https://account.blob.core.windows.net or http://127.0.0.1:10000/account.
    """
    scheme, host, path = _parse_endpoint(endpoint)
    before, _, last = path.rpartition("/")
    return f"{scheme}://{host}{before}", last


def _account_name(endpoint: str) -> str:
    """Return the account's name: the last segment of the path, or the first label of the host."""
    _, host, path = _parse_endpoint(endpoint)
    return path.rpartition("/")[2] or host.partition(".")[0].removesuffix("-secondary")


def _parse_endpoint(endpoint: str) -> tuple[str, str, str]:
    found = _match(_ENDPOINT_PATTERN, endpoint)
    if found is None:
        raise UsageInvalid(
            "FLEETSCORE_ACCOUNT_URL is invalid: it must be the http(s) URL of a host, without user and query; "
            "set a URL such as https://acc.blob.core.windows.net"
        )
    return found[1], found[2] + (f":{found[3]}" if found[3] else ""), (found[4] or "").rstrip("/")


def _read_identity(environment: Mapping[str, str]) -> WorkloadIdentity:
    names = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE")
    values = [environment.get(name, "").strip() for name in names]
    if not all(values):
        raise UsageInvalid(
            f"workload identity needs {', '.join(names)}; label the pod azure.workload.identity/use=true and annotate "
            "its service account with the client id"
        )
    host = environment.get("AZURE_AUTHORITY_HOST", "").strip().rstrip("/") or _DEFAULT_AUTHORITY_HOST
    found = _match(_AUTHORITY_PATTERN, host)
    if not found or re.search(r"(?i)(^|\.)xn--", found[2]):
        raise UsageInvalid(
            "AZURE_AUTHORITY_HOST is invalid: it must be the https URL of a host; set it to the host of Microsoft "
            f"Entra in this cloud, such as {_DEFAULT_AUTHORITY_HOST}"
        )
    client_id, tenant_id, token_file = values
    if not re.fullmatch(r"[A-Za-z0-9.-]+", tenant_id):
        raise UsageInvalid(
            "AZURE_TENANT_ID is invalid: it must be the id or the domain of a tenant; correct the annotation "
            "azure.workload.identity/tenant-id of the service account"
        )
    return WorkloadIdentity(client_id, tenant_id, token_file, host if "://" in host else f"https://{host}")


def _match(pattern: str | re.Pattern[str], url: str) -> re.Match[str] | None:
    """Return the match of a URL whose port is possible and whose host the URL parser of obstore accepts, or None.

    Source: URL Standard (WHATWG), "Host parsing". Only the form of a label in Punycode (`xn--`) is not checked.

    Args:
        pattern: The pattern of the whole URL, with the host as group 2 and the port as group 3.
        url: The URL.
    """
    found = re.fullmatch(pattern, url)
    if found is None or int(found[3] or 0) > _MAX_PORT:
        return None
    host = found[2]
    labels = host.lower().removesuffix(".").split(".")
    if host.startswith("[") or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        from ipaddress import ip_address  # noqa: PLC0415  # hosts of Azure have names

        try:
            return found if (ip_address(host.strip("[]")).version == 6) == host.startswith("[") else None
        except ValueError:
            return None
    return found if all(0 < len(label) <= _MAX_LABEL_CHARS for label in labels) else None
