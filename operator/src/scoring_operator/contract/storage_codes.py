"""Error codes of Azure Blob Storage and of Microsoft Entra: the reason of the error, and its cure.

The scorer has its own copy of this table, and the contract tests compare both.

Sources: "Common REST API error codes" and "Blob Storage error codes" (Azure Storage REST API reference); "Microsoft
Entra authentication and authorization error codes" (AADSTS).
"""

from collections.abc import Mapping
from typing import NamedTuple

UNAVAILABLE, IDENTITY, CONFIGURATION = "StorageUnavailable", "IdentityUnavailable", "ConfigurationInvalid"

RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
CONFLICT_CODES = frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet", "PathAlreadyExists", ""})
"""The codes of 409 and 412 which mean that another client has written the blob. An empty code is one of a proxy."""


class Rule(NamedTuple):
    """The meaning of an error code.

    Attributes:
        reason: UNAVAILABLE, IDENTITY or CONFIGURATION.
        cure: The next step, for people. Empty if the only step is to wait.
        transient: True if the same request may succeed within a minute.
    """

    reason: str
    cure: str = ""
    transient: bool = False


_ROLE = (
    "give the identity the role Storage Blob Data Contributor on the predictions container and Storage Blob Data "
    "Reader on the others, or the SAS the permissions to read, list, create, write and delete"
)
_RENEW = "the key or SAS is wrong, expired or rotated, or a clock is wrong: renew the Secret, then check the clocks"
_SAS_SCOPE = "create a SAS for the services, resource types, addresses and protocols that the fleet uses"
_WORKLOAD_IDENTITY = "the account does not permit keys and SAS: use workload identity"
_KEY_VAULT = "give the storage account access to its customer-managed key in the key vault"
_LEASE = "another client holds a lease on it: break or release the lease"
_FEDERATED = (
    "create a federated credential with the issuer of the cluster, the subject of the service account and the audience "
    "api://AzureADTokenExchange; a new one takes effect within minutes"
)
_CLOCK = "the service account's token is not valid now: check the clock of the node"
_TENANT = "the tenant does not exist: check AZURE_TENANT_ID and AZURE_AUTHORITY_HOST"
_CLIENT = "check the annotation azure.workload.identity/client-id of the service account, and the tenant"

STORAGE_CODES: Mapping[str, Rule] = {
    # 401 and 403: the request is not allowed.
    "AuthorizationFailure": Rule(
        IDENTITY,
        "the account's firewall or private endpoint does not admit this network: check the network rules first, then "
        "the role of the identity",
    ),
    "AuthorizationPermissionMismatch": Rule(IDENTITY, _ROLE),
    "AuthenticationFailed": Rule(IDENTITY, _RENEW),
    "InvalidAuthenticationInfo": Rule(IDENTITY, _RENEW),
    "NoAuthenticationInformation": Rule(
        IDENTITY, "the request had no credential: check FLEETSCORE_AUTH and the Secret"
    ),
    "KeyBasedAuthenticationNotPermitted": Rule(IDENTITY, _WORKLOAD_IDENTITY),
    "AuthorizationSourceIPMismatch": Rule(IDENTITY, f"the SAS does not admit this address: {_SAS_SCOPE}"),
    "AuthorizationProtocolMismatch": Rule(IDENTITY, f"the SAS does not admit this protocol: {_SAS_SCOPE}"),
    "AuthorizationServiceMismatch": Rule(IDENTITY, f"the SAS is not for the blob service: {_SAS_SCOPE}"),
    "AuthorizationResourceTypeMismatch": Rule(IDENTITY, f"the SAS is not for containers and blobs: {_SAS_SCOPE}"),
    "UnauthorizedBlobOverwrite": Rule(IDENTITY, "the SAS may create and not replace: add the permission to write"),
    "PublicAccessNotPermitted": Rule(IDENTITY, "the request had no credential: check FLEETSCORE_AUTH and the Secret"),
    "InsufficientAccountPermissions": Rule(
        CONFIGURATION, "the account or endpoint is read-only: use the primary endpoint, or permit writes"
    ),
    "AccountIsDisabled": Rule(CONFIGURATION, "the storage account is disabled: enable it or its subscription"),
    "KeyVaultEncryptionKeyNotFound": Rule(CONFIGURATION, _KEY_VAULT),
    "KeyVaultAccessTokenCannotBeAcquired": Rule(CONFIGURATION, _KEY_VAULT),
    "KeyVaultVaultNotFound": Rule(CONFIGURATION, _KEY_VAULT),
    # 404, 409 and 412: the container or the blob is in another state.
    "ContainerNotFound": Rule(CONFIGURATION, "create the container"),
    "ResourceNotFound": Rule(CONFIGURATION, "check the account URL and the name of the container"),
    "ContainerDisabled": Rule(CONFIGURATION, "enable the container"),
    "ContainerBeingDeleted": Rule(UNAVAILABLE, "the container is being deleted: create it again", transient=True),
    "BlobModifiedWhileReading": Rule(UNAVAILABLE, transient=True),
    "AccountBeingCreated": Rule(UNAVAILABLE, "the storage account is being created: retry later", transient=True),
    "BlobArchived": Rule(CONFIGURATION, "it is in the archive tier: rehydrate or delete it"),
    "BlobBeingRehydrated": Rule(
        CONFIGURATION, "it is being rehydrated, which takes hours: run again when it is online"
    ),
    "InvalidBlobType": Rule(CONFIGURATION, "the name belongs to a page or append blob: delete that blob"),
    "BlobImmutableDueToPolicy": Rule(
        CONFIGURATION, "an immutability policy or a legal hold protects it: remove the policy or use another container"
    ),
    "BlobImmutableDueToLegalHold": Rule(
        CONFIGURATION, "a legal hold protects it: clear the legal hold or use another container"
    ),
    "SystemInUse": Rule(UNAVAILABLE, "the storage service uses the blob: retry later", transient=True),
    "BlobOperationNotSupported": Rule(CONFIGURATION, "another API created the blob: delete it"),
    "LeaseIdMissing": Rule(CONFIGURATION, _LEASE),
    "LeaseIdMismatchWithBlobOperation": Rule(CONFIGURATION, _LEASE),
    "LeaseAlreadyPresent": Rule(CONFIGURATION, _LEASE),
    "LeaseNotPresentWithBlobOperation": Rule(CONFIGURATION, _LEASE),
    "PendingCopyOperation": Rule(CONFIGURATION, "a copy to it is pending: wait for its end or abort it"),
    "SnapshotsPresent": Rule(CONFIGURATION, "it has snapshots: delete them"),
    "BlobUsesCustomerSpecifiedEncryption": Rule(
        CONFIGURATION, "it is encrypted with a key of its client: write it again without such a key"
    ),
    "ResourceTypeMismatch": Rule(CONFIGURATION, "the name belongs to a directory: delete the directory"),
    "PathConflict": Rule(CONFIGURATION, "a part of the name belongs to a blob or directory: delete it"),
    # Other statuses: the account or its address is not right for the request.
    "Md5Mismatch": Rule(UNAVAILABLE, transient=True),  # the content was damaged on its way
    "AccountRequiresHttps": Rule(CONFIGURATION, "begin the account URL with https://"),
    "TlsVersionNotPermitted": Rule(CONFIGURATION, "the account does not permit this TLS version: allow TLS 1.2"),
    "InvalidResourceName": Rule(CONFIGURATION, "correct the name of the container"),
    "InvalidUri": Rule(CONFIGURATION, "correct the account URL and the fleet's paths"),
    "FeatureNotYetSupportedForHierarchicalNamespaceAccounts": Rule(
        CONFIGURATION, "use an account without a hierarchical namespace"
    ),
    "MetadataTooLarge": Rule(CONFIGURATION, "request fewer tags"),
    "RequestBodyTooLarge": Rule(CONFIGURATION, "score a shorter window"),
}
"""The rule of each code that has a cure of its own."""

