"""Tests of the errors for people from the codes of storage and of the identity platform."""

import re

import pytest

from device_scorer.contract.storage_codes import STORAGE_CODES, TOKEN_CODES
from device_scorer.errors import ConfigurationInvalid, IdentityUnavailable, StorageUnavailable
from device_scorer.store.rejections import (
    interrupted,
    proxy_login_required,
    rejected_request,
    rejected_token,
    unreachable,
)


def test_busy_response_is_retryable_and_keeps_the_servers_time() -> None:
    failure = rejected_request(503, "ServerBusy", "data/a.csv", retry_after_seconds=7)
    assert isinstance(failure.error, StorageUnavailable)
    assert str(failure.error) == "storage returned 503 ServerBusy for data/a.csv; retry later"
    assert failure.retry_after_seconds == 7


def test_unreachable_server_is_retryable_with_the_next_step() -> None:
    failure = unreachable("data/a.csv", "Name or service not known")
    assert str(failure.error).endswith("Name or service not known; check the account URL, DNS and the network")
    assert (type(failure.error), failure.maybe_applied) == (StorageUnavailable, False)


def test_broken_connection_is_retryable_with_the_next_step() -> None:
    failure = interrupted("data/a.csv", "timed out")
    assert str(failure.error) == (
        "storage closed the connection or timed out for data/a.csv: timed out; retry later, then check the network"
    )
    assert (type(failure.error), failure.maybe_applied) == (StorageUnavailable, True)


@pytest.mark.parametrize("code", [code for code, rule in STORAGE_CODES.items() if rule.transient])
def test_state_that_ends_by_itself_has_a_next_step(code: str) -> None:
    assert re.search("; .*(retry later|create it again)$", str(rejected_request(409, code, "data/a.csv").error))


@pytest.mark.parametrize("code", ["", *(code for code, rule in TOKEN_CODES.items() if rule.transient)])
def test_token_that_is_retried_has_a_next_step(code: str) -> None:
    assert re.search(r"\); (check|create|retry later)", str(rejected_token(code, "timed out").error))


def test_unreachable_proxy_is_retryable_with_its_own_next_step() -> None:
    failure = unreachable("data/a.csv", "Connection refused", through_proxy=True)
    assert "a.csv through the proxy: Connection refused; check HTTPS_PROXY and the proxy" in str(failure.error)
    assert not failure.maybe_applied


def test_proxy_that_requires_a_login_has_the_cure_of_its_status() -> None:
    text = str(proxy_login_required("data/a.csv"))
    assert text.endswith("a.csv: 407; the proxy requires a login: put user and password into HTTPS_PROXY")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirect_is_raised_with_its_next_step(status: int) -> None:
    with pytest.raises(ConfigurationInvalid, match="the server redirects the request; correct the account URL"):
        rejected_request(status, "", "data/a.csv")


def test_container_that_is_being_deleted_is_retryable_with_its_cure() -> None:
    failure = rejected_request(409, "ContainerBeingDeleted", "data/a.csv")
    assert "the container is being deleted: create it again" in str(failure.error)


def test_permanent_rejection_is_raised_with_its_cure() -> None:
    with pytest.raises(
        ConfigurationInvalid, match=r"storage rejected p\.csv: 409 BlobArchived; .* rehydrate or delete it"
    ):
        rejected_request(409, "BlobArchived", "p.csv")


def test_rejected_credential_names_the_secret_if_it_is_known() -> None:
    with pytest.raises(
        IdentityUnavailable, match="renew the key sas of the Secret fleet-storage, then check the clocks"
    ):
        rejected_request(403, "AuthenticationFailed", "p.csv", secret="the key sas of the Secret fleet-storage")
    with pytest.raises(IdentityUnavailable, match="renew the Secret, then check the clocks"):
        rejected_request(403, "AuthenticationFailed", "p.csv")


def test_token_request_is_retryable_or_raised_by_its_code() -> None:
    failure = rejected_token("AADSTS700213", "")
    assert "(AADSTS700213); create a federated credential" in str(failure.error)
    with pytest.raises(IdentityUnavailable, match="AADSTS90002"):
        rejected_token("AADSTS90002", "")
    assert "(timed out)" in str(rejected_token("", "timed out").error)
