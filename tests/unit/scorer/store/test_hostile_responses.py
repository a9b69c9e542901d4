"""Responses that no blob service sends: each ends in time as one of the scorer's errors, which names no secret."""

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from device_scorer.errors import BlobUnreadable, ConfigurationInvalid, IdentityUnavailable, StorageUnavailable
from device_scorer.settings import Settings, read_settings
from device_scorer.store import azure_client
from device_scorer.store.azure import open_azure_store
from device_scorer.store.base import Store
from device_scorer.store.factory import open_scoring_store, open_store
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, RetryPolicy
from tests.testkit.blob_server import CANARY, MODIFIED, SAS, BlobServer, serving
from tests.testkit.hostile_responses import CHUNK, CUT, ENDLESS, HOSTILE, XML, part, response

POLICY = RetryPolicy(
    read_timeout_seconds=0.5, connect_timeout_seconds=0.5, max_retry_seconds=0.2, max_unreachable_seconds=0.2
)
PATIENT = POLICY._replace(read_timeout_seconds=60.0, connect_timeout_seconds=60.0)
ERRORS = (BlobUnreadable, ConfigurationInvalid, IdentityUnavailable, StorageUnavailable)
CALLS: dict[str, Callable[[Store], Any]] = {
    "read": lambda store: store.read("predictions", "p.csv", max_bytes=10**6),
    "head": lambda store: store.head("predictions", "p.csv"),
    "write": lambda store: store.write("predictions", "p.csv", b"abc", metadata={"rows": "1"}),
    "list": lambda store: list(store.list("predictions", "w/", with_metadata=False)),
}


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with serving() as running:
        yield running


