"""The store of the client in a storage account, with folders, names and writes of several clients."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fleetscore import Fleet
from fleetscore.cli import main
from fleetscore.contract.fleets import FleetLayout
from fleetscore.store.azure import CONNECTION_STRING_VARIABLE, AzureStore
from fleetscore.store.base import Store
from tests.testkit import scorer_fleet
from tests.testkit.azurite import Storage
from tests.testkit.client_fleet import FIRST, LAST, make_folder, write_inputs
from tests.testkit.scorer_command import scorer

ROLES = ("models", "data", "predictions")


@pytest.fixture
def store(storage: Storage) -> AzureStore:
    containers = {role: storage.container(role) for role in ROLES}
    environment = {CONNECTION_STRING_VARIABLE: storage.connection_string}
    return AzureStore.connect("", containers, environment=environment)


def put(store: Store, *names: str) -> None:
    for name in names:
        assert store.write("predictions", name, b"x", if_match=None)


def test_folders_names_and_existence_are_those_of_the_account(store: AzureStore) -> None:
    put(store, "w/b.csv", "w/x/a.csv", "v/c.csv", "_mutes.csv")
    assert list(store.folders("predictions")) == ["v/", "w/"]
    assert list(store.folders("predictions", "w/")) == ["w/x/"]
    assert list(store.names("predictions", "w/")) == ["w/b.csv", "w/x/a.csv"]
    assert store.exists("predictions", "w/b.csv")
    assert not store.exists("predictions", "w")
    (blob,) = store.list("predictions", "v/")
    assert blob.modified is not None


def test_write_needs_the_etag_of_the_existing_blob(store: AzureStore) -> None:
    put(store, "_mutes.csv")
    assert not store.write("predictions", "_mutes.csv", b"2", if_match=None)
    assert not store.write("predictions", "_mutes.csv", b"2", if_match="0x1")
    blob = store.read("predictions", "_mutes.csv")
    assert blob is not None
    assert blob.info.modified is not None
    assert store.write("predictions", "_mutes.csv", b"2", if_match=blob.info.etag)


HEADER = b"Devices,From,Until,Why,Who\n"
MUTED = HEADER + b"press-9,,,belt,Bo\n"


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        (None, HEADER),
        (b"", HEADER),
        (MUTED[:40], MUTED[:40] + b"\n"),
        (MUTED + b"drill-*,,,oil,Cy\n", MUTED + b"drill-*,,,oil,Cy\n"),
    ],
    ids=["removed", "emptied", "cut", "second-person"],
)
def test_mute_is_added_to_what_another_client_left(
    store: AzureStore, storage: Storage, monkeypatch: pytest.MonkeyPatch, left: bytes | None, kept: bytes
) -> None:
    assert store.write("predictions", "_mutes.csv", MUTED, if_match=None)
    blob = storage.client.get_blob_client(storage.predictions, "_mutes.csv")
    write, others = store.write, [blob.delete_blob if left is None else partial(blob.upload_blob, left, overwrite=True)]

    def write_after_another(*words: Any, **more: Any) -> bool:
        while others:
            others.pop()()
        return write(*words, **more)

    monkeypatch.setattr(store, "write", write_after_another)
    monkeypatch.setattr(Fleet, "connect", lambda *_, **__: Fleet(FleetLayout(), store))
    times = ["--from", "2998-01-01", "--until", "2999-01-01"]
    assert main(["mute", "press-1", "--why", "oil", "--who", "Ann", *times]) == 0
    new = b"press-1,2998-01-01T00:00:00Z,2999-01-01T00:00:00Z,oil,Ann\n"
    assert storage.get("predictions", "_mutes.csv") == kept + new


def test_replay_of_predictions_in_an_account_names_only_what_has_changed(
    store: AzureStore, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_inputs(tmp_path, 23, {"press-1": (*scorer_fleet.NORMAL, scorer_fleet.SPIKE)})
    local = Fleet.folder(tmp_path).store
    inputs = {role: local.read(role, next(iter(local.names(role)))) for role in ("models", "data")}
    for role, blob in inputs.items():
        assert blob is not None
        storage.put(role, blob.info.name, blob.content)
    for name, value in storage.environment().items():
        monkeypatch.setenv(name, value)
    span = ["--window-start", "2018-08-28T23:00:00Z", "--window-end", "2018-08-29T00:00:00Z"]
    assert scorer("score", *span, "--", "press-1").code == 0
    fleet = Fleet(FleetLayout(), store)
    repeated = fleet.replay("press-1", LAST)
    assert (repeated.same, list(repeated.differences)) == (True, [])
    data = inputs["data"]
    assert data is not None
    storage.put("data", data.info.name, data.content)
    assert "the readings were written again" in "".join(fleet.replay("press-1", LAST).differences)


def test_fleet_of_an_account_is_read_and_replayed(
    store: AzureStore, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = Fleet.folder(make_folder(tmp_path_factory.mktemp("fleet") / "store"))
    for role in ROLES:
        for name in local.store.names(role):
            blob = local.store.read(role, name)
            assert blob is not None
            assert store.write(role, name, blob.content, if_match=None)
    fleet = Fleet(FleetLayout(), store)
    assert fleet.windows() == [LAST, FIRST]
    assert fleet.history(FIRST.start, LAST.end).equals(local.history(FIRST.start, LAST.end))
    assert fleet.predictions(LAST).equals(local.predictions(LAST))
    assert fleet.replay("press-2", LAST).same
    monkeypatch.setattr(Fleet, "connect", lambda *_, **__: fleet)
    assert main(["mute", "press-*", "--why", "oil"]) == main(["unmute", "press-*"]) == 0
