"""Tests of the checksum in the metadata, on all stores: only that of predictions counts, as others use its key, too."""

import base64
import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from device_scorer.errors import StorageUnavailable
from device_scorer.settings import read_settings
from device_scorer.store.base import Store, md5_hex
from device_scorer.store.factory import open_scoring_store, open_store
from device_scorer.store.upload import UploadResult, upload_once
from tests.testkit.blob_server import SAS, BlobServer, serving

CONTENT = b"TS,Device,Tag,Value\n"
PREDICTIONS = {"window": "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z", "tags": "*", "complete": "true"}
FOREIGN = {
    "base64": base64.b64encode(hashlib.md5(CONTENT, usedforsecurity=False).digest()).decode(),
    "upper-case": md5_hex(CONTENT).upper(),
    "of-other-content": md5_hex(b"before it was compressed"),
    "text": "see the wiki",
}

Put = Callable[[str, bytes, Mapping[str, str]], None]


class Place(NamedTuple):
    """A store, and a function with which another client puts a blob into its container of readings."""

    store: Store
    put: Put


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with serving() as running:
        yield running


@pytest.fixture(params=["folder", "sdk", "obstore"])
def place(request: pytest.FixtureRequest, server: BlobServer, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        store = open_store(read_settings({}, str(tmp_path)))
        yield Place(store, lambda name, content, metadata: put_file(store, name, content, metadata))
        return
    store = open_on(server, request.param)
    yield Place(store, lambda name, content, metadata: put_blob(server, name, content, metadata))
    store.close()


def open_on(server: BlobServer, library: str) -> Store:
    environment = {"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": server.url, "AZURE_STORAGE_SAS_TOKEN": SAS}
    return {"sdk": open_store, "obstore": open_scoring_store}[library](read_settings(environment))


def put_file(store: Store, name: str, content: bytes, metadata: Mapping[str, str]) -> None:
    store.write("data", name, content, metadata=metadata, overwrite=True)


def put_blob(server: BlobServer, name: str, content: bytes, metadata: Mapping[str, str], **headers: str) -> None:
    """Put a blob without Content-MD5, as clients that upload in blocks do."""
    keys = {f"x-ms-meta-{key}": value for key, value in metadata.items()}
    server.put(f"/account/data/{name}", content, **{"Content-MD5": "", **keys, **headers})


@pytest.mark.parametrize("checksum", FOREIGN.values(), ids=list(FOREIGN))
def test_readings_with_a_checksum_of_another_client_are_read(place: Place, checksum: str) -> None:
    place.put("a.csv", CONTENT, {"md5": checksum, "source": "plant-7"})
    blob = place.store.read("data", "a.csv")
    assert blob is not None
    assert (blob.content, blob.metadata["source"]) == (CONTENT, "plant-7")


@pytest.mark.parametrize("library", ["sdk", "obstore"])
def test_compressed_readings_with_the_checksum_of_their_text_are_read(server: BlobServer, library: str) -> None:
    put_blob(server, "a.csv", gzip.compress(CONTENT), {"md5": md5_hex(CONTENT)}, **{"Content-Encoding": "gzip"})
    store = open_on(server, library)
    blob = store.read("data", "a.csv")
    assert blob is not None
    assert blob.content == CONTENT
    assert len(server.requests) == 1
    store.close()


@pytest.mark.parametrize("checksum", FOREIGN.values(), ids=list(FOREIGN))
def test_upload_of_the_same_readings_does_not_believe_the_checksum(place: Place, checksum: str) -> None:
    place.put("a.csv", CONTENT, {"md5": checksum})
    found = [place.store.head("data", "a.csv"), *place.store.list("data")]
    assert {info.md5 for info in found if info is not None} <= {"", md5_hex(CONTENT)}
    assert upload_once(place.store, "data", "a.csv", CONTENT) is UploadResult.UNCHANGED


@pytest.mark.parametrize("library", ["sdk", "obstore"])
@pytest.mark.parametrize("keys", [PREDICTIONS, {**PREDICTIONS, "runuid": "u", "scorer": "0.1.0"}], ids=["few", "more"])
def test_predictions_of_another_content_are_damaged(server: BlobServer, library: str, keys: Mapping[str, str]) -> None:
    put_blob(server, "p.csv", b"half", {**keys, "md5": md5_hex(b"all of it")})
    store = open_on(server, library)
    with pytest.raises(StorageUnavailable, match=r"^p\.csv is damaged: .*; upload it again, or delete it if it has"):
        store.read("data", "p.csv")
    assert len(server.requests) == 3
    store.close()


def test_predictions_of_another_content_in_a_folder_have_no_metadata(tmp_path: Path) -> None:
    store = open_store(read_settings({}, str(tmp_path)))
    store.write("predictions", "p.csv", b"all of it", metadata=PREDICTIONS)
    (tmp_path / "predictions" / "p.csv").write_bytes(b"half")
    info = store.head("predictions", "p.csv")
    assert info is not None
    assert (dict(info.metadata), info.md5) == ({}, md5_hex(b"half"))


def test_predictions_have_the_checksum_in_their_properties(place: Place) -> None:
    place.put("p.csv", CONTENT, {**PREDICTIONS, "md5": md5_hex(CONTENT)})
    found = [place.store.head("data", "p.csv"), *place.store.list("data")]
    assert [info.md5 for info in found if info is not None] == [md5_hex(CONTENT)] * 2