@pytest.fixture(params=["sdk", "obstore"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def settings_of(url: str) -> Settings:
    return read_settings({"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": url, "AZURE_STORAGE_SAS_TOKEN": SAS})


def open_on(url: str, library: str, policy: RetryPolicy = PATIENT, *, seconds: float = 300) -> Store:
    opener = {"sdk": open_store, "obstore": open_scoring_store}[library]
    return opener(settings_of(url), policy).with_deadline(time.monotonic() + seconds)


@pytest.mark.slow
@pytest.mark.fault("F27", "T13", "T15")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the SDK closes no connection of a foreign response
@pytest.mark.parametrize("call", CALLS)
def test_hostile_response_is_an_error_without_a_secret_or_a_result(library: str, call: str) -> None:
    def error_of(kind: str) -> str:
        with serving() as server, closing(open_on(server.url, library, POLICY, seconds=5)) as store:
            server.fail("raw", times=1000, **HOSTILE[kind])
            try:
                CALLS[call](store)
            except ERRORS as error:
                return str(error)
            return "no error"

    # obstore reads a listing of any size: see decision 0027.
    kinds = [kind for kind in HOSTILE if (library, call) != ("obstore", "list") or "repeat" not in HOSTILE[kind]]
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(error_of, kinds))
    gc.collect()
    assert [text for text in texts if CANARY in text or "Traceback" in text] == []
    assert call != "list" or "no error" not in texts


FOREIGN = {
    "read": (
        "blob in chunks",
        "date that is text",
        "length that is text",
        "negative length",
        "page of a portal in chunks",
        "page of a portal without an etag",
        "part without a range",
        "range that is text",
        "two lengths",
    ),
    "head": (
        "another range",
        "date that is text",
        "half of the blob",
        "length that is text",
        "no date",
        "no etag",
        "page of a portal without an etag",
    ),
    "write": ("length that is text", "page of a portal in chunks", "page of a portal without an etag", "no etag"),
    "list": (
        "length that is text",
        "page of a portal",
        "page of a portal in chunks",
        "page of a portal without an etag",
        "xml that is none",
    ),
}
"""The responses of a server that is not Blob Storage, by call. The SDK reads a part of the other ones."""


@pytest.mark.fault("F27")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # as above
@pytest.mark.parametrize("call", FOREIGN)
def test_response_of_another_server_is_permanent_with_the_next_step(
    server: BlobServer, library: str, call: str
) -> None:
    for kind in FOREIGN[call]:
        server.faults.clear()
        server.fail("raw", times=100, **HOSTILE[kind])
        with (
            closing(open_on(server.url, library)) as store,
            pytest.raises(
                ConfigurationInvalid, match=r"not one of Blob Storage \(\w+\); correct the account URL or the"
            ),
        ):
            CALLS[call](store)
    gc.collect()


CUT_READS = {("obstore", place) for place in CUT} | {("sdk", place) for place in CUT if place != "in the headers"}
"""The library http.client of the SDK reads headers that are cut as whole ones."""


@pytest.mark.fault("F27")
@pytest.mark.parametrize(("library", "place"), sorted(CUT_READS))
def test_connection_that_is_cut_in_a_response_is_transient(server: BlobServer, library: str, place: str) -> None:
    server.put("/account/predictions/p.csv", b"abc")
    server.fail("raw", **CUT[place])
    with closing(open_on(server.url, library, DEFAULT_RETRY_POLICY)) as store:
        blob = store.read("predictions", "p.csv")
    assert blob is not None
    assert (blob.content, len(server.requests)) == (b"abc", 2)


@pytest.mark.fault("F27")
@pytest.mark.parametrize("code", [b"5", b'"TooManyRequests"'])
def test_busy_server_with_a_text_of_json_is_requested_again(server: BlobServer, library: str, code: bytes) -> None:
    server.put("/account/predictions/p.csv", b"abc")
    text = b'{"error":{"code":%s}}' % code
    server.fail("raw", raw=response("429 Slow down", text, {"Content-Type": "application/json"}))
    with closing(open_on(server.url, library, DEFAULT_RETRY_POLICY)) as store:
        blob = store.read("predictions", "p.csv")
    assert blob is not None
    assert (blob.content, len(server.requests)) == (b"abc", 2)


@pytest.mark.fault("T15")
def test_body_of_the_sdk_has_a_limit_of_size(server: BlobServer) -> None:
    assert (azure_client.MAX_BODY_BYTES, azure_client.MAX_ERROR_BYTES) == (64 * 2**20, 64 * 1024)
    with closing(open_on(server.url, "sdk")) as store:
        server.fail("raw", raw=response("403 Forbidden", headers=ENDLESS), repeat=CHUNK)
        with pytest.raises(IdentityUnavailable):
            store.delete("predictions", "p.csv")
        assert server.sent < 2**24
        server.fail("raw", times=1000, raw=response(headers=ENDLESS), repeat=CHUNK)
        with pytest.raises(StorageUnavailable, match="the response has more than 67,108,864 bytes"):
            list(store.list("predictions", "w/"))
    assert server.sent < 4 * azure_client.MAX_BODY_BYTES


@pytest.mark.fault("F27")
@pytest.mark.parametrize("headers", [{}, {"Content-Length": None, "Transfer-Encoding": "chunked"}])
def test_body_of_the_sdk_has_a_limit_of_time(server: BlobServer, headers: dict[str, str | None]) -> None:
    assert azure_client.MAX_BODY_SECONDS == 600
    byte = b"1\r\na\r\n" if headers else b"a"
    server.fail("raw", times=9, raw=response(headers={"Content-Length": "9999", **headers}), repeat=byte, pause=0.05)
    with (
        closing(open_azure_store(settings_of(server.url), PATIENT, max_body_seconds=0.3)) as store,
        pytest.raises(StorageUnavailable, match=r"the response takes more than 0\.3 s"),
    ):
        list(store.list("predictions", "w/"))


def a_page(*names: str, marker: str = "") -> bytes:
    found = {"Etag": "0x1", "Content-Length": "1", "Content-Type": "text/csv", "Last-Modified": MODIFIED}
    properties = "".join(f"<{name}>{value}</{name}>" for name, value in found.items())
    blobs = "".join(f"<Blob><Name>{name}</Name><Properties>{properties}</Properties></Blob>" for name in names)
    text = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    return response(body=text.encode(), headers=XML)


@pytest.mark.fault("F27")
def test_listing_that_repeats_a_page_ends(server: BlobServer, library: str) -> None:
    names = [f"w/{number:05}" for number in range(5000)]
    server.fail("raw", times=1000, raw=a_page(*names, marker="again"))
    with (
        closing(open_on(server.url, library, DEFAULT_RETRY_POLICY)) as store,
        pytest.raises(ConfigurationInvalid, match=r"predictions/w/ cannot be listed: the server repeats a page"),
    ):
        list(store.list("predictions", "w/", with_metadata=False))
    assert len(server.requests) < 5


@pytest.mark.fault("F27")
def test_listing_of_empty_pages_with_one_marker_ends(server: BlobServer) -> None:
    server.fail("raw", times=1000, raw=a_page(marker="again"))
    with (
        closing(open_on(server.url, "sdk", DEFAULT_RETRY_POLICY)) as store,
        pytest.raises(ConfigurationInvalid, match="the server repeats a page"),
    ):
        list(store.list("predictions", "w/"))


def test_weak_etag_of_a_proxy_is_that_of_the_blob(server: BlobServer, library: str) -> None:
    server.put("/account/predictions/p.csv", b"abc")
    server.blobs["/account/predictions/p.csv"].etag = 'W/"0x1"'
    with closing(open_on(server.url, library, DEFAULT_RETRY_POLICY)) as store:
        info, blob = store.head("predictions", "p.csv"), store.read("predictions", "p.csv")
        assert info is not None
        assert blob is not None
        listed = [found.etag for found in store.list("predictions", "", with_metadata=False)]
    assert [info.etag, blob.etag, *listed] == ["0x1"] * 3


@pytest.mark.fault("F27")
def test_half_of_a_blob_is_not_the_blob(server: BlobServer) -> None:
    server.fail("raw", times=100, raw=part({"Content-Range": "bytes 0-2/6"}))
    with pytest.raises(ConfigurationInvalid, match=r"not one of Blob Storage \(UnexpectedRange\)"):
        open_on(server.url, "obstore").read("predictions", "p.csv")


def test_redirect_is_not_followed_by_the_sdk(server: BlobServer) -> None:
    with serving() as other:
        server.fail("redirect", status=307, location=f"{other.url}/predictions/p.csv", times=9)
        with (
            closing(open_on(server.url, "sdk", DEFAULT_RETRY_POLICY)) as store,
            pytest.raises(ConfigurationInvalid, match="the server redirects the request"),
        ):
            store.write("predictions", "p.csv", b"abc")
        assert other.requests == []
