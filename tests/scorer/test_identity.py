"""What the identity platform's and the storage account's refusals mean."""

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError

from device_scorer import settings
from device_scorer.azure_errors import understand
from device_scorer.blobs import open_store
from device_scorer.errors import IdentityUnavailable, StorageUnavailable, UsageInvalid
from tests.scorer.blobserver import CANARY


@pytest.mark.parametrize("code", ["AADSTS700213", "AADSTS70021", "AADSTS90033"])
def test_a_credential_that_has_not_spread_yet_is_tried_again(code: str) -> None:
    trouble = understand(ClientAuthenticationError(f"{code}: No matching federated identity {CANARY}"), what="x")
    assert isinstance(trouble.error, IdentityUnavailable)
    assert code in str(trouble.error)
    assert CANARY not in str(trouble.error)


def test_a_wrong_client_id_is_told_at_once() -> None:
    with pytest.raises(IdentityUnavailable, match=r"AADSTS700016.*check client id"):
        understand(ClientAuthenticationError("AADSTS700016: Application not found"), what="x")


def test_no_word_from_the_identity_platform_is_tried_again() -> None:
    assert isinstance(understand(ClientAuthenticationError("no answer"), what="x").error, IdentityUnavailable)


def test_a_connection_that_never_was_is_told_from_one_that_broke() -> None:
    never = understand(
        ServiceRequestError(f"url?sig={CANARY}", error=ConnectionRefusedError(111, "Connection refused")), what="x"
    )
    broke = understand(ServiceResponseError(f"url?sig={CANARY}", error=ConnectionResetError(104, "reset")), what="x")
    assert (never.reached, broke.reached) == (False, True)
    assert isinstance(broke.error, StorageUnavailable)
    assert CANARY not in f"{never.error} {broke.error}"


def test_what_is_no_storage_error_is_not_swallowed() -> None:
    with pytest.raises(KeyError):
        understand(KeyError("a mistake of ours"), what="x")


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"FLEETSCORE_ACCOUNT_URL": "https://a.blob.core.windows.net"}, "azure.workload.identity/use=true"),
        (
            {"FLEETSCORE_AUTH": "connectionString", "AZURE_STORAGE_CONNECTION_STRING": f"AccountKey {CANARY}"},
            "no connection string",
        ),
    ],
)
def test_settings_that_cannot_work_say_what_is_missing_and_no_secret(
    environment: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageInvalid, match=told) as refused:
        open_store(settings.read(environment))
    assert CANARY not in str(refused.value)
