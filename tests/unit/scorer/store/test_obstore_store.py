"""Tests of what is special to the store on obstore. test_azure.py has the tests of both stores on Azure."""

import gzip
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_scorer.errors import ConfigurationInvalid, StorageUnavailable
from device_scorer.settings import read_settings
from device_scorer.store.obstore_store import LIST_CHUNK_SIZE, ObstoreStore, open_obstore_store
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, RetryPolicy
from localcluster.kubernetes.certificates import CertificateAuthority
from tests.testkit.blob_server import SAS, BlobServer, serving
from tests.testkit.retry_policies import ONE_ATTEMPT
from tests.testkit.tls import Tls

BLOB = "/account/predictions/w/p.csv"


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with serving() as running:
        yield running


def open_on(url: str, policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> ObstoreStore:
    environment = {"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": url, "AZURE_STORAGE_SAS_TOKEN": SAS}
    return open_obstore_store(read_settings(environment), policy)


@pytest.fixture
def store(server: BlobServer) -> ObstoreStore:
    return open_on(server.url)


def test_size_of_a_part_of_a_listing() -> None:
    assert LIST_CHUNK_SIZE == 5000


def test_properties_are_read_with_the_first_byte(server: BlobServer, store: ObstoreStore) -> None:
    metadata = {"window": "w", "complete": "true"}
    etag = store.write("predictions", "w/p.csv", b"content", metadata=metadata)
    server.requests.clear()
    info = store.head("predictions", "w/p.csv")
    assert info is not None
    assert (info.size, info.etag, dict(info.metadata)) == (7, etag, metadata)
    assert info.md5 == "9a0364b9e99bb480dd25e1f0284c8555"
    assert [method for method, _, _ in server.requests] == ["GET"]


@pytest.mark.parametrize("code", ["BlobArchived", "BlobBeingRehydrated"])
def test_properties_of_an_archived_blob_are_read_by_head(server: BlobServer, store: ObstoreStore, code: str) -> None:
    store.write("predictions", "w/p.csv", b"content", metadata={"complete": "true"})
    server.fail("status", method="GET", status=409, code=code)
    info = store.head("predictions", "w/p.csv")
    assert info is not None
    assert dict(info.metadata) == {"complete": "true"}


def test_properties_of_an_empty_blob_are_read_by_head(store: ObstoreStore) -> None:
    store.write("predictions", "w/p.csv", b"")
    info = store.head("predictions", "w/p.csv")
    assert info is not None
    assert info.size == 0


def test_foreign_blob_without_a_checksum_is_read(server: BlobServer, store: ObstoreStore) -> None:
    server.put(BLOB, b"content")
    blob, info = store.read("predictions", "w/p.csv"), store.head("predictions", "w/p.csv")
    assert blob is not None
    assert info is not None
    assert (blob.content, info.md5) == (b"content", "")


def test_encoded_blob_is_decoded(server: BlobServer, store: ObstoreStore) -> None:
    server.put(BLOB, gzip.compress(b"content"), **{"Content-Encoding": "gzip"})
    blob = store.read("predictions", "w/p.csv")
    assert blob is not None
    assert blob.content == b"content"


@pytest.mark.parametrize("name", ["", "/a.csv", "w/", "w//a.csv", "w/../a.csv"])
def test_name_that_would_become_another_one_is_rejected(server: BlobServer, store: ObstoreStore, name: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        store.read("predictions", name)
    assert server.requests == []


def test_listing_continues_after_a_fault_without_duplicates(server: BlobServer, store: ObstoreStore) -> None:
    for name in ("a", "b", "c"):
        server.put(f"/account/predictions/w/{name}.csv", b"x")
    server.fail("status", path="predictions")
    found = [info.name for info in store.list("predictions", "w/", with_metadata=False)]
    assert found == ["w/a.csv", "w/b.csv", "w/c.csv"]


@pytest.mark.fault("F27")
def test_listing_that_keeps_failing_is_an_error_and_not_an_empty_list(server: BlobServer, store: ObstoreStore) -> None:
    server.put(BLOB, b"x")
    server.fail("status", times=100)
    with pytest.raises(StorageUnavailable):
        list(store.with_deadline(time.monotonic() + 1).list("predictions", "w/", with_metadata=False))


def test_missing_blob_is_deleted_without_the_sdk(server: BlobServer, store: ObstoreStore) -> None:
    store.delete("predictions", "w/_SUCCESS")
    assert [method for method, _, _ in server.requests] == ["GET"]


def test_what_obstore_lacks_is_done_by_the_sdk(server: BlobServer, store: ObstoreStore) -> None:
    store.write("predictions", "w/p.csv", b"x", metadata={"rows": "1"})
    view = store.with_deadline(time.monotonic() + 600)
    assert [dict(info.metadata) for info in view.list("predictions", "w/")] == [{"rows": "1"}]
    view.delete("predictions", "w/p.csv")
    assert server.blobs == {}


def test_private_authority_is_trusted_if_the_environment_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = Tls.issue(CertificateAuthority(tmp_path, "authority").create(), "127.0.0.1")
    with serving(tls=tls) as server:
        server.put(BLOB, b"content")
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(StorageUnavailable, match=r"certificate is not trusted .* REQUESTS_CA_BUNDLE"):
            open_on(server.url, ONE_ATTEMPT).read("predictions", "w/p.csv")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
        assert open_on(server.url).read("predictions", "w/p.csv") is not None
