import pytest

from scoring_operator.contract.storage_codes import storage_rule, token_rule


@pytest.mark.parametrize(
    ("status", "code", "reason", "cure"),
    [
        (403, "AuthorizationFailure", "IdentityUnavailable", "firewall"),
        (403, "AuthenticationFailed", "IdentityUnavailable", "renew the Secret"),
        (403, "SomethingNew", "IdentityUnavailable", "give the identity the role"),
        (403, "", "IdentityUnavailable", "check the network"),
        (404, "ContainerNotFound", "ConfigurationInvalid", "create the container"),
        (404, "", "ConfigurationInvalid", "check the account URL"),
        (407, "", "ConfigurationInvalid", "HTTPS_PROXY"),
        (409, "SomethingNew", "ConfigurationInvalid", ""),
        (503, "", "StorageUnavailable", ""),
    ],
)
def test_response_of_storage_has_a_reason_and_a_cure(status: int, code: str, reason: str, cure: str) -> None:
    rule = storage_rule(status, code)
    assert rule.reason == reason
    assert cure in rule.cure


@pytest.mark.parametrize(("code", "transient"), [("", True), ("AADSTS700213", True), ("AADSTS1", False)])
def test_rejected_token_request_is_a_failure_of_the_identity(
    code: str,
    transient: bool,  # noqa: FBT001  # a table
) -> None:
    rule = token_rule(code)
    assert (rule.reason, rule.transient) == ("IdentityUnavailable", transient)
