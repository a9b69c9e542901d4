"""Tests of ranges and redirects in the calls of obstore."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_scorer.errors import ScorerError
from device_scorer.settings import read_settings
from device_scorer.store.obstore_store import ObstoreStore, open_obstore_store
from device_scorer.store.retry import DEFAULT_RETRY_POLICY
from localcluster.kubernetes.certificates import CertificateAuthority
from tests.testkit.blob_server import SAS, BlobServer, serving
from tests.testkit.tls import Tls

BLOB = "/account/predictions/p.csv"


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with serving() as running:
        yield running


def open_on(url: str) -> ObstoreStore:
    environment = {"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": url, "AZURE_STORAGE_SAS_TOKEN": SAS}
    return open_obstore_store(read_settings(environment), DEFAULT_RETRY_POLICY)


@pytest.mark.parametrize(("content", "requests"), [(b"abc", 1), (b"", 2)])
def test_blob_is_read_with_one_request_unless_it_is_empty(server: BlobServer, content: bytes, requests: int) -> None:
    server.put(BLOB, content)
    blob = open_on(server.url).read("predictions", "p.csv")
    assert blob is not None
    assert (blob.content, len(server.requests)) == (content, requests)


def test_proxy_that_ignores_ranges_is_read_without_them(server: BlobServer) -> None:
    server.ranges = False
    etag = server.put(BLOB, b"abc", **{"x-ms-meta-rows": "1"}).strip('"')
    store = open_on(server.url)
    info, blob = store.head("predictions", "p.csv"), store.read("predictions", "p.csv")
    assert info is not None
    assert blob is not None
    assert (blob.content, blob.etag, info.etag, dict(info.metadata)) == (b"abc", etag, etag, {"rows": "1"})


@pytest.mark.fault("T7")
def test_redirect_from_https_to_http_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = Tls.issue(CertificateAuthority(tmp_path, "authority").create(), "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
    with serving(tls=tls) as server, serving() as other:
        other.put(BLOB, b"abc")
        server.fail("redirect", status=307, location=f"{other.url}/predictions/p.csv", times=100)
        with pytest.raises(ScorerError):
            open_on(server.url).with_deadline(time.monotonic() + 2).read("predictions", "p.csv")
        assert other.requests == []
