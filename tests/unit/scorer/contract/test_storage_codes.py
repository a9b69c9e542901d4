"""Tests of the rules for error codes. tests/contract compares them with those of the operator."""

import pytest

from device_scorer.contract.storage_codes import STORAGE_CODES, TOKEN_CODES, storage_rule, token_rule


@pytest.mark.parametrize(
    ("status", "code", "reason", "cure"),
    [
        (403, "AuthorizationFailure", "IdentityUnavailable", "firewall or private endpoint"),
        (403, "AuthorizationPermissionMismatch", "IdentityUnavailable", "role Storage Blob Data Contributor"),
        (403, "AuthenticationFailed", "IdentityUnavailable", "wrong, expired or rotated, or a clock is wrong"),
        (403, "KeyBasedAuthenticationNotPermitted", "IdentityUnavailable", "use workload identity"),
        (403, "InsufficientAccountPermissions", "ConfigurationInvalid", "read-only"),
        (403, "AccountIsDisabled", "ConfigurationInvalid", "enable it"),
        (403, "", "IdentityUnavailable", "a proxy, firewall or gateway"),
        (409, "BlobArchived", "ConfigurationInvalid", "rehydrate or delete it"),
        (409, "BlobBeingRehydrated", "ConfigurationInvalid", "takes hours"),
        (409, "InvalidBlobType", "ConfigurationInvalid", "delete that blob"),
        (409, "BlobImmutableDueToPolicy", "ConfigurationInvalid", "immutability policy or a legal hold"),
        (412, "LeaseIdMissing", "ConfigurationInvalid", "break or release the lease"),
        (407, "", "ConfigurationInvalid", "HTTPS_PROXY"),
        (400, "UnsupportedHeader", "ConfigurationInvalid", "find the code in Azure's list"),
        (409, "BlobImmutableDueToLegalHold", "ConfigurationInvalid", "clear the legal hold"),
        (404, "ResourceNotFound", "ConfigurationInvalid", "check the account URL and the name of the container"),
        (409, "BlobOperationNotSupported", "ConfigurationInvalid", "another API created the blob: delete it"),
    ],
)
def test_rejection_has_its_own_reason_and_cure(status: int, code: str, reason: str, cure: str) -> None:
    rule = storage_rule(status, code)
    assert (rule.reason, rule.transient) == (reason, False)
    assert cure in rule.cure


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_busy_response_is_transient(status: int) -> None:
    assert storage_rule(status, "").transient
    assert storage_rule(status, "ServerBusy").reason == "StorageUnavailable"


@pytest.mark.parametrize("status", [400, 404, 405, 409, 411, 412, 413, 416, 417, 501, 505])
def test_no_other_status_is_transient(status: int) -> None:
    assert not storage_rule(status, "SomeNewCode").transient


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, "ContainerBeingDeleted"),
        (409, "AccountBeingCreated"),
        (409, "BlobModifiedWhileReading"),
        (409, "SystemInUse"),
        (400, "Md5Mismatch"),
    ],
)
def test_state_that_ends_by_itself_is_transient(status: int, code: str) -> None:
    assert storage_rule(status, code).transient


def test_every_permanent_code_has_a_cure_of_one_sentence() -> None:
    rules = [rule for rule in [*STORAGE_CODES.values(), *TOKEN_CODES.values()] if not rule.transient]
    assert all(rule.cure and not rule.cure.endswith(".") and len(rule.cure) < 260 for rule in rules)


@pytest.mark.parametrize(
    ("code", "transient", "cure"),
    [
        ("AADSTS700213", True, "create a federated credential"),
        ("AADSTS90033", True, ""),
        ("AADSTS90006", True, ""),
        ("AADSTS90012", True, ""),
        ("AADSTS90024", True, ""),
        ("AADSTS90055", True, ""),
        ("AADSTS500133", False, "clock of the node"),
        ("AADSTS900023", False, "the tenant does not exist"),
        ("AADSTS700016", False, "check client id"),
        ("AADSTS700024", False, "clock of the node"),
        ("AADSTS99999", False, "check client id, tenant and federated credential"),
        ("", True, "check AZURE_AUTHORITY_HOST, the proxy and the network"),
    ],
)
def test_token_rejection_has_its_own_cure(code: str, cure: str, *, transient: bool) -> None:
    rule = token_rule(code)
    assert (rule.reason, rule.transient) == ("IdentityUnavailable", transient)
    assert cure in rule.cure
