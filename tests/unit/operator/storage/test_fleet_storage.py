"""The storage settings that cannot be used, without a storage account."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from scoring_operator.api.fleets import DataSettings, ExistingSecret, Fleet, StorageSettings
from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import ConfigurationInvalid
from scoring_operator.storage.fleet_storage import BlobFleetStorage


def open_storage(folder: Path, secret: str) -> BlobFleetStorage:
    path = folder / "default" / "connectionString"
    path.parent.mkdir(exist_ok=True)
    path.write_text(secret + "\n")
    return BlobFleetStorage(folder)


@pytest.mark.parametrize(("secret", "problem"), [(None, "not mounted"), ("malformed", "cannot be used")])
async def test_unusable_secret_is_an_invalid_configuration(tmp_path: Path, secret: str | None, problem: str) -> None:
    opened = BlobFleetStorage(tmp_path) if secret is None else open_storage(tmp_path, secret)
    settings = StorageSettings(auth="existingSecret", existing_secret=ExistingSecret("fleet-storage"))
    with pytest.raises(ConfigurationInvalid, match=problem):
        await opened.list_models(Fleet(name="default", namespaces=(), storage=settings))


async def test_missing_secret_is_named_with_its_key_and_found_when_it_appears(tmp_path: Path) -> None:
    settings = StorageSettings(auth="existingSecret", existing_secret=ExistingSecret("fleet-storage"))
    opened, fleet = BlobFleetStorage(tmp_path), Fleet(name="default", namespaces=(), storage=settings)
    with pytest.raises(ConfigurationInvalid, match="Secret 'fleet-storage' has no key 'connectionString'"):
        await opened.list_models(fleet)
    open_storage(tmp_path, "malformed")
    with pytest.raises(ConfigurationInvalid, match="cannot be used"):
        await opened.list_models(fleet)


async def test_secret_that_is_not_text_is_named(tmp_path: Path) -> None:
    settings = StorageSettings(auth="existingSecret", existing_secret=ExistingSecret("fleet-storage"))
    opened = open_storage(tmp_path, "")
    (tmp_path / "default" / "connectionString").write_bytes(b"\xff")
    with pytest.raises(ConfigurationInvalid, match="of Secret 'fleet-storage' is not text"):
        await opened.list_models(Fleet(name="default", namespaces=(), storage=settings))


async def test_workload_identity_without_a_projected_token_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    fleet = Fleet(name="default", namespaces=(), storage=StorageSettings(account_url="https://a.blob.core.windows.net"))
    with pytest.raises(ConfigurationInvalid, match="cannot be used"):
        await BlobFleetStorage(tmp_path).list_models(fleet)


@pytest.mark.parametrize(("partition", "problem"), [("hourly", "is invalid"), ("PT0S", "must be longer than zero")])
async def test_unusable_partition_is_an_invalid_configuration(tmp_path: Path, partition: str, problem: str) -> None:
    fleet = Fleet(name="default", namespaces=(), storage=StorageSettings(), data=DataSettings(partition=partition))
    window = Window(start=datetime(2018, 8, 28, tzinfo=UTC), end=datetime(2018, 8, 29, tzinfo=UTC))
    with pytest.raises(ConfigurationInvalid, match=f"data.partition {problem}"):
        await BlobFleetStorage(tmp_path).list_data_devices(fleet, window, ())
