"""Tests of the choice of the store."""

from pathlib import Path

import pytest

from device_scorer.errors import UsageInvalid
from device_scorer.settings import Settings, read_settings
from device_scorer.store.azure import AzureStore
from device_scorer.store.factory import open_store
from device_scorer.store.folder import FolderStore
from tests.testkit.blob_server import CANARY


def test_folder_setting_opens_a_folder_store(tmp_path: Path) -> None:
    assert isinstance(open_store(Settings(folder=tmp_path)), FolderStore)


def test_account_setting_opens_an_azure_store() -> None:
    store = open_store(Settings(account_url="https://a.blob.core.windows.net", auth="sas", sas_token="sig=x"))
    assert isinstance(store, AzureStore)
    store.close()


@pytest.mark.fault("T13")
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"FLEETSCORE_ACCOUNT_URL": "https://a.blob.core.windows.net"}, "azure.workload.identity/use=true"),
        (
            {"FLEETSCORE_AUTH": "connectionString", "AZURE_STORAGE_CONNECTION_STRING": f"AccountKey {CANARY}"},
            "AZURE_STORAGE_CONNECTION_STRING is invalid: it must be a connection string",
        ),
    ],
)
def test_invalid_storage_settings_are_named_without_a_secret(
    environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageInvalid, match=message) as rejected:
        open_store(read_settings(environment))
    assert CANARY not in str(rejected.value)
