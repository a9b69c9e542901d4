"""The transport of storage requests: limits of a body, and listings of names without properties."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from scoring_operator.api.fleets import ExistingSecret, StorageSettings
from scoring_operator.errors import StorageError, StorageUnavailable
from scoring_operator.storage import transport
from scoring_operator.storage.account import BlobAccount
from scoring_operator.storage.limits import StorageLimits
from tests.testkit.blob_server import CANARY, SAS, BlobServer, serving
from tests.testkit.hostile_responses import CHUNK, ENDLESS, HOSTILE, response


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with serving() as running:
        yield running


@contextmanager
def opened(server: BlobServer, **limits: Any) -> Iterator[BlobAccount]:
    """Open an account that repeats no request."""
    secret = ExistingSecret("fleet-storage", "key", "sas")
    settings = StorageSettings(server.url, auth="existingSecret", existing_secret=secret)
    account = BlobAccount(settings, SAS, StorageLimits(max_retries=0, **limits))
    try:
        yield account
    finally:
        account.close()


CALLS: dict[str, Callable[[BlobAccount], Any]] = {
    "names": lambda account: list(account.list_names("models", "", lambda: False)),
    "metadata": lambda account: list(account.list_metadata("models", "", lambda: False)),
    "read": lambda account: account.read("models", "a.joblib", 1000),
    "folder": lambda account: account.is_folder("models", "a"),
}


def list_names(account: BlobAccount) -> list[str]:
    return list(account.list_names("models", "", lambda: False))


def test_listing_of_names_is_stripped_of_properties() -> None:
    blob = b"<Blob><Name>%b</Name><Properties><Etag>1</Etag></Properties><OrMetadata /></Blob>"
    page = b"<Blobs>%b%b</Blobs><NextMarker>c</NextMarker>" % (blob % b"a", blob % b"b")
    found: Any = SimpleNamespace(ok=True, content=page, url="http://account/models?restype=container&comp=list")
    transport.strip_properties(found)
    names = b"<Blobs><Blob><Name>a</Name></Blob><Blob><Name>b</Name></Blob></Blobs>"
    assert vars(found)["_content"] == names + b"<NextMarker>c</NextMarker>"
    with_metadata: Any = SimpleNamespace(ok=True, content=page, url=f"{found.url}&include=metadata")
    transport.strip_properties(with_metadata)
    assert "_content" not in vars(with_metadata)


def test_connection_has_5_s_and_each_part_of_a_response_20_s() -> None:
    assert (transport.CONNECT_TIMEOUT_SECONDS, transport.READ_TIMEOUT_SECONDS) == (5, 20)


@pytest.mark.fault("F27", "T15")
@pytest.mark.parametrize("headers", [ENDLESS, {"Content-Length": str(10**15)}], ids=["chunked", "stated"])
def test_endless_body_ends_at_the_limit_of_size(server: BlobServer, headers: dict[str, str]) -> None:
    server.fail("raw", times=100, raw=response(headers=headers), repeat=CHUNK)
    with opened(server, max_body_bytes=2**20) as account:
        with pytest.raises(StorageUnavailable, match="container 'models': storage cannot be reached"):
            list_names(account)
        with pytest.raises(StorageUnavailable):
            account.read("models", "a.joblib", 1000)
    assert server.sent < 100 * 2**20


@pytest.mark.fault("F27")
@pytest.mark.parametrize("headers", [{}, {"Content-Length": None, "Transfer-Encoding": "chunked"}])
def test_slow_body_ends_at_the_limit_of_time(server: BlobServer, headers: dict[str, str | None]) -> None:
    byte = b"1\r\na\r\n" if headers else b"a"
    server.fail("raw", times=9, raw=response(headers={"Content-Length": "9999", **headers}), repeat=byte, pause=0.05)
    with (
        opened(server, response_timeout=0.3) as account,
        pytest.raises(StorageUnavailable, match="container 'models': storage cannot be reached"),
    ):
        list_names(account)


@pytest.mark.fault("F27", "T15")
@pytest.mark.parametrize(
    ("begin", "repeated"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (response(headers={"Content-Length": None, "Transfer-Encoding": "chunked"}) + b"0\r\n", b"X: a\r\n"),
    ],
    ids=["header", "interim responses", "trailer"],
)
def test_response_without_end_of_its_header_or_trailer_ends_at_the_limit_of_time(
    server: BlobServer, begin: bytes, repeated: bytes
) -> None:
    server.fail("raw", times=9, raw=begin, repeat=repeated, pause=0.05)
    with (
        opened(server, response_timeout=0.3) as account,
        pytest.raises(StorageUnavailable, match="container 'models': storage"),
    ):
        list_names(account)


@pytest.mark.slow
@pytest.mark.fault("F27", "T13", "T15")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the SDK closes no connection of a foreign response
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_response_is_a_result_or_an_error_of_storage(server: BlobServer, kind: str) -> None:
    server.fail("raw", times=1000, **HOSTILE[kind])
    errors = []
    with opened(server, max_body_bytes=2**20, response_timeout=0.5) as account:
        for call in CALLS.values():
            try:
                call(account)
            except StorageError as error:
                errors.append(str(error))
    assert [text for text in errors if CANARY in text or len(text) > 500] == []
    gc.collect()
