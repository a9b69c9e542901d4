"""Tests of the classification of SDK exceptions. Responses of storage itself are tested in test_azure.py."""

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from device_scorer.errors import IdentityUnavailable, StorageUnavailable
from device_scorer.store.azure_errors import classify
from tests.testkit.blob_server import CANARY


@pytest.mark.fault("F30")
@pytest.mark.parametrize(
    "code", ["AADSTS700213", "AADSTS70021", "AADSTS700211", "AADSTS700212", "AADSTS90033", "AADSTS50196"]
)
def test_credential_that_is_not_replicated_yet_is_retryable(code: str) -> None:
    failure = classify(ClientAuthenticationError(f"{code}: No matching federated identity {CANARY}"), target="x")
    assert isinstance(failure.error, IdentityUnavailable)
    assert code in str(failure.error)
    assert CANARY not in str(failure.error)


def test_wrong_client_id_is_raised_at_once() -> None:
    with pytest.raises(IdentityUnavailable, match=r"AADSTS700016.*check client id"):
        classify(ClientAuthenticationError("AADSTS700016: Application not found"), target="x")


def test_missing_response_of_the_identity_platform_is_retryable() -> None:
    assert isinstance(classify(ClientAuthenticationError("no answer"), target="x").error, IdentityUnavailable)


def test_rejected_connection_was_not_applied_and_a_broken_one_maybe() -> None:
    rejected = classify(
        ServiceRequestError(f"url?sig={CANARY}", error=ConnectionRefusedError(111, "Connection refused")), target="x"
    )
    broken = classify(ServiceResponseError(f"url?sig={CANARY}", error=ConnectionResetError(104, "reset")), target="x")
    assert (rejected.maybe_applied, broken.maybe_applied) == (False, True)
    assert isinstance(broken.error, StorageUnavailable)
    assert str(rejected.error) == (
        "storage cannot be reached for x: Connection refused; check the account URL, DNS and the network"
    )
    assert str(broken.error) == (
        "storage closed the connection or timed out for x: reset; retry later, then check the network"
    )
    assert CANARY not in f"{rejected.error} {broken.error}"


@pytest.mark.parametrize("text", ["Tunnel connection failed: 407 text", "AADSTS90033", "redirect"])
def test_text_of_another_party_does_not_change_the_class(text: str) -> None:
    error = ServiceResponseError(text, error=ConnectionResetError(104, "reset"))
    assert str(classify(error, target="x").error).startswith("storage closed the connection or timed out for x: reset;")
    assert isinstance(classify(HttpResponseError(text), target="x").error, StorageUnavailable)


def test_exception_of_another_library_is_raised_unchanged() -> None:
    with pytest.raises(KeyError):
        classify(KeyError("a mistake of ours"), target="x")
