"""What storage is asked and what it answers, on a real Azurite."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from scoring_operator.api.fleets import ExistingSecret, Fleet, StorageSettings
from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import ConfigurationInvalid, IdentityUnavailable, StorageUnavailable
from scoring_operator.storage import account
from scoring_operator.storage.fleet_storage import BlobFleetStorage
from tests.testkit.azurite import Storage as Containers

WINDOW = Window(start=datetime(2018, 8, 28, 22, 30, tzinfo=UTC), end=datetime(2018, 8, 29, tzinfo=UTC))
SLUG = "20180828T223000Z_20180829T000000Z"


def a_fleet(containers: Containers) -> Fleet:
    settings = StorageSettings(
        models=containers.models,
        data=containers.data,
        predictions=containers.predictions,
        auth="existingSecret",
        existing_secret=ExistingSecret("fleet-storage"),
    )
    return Fleet(name="default", namespaces=("scoring",), storage=settings)


def open_storage(folder: Path, secret: str) -> BlobFleetStorage:
    path = folder / "default" / "connectionString"
    path.parent.mkdir(exist_ok=True)
    path.write_text(secret + "\n")
    return BlobFleetStorage(folder)


async def test_devices_are_found_by_their_models_and_what_is_no_model_is_named(
    storage: Containers, tmp_path: Path
) -> None:
    for name in ("press-2.joblib", "press-1.joblib", "%23.joblib", "README.md", "a b.joblib"):
        storage.put("models", name, b"x")
    asked = open_storage(tmp_path, storage.connection_string)
    found = await asked.list_models(a_fleet(storage))
    assert found.devices == ("#", "press-1", "press-2")
    assert sorted(found.invalid_names) == ["README.md", "a b.joblib"]
    asked.close()


async def test_devices_with_data_are_those_of_the_windows_partitions(storage: Containers, tmp_path: Path) -> None:
    for name in ("20180828T2200Z/a.csv", "20180828T2300Z/a.csv", "20180828T2300Z/b.csv", "20180829T0000Z/late.csv"):
        storage.put("data", name, b"x")
    asked = open_storage(tmp_path, storage.connection_string)
    assert (await asked.list_data_devices(a_fleet(storage), WINDOW, ())).devices == ("a", "b")
    assert (await asked.list_data_devices(a_fleet(storage), WINDOW, ["a", "c"])).devices == ("b",)
    asked.close()


def test_of_a_listing_of_names_nothing_but_the_names_is_read() -> None:
    blob = b"<Blob><Name>%b</Name><Properties><Etag>1</Etag></Properties><OrMetadata /></Blob>"
    page = b"<Blobs>%b%b</Blobs><NextMarker>c</NextMarker>" % (blob % b"a", blob % b"b")
    answer = SimpleNamespace(ok=True, content=page, url="http://account/models?restype=container&comp=list")
    account._strip_properties(answer)
    names = b"<Blobs><Blob><Name>a</Name></Blob><Blob><Name>b</Name></Blob></Blobs>"
    assert vars(answer)["_content"] == names + b"<NextMarker>c</NextMarker>"
    asked_for_metadata = SimpleNamespace(ok=True, content=page, url=f"{answer.url}&include=metadata")
    account._strip_properties(asked_for_metadata)
    assert "_content" not in vars(asked_for_metadata)


async def test_predictions_come_with_their_metadata(storage: Containers, tmp_path: Path) -> None:
    storage.put("predictions", f"{SLUG}/a.csv", b"x", metadata={"run": "7"})
    storage.put("predictions", f"{SLUG}/_summary.json", b"x")
    storage.put("predictions", "20180828T210000Z_20180828T220000Z/b.csv", b"x")
    asked = open_storage(tmp_path, storage.connection_string)
    assert await asked.list_predictions(a_fleet(storage), WINDOW) == {"a": {"run": "7"}}
    asked.close()


@pytest.mark.fault("T18")
async def test_an_outcome_record_is_read_or_is_not_there(storage: Containers, tmp_path: Path) -> None:
    storage.put("predictions", "_runs/uid-1/job-1.json", b"{}")
    asked = open_storage(tmp_path, storage.connection_string)
    assert await asked.read_outcome(a_fleet(storage), "uid-1", "job-1") == b"{}"
    assert await asked.read_outcome(a_fleet(storage), "uid-1", "job-2") is None
    asked.close()


async def test_what_a_report_says_of_failures_is_read_or_is_not_there(storage: Containers, tmp_path: Path) -> None:
    asked = open_storage(tmp_path, storage.connection_string)
    assert await asked.read_failures(a_fleet(storage), WINDOW) is None
    storage.put("predictions", f"{SLUG}/_failures.csv", b"Device,Outcome")
    assert await asked.read_failures(a_fleet(storage), WINDOW) == b"Device,Outcome"
    asked.close()


async def test_a_container_that_is_not_there_is_named(storage: Containers, tmp_path: Path) -> None:
    fleet = a_fleet(storage)
    fleet = msgspec.structs.replace(fleet, storage=msgspec.structs.replace(fleet.storage, models="elsewhere"))
    asked = open_storage(tmp_path, storage.connection_string)
    with pytest.raises(ConfigurationInvalid, match="'elsewhere'"):
        await asked.list_models(fleet)
    asked.close()


async def test_a_wrong_key_is_told_apart_and_a_mended_secret_is_used_at_once(
    storage: Containers, tmp_path: Path
) -> None:
    good = storage.connection_string
    wrong = ";".join("AccountKey=AAAA" if part.startswith("AccountKey") else part for part in good.split(";"))
    asked = open_storage(tmp_path, wrong)
    with pytest.raises(IdentityUnavailable):
        await asked.list_models(a_fleet(storage))
    open_storage(tmp_path, good)
    assert (await asked.list_models(a_fleet(storage))).devices == ()
    asked.close()


@pytest.mark.parametrize(("secret", "says"), [(None, "not mounted"), ("rubbish", "cannot be used")])
async def test_an_unusable_secret_is_the_administrators_to_mend(tmp_path: Path, secret: str | None, says: str) -> None:
    asked = BlobFleetStorage(tmp_path) if secret is None else open_storage(tmp_path, secret)
    settings = StorageSettings(auth="existingSecret", existing_secret=ExistingSecret("fleet-storage"))
    with pytest.raises(ConfigurationInvalid, match=says):
        await asked.list_models(Fleet(name="default", namespaces=(), storage=settings))


async def test_without_a_projected_token_workload_identity_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    fleet = Fleet(name="default", namespaces=(), storage=StorageSettings(account_url="https://a.blob.core.windows.net"))
    with pytest.raises(ConfigurationInvalid, match="cannot be used"):
        await BlobFleetStorage(tmp_path).list_models(fleet)


@pytest.mark.parametrize(("status", "kind"), [(429, StorageUnavailable), (403, IdentityUnavailable)])
async def test_refusals_of_storage_say_by_their_type_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, kind: type[Exception]
) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", refuse)
    caplog.set_level(logging.WARNING)
    async with TestServer(app) as server:
        settings = StorageSettings(
            account_url=f"http://127.0.0.1:{server.port}/account",
            auth="existingSecret",
            existing_secret=ExistingSecret("s", key="connectionString", kind="sas"),
        )
        asked = open_storage(tmp_path, "?sv=2024&sig=CANARY")
        with pytest.raises(kind) as caught:
            await asked.list_models(Fleet(name="default", namespaces=(), storage=settings))
        asked.close()
    assert "CANARY" not in f"{caught.value}{caplog.text}"
