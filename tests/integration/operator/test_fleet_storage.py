"""Lists of devices, readings and predictions on a real Azurite."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from scoring_operator.api.fleets import ExistingSecret, Fleet, StorageSettings
from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import ConfigurationInvalid, IdentityUnavailable
from scoring_operator.storage.account import BlobAccount
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


async def test_models_give_devices_and_names_of_other_blobs(storage: Containers, tmp_path: Path) -> None:
    for name in ("press-2.joblib", "press-1.joblib", "%23.joblib", "README.md", "a b.joblib"):
        storage.put("models", name, b"x")
    opened = open_storage(tmp_path, storage.connection_string)
    found = await opened.list_models(a_fleet(storage))
    assert found.devices == ("#", "press-1", "press-2")
    assert found.invalid_names.total == 2
    assert sorted(found.invalid_names.samples) == ["README.md", "a b.joblib"]
    opened.close()


async def test_data_devices_are_those_in_the_partitions_of_the_window(storage: Containers, tmp_path: Path) -> None:
    for name in ("20180828T2200Z/a.csv", "20180828T2300Z/a.csv", "20180828T2300Z/b.csv", "20180829T0000Z/late.csv"):
        storage.put("data", name, b"x")
    opened = open_storage(tmp_path, storage.connection_string)
    assert (await opened.list_data_devices(a_fleet(storage), WINDOW, ())).devices == ("a", "b")
    assert (await opened.list_data_devices(a_fleet(storage), WINDOW, ["a", "c"])).devices == ("b",)
    opened.close()


async def test_predictions_have_their_metadata(storage: Containers, tmp_path: Path) -> None:
    storage.put("predictions", f"{SLUG}/a.csv", b"x", metadata={"run": "7"})
    storage.put("predictions", f"{SLUG}/_summary.json", b"x")
    storage.put("predictions", "20180828T210000Z_20180828T220000Z/b.csv", b"x")
    opened = open_storage(tmp_path, storage.connection_string)
    assert await opened.list_predictions(a_fleet(storage), WINDOW) == {"a": {"run": "7"}}
    opened.close()


@pytest.mark.fault("T18")
async def test_outcome_record_is_read_or_missing(storage: Containers, tmp_path: Path) -> None:
    storage.put("predictions", "_runs/uid-1/job-1.json", b"{}")
    opened = open_storage(tmp_path, storage.connection_string)
    assert await opened.read_outcome(a_fleet(storage), "uid-1", "job-1") == b"{}"
    assert await opened.read_outcome(a_fleet(storage), "uid-1", "job-2") is None
    opened.close()


async def test_failures_file_of_the_report_is_read_or_missing(storage: Containers, tmp_path: Path) -> None:
    opened = open_storage(tmp_path, storage.connection_string)
    assert await opened.read_failures(a_fleet(storage), WINDOW) is None
    storage.put("predictions", f"{SLUG}/_failures.csv", b"Device,Outcome")
    assert await opened.read_failures(a_fleet(storage), WINDOW) == b"Device,Outcome"
    opened.close()


async def test_tile_of_the_history_is_read_or_missing(storage: Containers, tmp_path: Path) -> None:
    opened = open_storage(tmp_path, storage.connection_string)
    name = "_history/default/PT3600S/2018-W35.csv.gz"
    assert await opened.read_history(a_fleet(storage), name) is None
    storage.put("predictions", name, b"a tile")
    assert await opened.read_history(a_fleet(storage), name) == b"a tile"
    opened.close()


def test_blob_is_read_up_to_a_limit(storage: Containers) -> None:
    storage.put("predictions", "a.csv", b"a tile")
    opened = BlobAccount(a_fleet(storage).storage, storage.connection_string)
    assert opened.read(storage.predictions, "a.csv", 3) == b"a t"
    opened.close()


async def test_blob_with_an_encoding_is_not_decompressed_beyond_its_limit(storage: Containers, tmp_path: Path) -> None:
    packed = gzip.compress(b"0" * 2**24)
    storage.put("predictions", f"{SLUG}/_failures.csv", packed, encoding="gzip")
    opened = open_storage(tmp_path, storage.connection_string)
    assert await opened.read_failures(a_fleet(storage), WINDOW) == packed
    opened.close()


async def test_missing_container_is_named(storage: Containers, tmp_path: Path) -> None:
    fleet = a_fleet(storage)
    fleet = msgspec.structs.replace(fleet, storage=msgspec.structs.replace(fleet.storage, models="elsewhere"))
    opened = open_storage(tmp_path, storage.connection_string)
    with pytest.raises(ConfigurationInvalid, match="'elsewhere'"):
        await opened.list_models(fleet)
    opened.close()


async def test_wrong_key_raises_identity_error_and_a_fixed_secret_works_at_once(
    storage: Containers, tmp_path: Path
) -> None:
    good = storage.connection_string
    wrong = ";".join("AccountKey=AAAA" if part.startswith("AccountKey") else part for part in good.split(";"))
    opened = open_storage(tmp_path, wrong)
    with pytest.raises(IdentityUnavailable):
        await opened.list_models(a_fleet(storage))
    open_storage(tmp_path, good)
    assert (await opened.list_models(a_fleet(storage))).devices == ()
    opened.close()
