"""Texts for what keeps a user from storage: the reason and the next step by the code of the error.

The text of an error of the SDK is not used: it can contain the URL of the request with its SAS token.
Source: "Common REST API error codes" and "Blob Storage error codes" (Azure Storage REST API reference).
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote

from fleetscore.errors import AccessDenied, DataInvalid, FleetscoreError, NotFound, StorageUnavailable

CONFLICT_CODES = frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet", "PathAlreadyExists", ""})
"""The codes of 409 and 412 which mean that another client has written the blob. An empty code is one of a proxy."""

MISSING_CODES = frozenset({"BlobNotFound", "PathNotFound"})
"""The codes of 404 which mean that only the blob does not exist."""


class Cause(NamedTuple):
    """The meaning of a response.

    Attributes:
        kind: The class of the error.
        reason: The predicate of a sentence about the container, or the blob for DataInvalid.
        cure: The next step.
    """

    kind: type[FleetscoreError]
    reason: str
    cure: str


_SCOPE = "make a SAS token for the services, resource types, addresses and protocols that you use"
_NO_CREDENTIAL = Cause(
    AccessDenied,
    "got a request without a credential",
    "copy the connection string again: it needs an AccountKey or a SharedAccessSignature",
)
_KEY_VAULT = Cause(
    StorageUnavailable,
    "cannot be read without its key in the key vault",
    "give the account access to its customer-managed key",
)
_LEASE = Cause(DataInvalid, "is leased by another client", "break or release the lease")
_SETTINGS = "check the fleet's storage settings"

CAUSES: Mapping[str, Cause] = {
    "ContainerNotFound": Cause(NotFound, "does not exist", _SETTINGS),
    "ResourceNotFound": Cause(NotFound, "does not exist, or is not public", _SETTINGS),
    "ContainerDisabled": Cause(StorageUnavailable, "is disabled", "enable the container"),
    "ContainerBeingDeleted": Cause(StorageUnavailable, "is being deleted", "create it again"),
    "AuthorizationFailure": Cause(
        AccessDenied, "rejects this network", "add it to the account's firewall, or use its private endpoint"
    ),
    "NoAuthenticationInformation": _NO_CREDENTIAL,
    "PublicAccessNotPermitted": _NO_CREDENTIAL,
    "AuthorizationSourceIPMismatch": Cause(AccessDenied, "has a SAS token for other addresses", _SCOPE),
    "AuthorizationProtocolMismatch": Cause(AccessDenied, "has a SAS token for another protocol", _SCOPE),
    "AuthorizationServiceMismatch": Cause(AccessDenied, "has a SAS token for another service", _SCOPE),
    "AuthorizationResourceTypeMismatch": Cause(AccessDenied, "has a SAS token for other resource types", _SCOPE),
    "UnauthorizedBlobOverwrite": Cause(
        AccessDenied, "has a SAS token that may not replace blobs", "make one with the permission to write"
    ),
    "InsufficientAccountPermissions": Cause(StorageUnavailable, "is read-only", "use the account's primary endpoint"),
    "AccountIsDisabled": Cause(
        StorageUnavailable, "belongs to a disabled account", "enable the storage account, or its subscription"
    ),
    "AccountBeingCreated": Cause(StorageUnavailable, "belongs to an account that is being created", "try again"),
    "KeyVaultEncryptionKeyNotFound": _KEY_VAULT,
    "KeyVaultAccessTokenCannotBeAcquired": _KEY_VAULT,
    "KeyVaultVaultNotFound": _KEY_VAULT,
    "AccountRequiresHttps": Cause(StorageUnavailable, "needs TLS", "begin the account URL with https://"),
    "TlsVersionNotPermitted": Cause(StorageUnavailable, "does not permit this TLS version", "allow TLS 1.2"),
    "InvalidResourceName": Cause(StorageUnavailable, "has an invalid name", _SETTINGS),
    "InvalidUri": Cause(StorageUnavailable, "has an invalid URL", _SETTINGS),
    "ConditionNotMet": Cause(StorageUnavailable, "was written while it was read", "try again"),
    "BlobArchived": Cause(DataInvalid, "is in the archive tier", "rehydrate or delete it"),
    "BlobBeingRehydrated": Cause(DataInvalid, "is being rehydrated, which takes hours", "wait, or delete it"),
    "BlobImmutableDueToPolicy": Cause(
        DataInvalid, "is immutable by a policy", "remove the policy, or use another container"
    ),
    "BlobImmutableDueToLegalHold": Cause(DataInvalid, "is under a legal hold", "clear it, or use another container"),
    "LeaseIdMissing": _LEASE,
    "LeaseIdMismatchWithBlobOperation": _LEASE,
    "LeaseAlreadyPresent": _LEASE,
    "InvalidBlobType": Cause(DataInvalid, "is a page or append blob", "delete it"),
    "BlobOperationNotSupported": Cause(DataInvalid, "was created by another API", "delete it"),
    "BlobUsesCustomerSpecifiedEncryption": Cause(
        DataInvalid, "is encrypted with a key of its client", "write it again without such a key"
    ),
    "PendingCopyOperation": Cause(DataInvalid, "is being copied", "wait for the end of the copy, or abort it"),
    "SnapshotsPresent": Cause(DataInvalid, "has snapshots", "delete them"),
    "ResourceTypeMismatch": Cause(DataInvalid, "is a directory", "delete the directory"),
    "PathConflict": Cause(DataInvalid, "has the name of a directory", "delete the directory"),
}
"""The cause of each code that does not depend on the credential."""


def cause_of(status: int, code: str, *, variable: str, writes: bool) -> Cause:
    """Return the cause of a response of storage.

    Args:
        status: The HTTP status.
        code: The error code; empty if the response has none.
        variable: The environment variable of the key or SAS token; empty for an identity.
        writes: True for the request of a write.
    """
    if found := CAUSES.get(code):
        return found
    detail, verb = f"{status} {code}".strip(), "written" if writes else "read"
    if status in (401, 403):
        return _rejected(code, verb, variable=variable)
    if status == 407:
        return Cause(StorageUnavailable, "cannot be reached: the proxy requires a login", "put it into HTTPS_PROXY")
    if status in (408, 429) or status >= 500:
        return Cause(StorageUnavailable, f"cannot be reached: it answered {detail}", "try again")
    if code:
        cure = "find the code in Azure's list of Blob Storage error codes"
        return Cause(StorageUnavailable, f"cannot be {verb}: it answered {detail}", cure)
    return foreign_server(f"it answered {detail}")


def _rejected(code: str, verb: str, *, variable: str) -> Cause:
    """Return the cause of a 401 or 403 that depends on the credential."""
    role = f"Storage Blob Data {'Reader' if verb == 'read' else 'Contributor'}"
    login = f"run `az login` with an identity that has the role {role}"
    if code == "KeyBasedAuthenticationNotPermitted":
        unset = f"unset {variable}, omit --use-fleet-secret, and {login}" if variable else login
        return Cause(AccessDenied, f"cannot be {verb} ({code}): its account permits no keys", unset)
    if variable:
        text = f"cannot be {verb} with the key or SAS token ({code or 'rejected'}): it is wrong, expired or too weak"
        cure = f"set {variable} or the fleet's Secret again, and a SAS token needs the permissions to read, list and"
        return Cause(AccessDenied, f"{text}, or this machine's clock is off", f"{cure} write")
    if code == "InvalidAuthenticationInfo":
        return Cause(AccessDenied, f"cannot be {verb} ({code}): the login is of another tenant, or expired", _TENANT)
    return Cause(AccessDenied, f"cannot be {verb} ({code or 'rejected'})", f"{login}, or {SET_CONNECTION_STRING}")


SET_CONNECTION_STRING = "set AZURE_STORAGE_CONNECTION_STRING"
_TENANT = "run `az login --tenant TENANT` with the tenant of the account"


def foreign_server(observed: str) -> Cause:
    """Return the cause of a response that is not one of Azure Storage.

    Args:
        observed: The fact that shows it.
    """
    text = f"cannot be reached: another server answers in the place of Azure Storage ({observed})"
    return Cause(StorageUnavailable, text, "check the account URL, the proxy and the VPN")


def unreachable(chain: str) -> Cause:
    """Return the cause of a request without a response.

    Args:
        chain: The names of the classes of the error and of its causes, and its text, which is not shown.
    """
    known = (
        ("NameResolutionError|Failed to resolve|getaddrinfo", "the host name is unknown", _DNS),
        ("CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError", "its TLS certificate is not trusted", _PROXY),
        ("ProxyError", "the proxy does not answer", "check HTTPS_PROXY and the network"),
        ("Failed to parse|InvalidURL|LocationParseError", "its URL is invalid", _SETTINGS),
        ("ReadTimeout|ServiceResponseTimeoutError", "it accepts connections, but does not answer in time", "try again"),
        ("ConnectTimeout|ServiceRequestTimeoutError", "it does not answer", _NETWORK),
        ("Connection refused", "the connection is refused", _NETWORK),
        ("IncompleteRead|RemoteDisconnected|ConnectionReset", "the connection ended early", "try again"),
    )
    reason, cure = next(((text, step) for part, text, step in known if re.search(part, chain)), ("", "try again"))
    return Cause(StorageUnavailable, f"cannot be reached: {reason or chain.partition(' ')[0]}", cure)


_DNS = "check the account's name in the fleet's settings, the VPN, and the DNS zone of its private endpoint"
_PROXY = "add the certificate of the proxy to REQUESTS_CA_BUNDLE, and check the account URL"
_NETWORK = "check the account URL, the proxy, the VPN and the network"


def credential_fault(kind: str, text: str, now: datetime) -> tuple[str, str] | None:
    """Return the fault of a credential that can be seen without a request, and its cure; None without one.

    Args:
        kind: "connectionString" or "sas".
        text: The credential.
        now: The current time, with a time zone.
    """
    copy = "copy it again"
    if not text or text[0] in "\"'":
        return ("it has quotes around it" if text else "it is empty"), copy
    if kind == "sas" and ("AccountKey=" in text or "://" in text):
        found = "a connection string" if "AccountKey=" in text else "a URL"
        return (
            f"it is {found}, and the fleet's kind is sas",
            "store the SAS token alone, or set kind to connectionString",
        )
    if kind != "sas" and not re.search(r"(AccountName|BlobEndpoint|UseDevelopmentStorage)=", text):
        return "it is not a connection string", f"{copy}, or set kind to sas"
    for expiry in re.findall(r"(?:^|[?&;=])se=([^&;]+)", text)[:1]:
        try:
            ends = datetime.fromisoformat(unquote(expiry))
        except ValueError:
            continue
        if ends.replace(tzinfo=ends.tzinfo or now.tzinfo) < now:
            return f"the SAS token expired at {unquote(expiry)}", "make a token that has not expired"
    return None