TOKEN_CODES: Mapping[str, Rule] = {
    "AADSTS700213": Rule(IDENTITY, _FEDERATED, transient=True),  # no federated credential with this subject
    "AADSTS70021": Rule(IDENTITY, _FEDERATED, transient=True),  # no federated credential matches the token
    "AADSTS700211": Rule(IDENTITY, _FEDERATED, transient=True),  # no federated credential with this issuer
    "AADSTS700212": Rule(IDENTITY, _FEDERATED, transient=True),  # no federated credential with this audience
    "AADSTS90006": Rule(IDENTITY, transient=True),  # another service of Entra asks for a retry
    "AADSTS90012": Rule(IDENTITY, transient=True),  # the request timed out
    "AADSTS90024": Rule(IDENTITY, transient=True),  # a transient error
    "AADSTS90033": Rule(IDENTITY, transient=True),  # the service is temporarily unavailable
    "AADSTS90055": Rule(IDENTITY, transient=True),  # too many requests of the tenant
    "AADSTS50196": Rule(IDENTITY, transient=True),  # too many requests
    "AADSTS700016": Rule(IDENTITY, f"check client id: the tenant has no such application; {_CLIENT}"),
    "AADSTS7000112": Rule(IDENTITY, "the application is disabled: enable it in the tenant"),
    "AADSTS700024": Rule(IDENTITY, _CLOCK),
    "AADSTS700027": Rule(IDENTITY, "the token's signature is not valid: check the issuer URL of the cluster"),
    "AADSTS700023": Rule(IDENTITY, _FEDERATED),
    "AADSTS500133": Rule(IDENTITY, _CLOCK),
    "AADSTS90002": Rule(IDENTITY, _TENANT),
    "AADSTS900023": Rule(IDENTITY, _TENANT),
    "AADSTS500011": Rule(IDENTITY, "the tenant does not know Azure Storage: check AZURE_TENANT_ID"),
    "AADSTS53003": Rule(IDENTITY, "a Conditional Access policy blocks the identity: change the policy"),
}
"""The rule of each code of Microsoft Entra that has a cure of its own."""


def storage_rule(status: int, code: str) -> Rule:
    """Return the rule of a response of Blob Storage.

    Args:
        status: The HTTP status, 300 or above.
        code: The error code; empty if the response has none.
    """
    if rule := STORAGE_CODES.get(code):
        return rule
    if status in RETRYABLE_STATUSES:
        return Rule(UNAVAILABLE, transient=True)
    if status == 407:
        return Rule(CONFIGURATION, "the proxy requires a login: put user and password into HTTPS_PROXY")
    if status in (401, 403):
        unknown = "a proxy, firewall or gateway may have sent this response: check the network"
        return Rule(IDENTITY, _ROLE if code else unknown)
    if code:
        return Rule(CONFIGURATION, "find the code in Azure's list of Blob Storage error codes")
    return Rule(CONFIGURATION, "check the account URL and the proxy")


def token_rule(code: str) -> Rule:
    """Return the rule of a rejected token request.

    Args:
        code: The code of Microsoft Entra, such as AADSTS700016; empty if the response has none.
    """
    if not code:
        return Rule(IDENTITY, "check AZURE_AUTHORITY_HOST, the proxy and the network", transient=True)
    return TOKEN_CODES.get(code) or Rule(IDENTITY, "check client id, tenant and federated credential")
