"""Tests of the texts of obstore's exceptions, on a fake blob server. They hold for the pinned version only."""

import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError
from obstore.store import AzureStore as Client

from device_scorer.errors import ConfigurationInvalid, IdentityUnavailable, StorageUnavailable
from device_scorer.store.obstore_errors import (
    classify,
    convert_panic,
    http_status,
    is_missing_blob,
    storage_error_code,
)
from tests.testkit.blob_server import CANARY, SAS, BlobServer, serving
from tests.testkit.waiting import shortest

BLOB = "/account/data/a.csv"


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with serving() as running:
        yield running


def client_of(url: str, *, read_timeout: str = "60s", **config: str) -> Client:
    settings: Any = {"account_name": "account", "endpoint": url, "credential_type": "sas_token", "sas_key": SAS}
    options: Any = {"allow_http": True, "read_timeout": read_timeout}
    return Client("data", config=settings | config, client_options=options, retry_config={"max_retries": 0})


def error_of(call: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011  every type
        call()
    return raised.value


def failure_of(
    server: BlobServer, call: Callable[[Client], Any] | None = None, *, read_timeout: str = "60s"
) -> Exception:
    call = call or (lambda client: bytes(obstore.get(client, "a.csv").bytes()))
    return error_of(lambda: call(client_of(server.url, read_timeout=read_timeout)))


def test_texts_are_those_of_this_version() -> None:
    assert version("obstore") == "0.12.1", "run these tests with the new version, then change the number"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 409, 412, 416, 429, 500, 501, 503])
def test_status_and_code_are_in_the_text(server: BlobServer, status: int) -> None:
    server.fail("status", status=status, code="SomeCode", times=2)
    for call in (
        lambda client: obstore.get(client, "a.csv"),
        lambda client: obstore.put(client, "a.csv", b"x", mode="create", use_multipart=False),
    ):
        error = failure_of(server, call)
        assert (http_status(error), storage_error_code(error)) == (status, "SomeCode")


def test_response_to_head_has_no_code(server: BlobServer) -> None:
    server.fail("status", status=403, code="AuthorizationFailure")
    error = failure_of(server, lambda client: obstore.get(client, "a.csv", options={"head": True}))
    assert (http_status(error), storage_error_code(error)) == (403, "")


def test_only_a_missing_blob_is_missing(server: BlobServer) -> None:
    assert is_missing_blob(failure_of(server))
    assert is_missing_blob(failure_of(server, lambda client: obstore.get(client, "a.csv", options={"head": True})))
    for code in ("ContainerNotFound", ""):
        server.fail("status", status=404, code=code)
        assert not is_missing_blob(failure_of(server))
    assert not is_missing_blob(FileNotFoundError("another"))


@pytest.mark.fault("F27")
@pytest.mark.parametrize(
    ("kind", "cause"),
    [("reset", "connection closed"), ("silent", "timed out"), ("truncate", "connection reset"), ("slow", "timed out")],
)
def test_broken_connection_may_have_changed_something(server: BlobServer, kind: str, cause: str) -> None:
    server.put(BLOB, b"0123456789" * 1000)
    server.fail(kind)
    read_timeout = "200ms" if cause == "timed out" else "60s"
    failure = classify(failure_of(server, read_timeout=read_timeout), target="data/a.csv")
    assert failure.maybe_applied
    assert isinstance(failure.error, StorageUnavailable)
    assert str(failure.error) == f"storage closed the connection or timed out for data/a.csv: {cause}"


@pytest.mark.fault("F27")
@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:9/account", "Connection refused"),
        ("https://no-such-host.invalid", "failed to lookup address"),
    ],
)
def test_connection_that_was_not_made_has_changed_nothing(url: str, cause: str) -> None:
    failure = classify(error_of(lambda: obstore.get(client_of(url), "a.csv")), target="data/a.csv")
    assert not failure.maybe_applied
    assert f"storage cannot be reached for data/a.csv: {cause}" in str(failure.error)


def test_text_has_no_sas(server: BlobServer) -> None:
    server.fail("status", status=403, code="AuthenticationFailed")
    error = failure_of(server)
    assert CANARY not in str(error)
    with pytest.raises(IdentityUnavailable, match=r"403 AuthenticationFailed; .* renew the Secret"):
        classify(error, target="data/a.csv")


def test_response_without_etag_is_not_from_storage(server: BlobServer) -> None:
    server.fail("status", status=200)
    failure = classify(failure_of(server), target="data/a.csv")
    assert str(failure.error).endswith("Header missing")


def test_metadata_that_is_not_ascii_is_permanent(server: BlobServer) -> None:
    server.put(BLOB, b"x", **{"x-ms-meta-owner": "\xe4"})
    with pytest.raises(ConfigurationInvalid, match="metadata x-ms-meta-owner that is not ASCII; remove it"):
        classify(failure_of(server), target="data/a.csv")


@pytest.mark.parametrize("name", ["a//b", "a/../b", "a\nb"])
def test_name_that_obstore_does_not_accept_is_permanent(server: BlobServer, name: str) -> None:
    error = failure_of(server, lambda client: obstore.get(client, name))
    with pytest.raises(ConfigurationInvalid, match="obstore does not accept this name"):
        classify(error, target="data/x")


def test_invalid_listing_is_permanent(server: BlobServer) -> None:
    server.fail("status", status=200)
    with pytest.raises(ConfigurationInvalid, match="data cannot be listed"):
        classify(failure_of(server, lambda client: list(obstore.list(client))), target="data")


def test_header_that_cannot_be_made_is_an_exception(server: BlobServer, capfd: pytest.CaptureFixture[str]) -> None:
    def put() -> object:
        return obstore.put(client_of(server.url), "a.csv", b"x", attributes={"k": "a\r\nb"}, use_multipart=False)

    with pytest.raises(RuntimeError, match="obstore failed"):
        convert_panic(put)
    capfd.readouterr()


def test_exception_of_another_library_is_raised_unchanged() -> None:
    with pytest.raises(KeyError):
        classify(KeyError("a mistake of ours"), target="x")


TOKEN_ERROR = (
    "Generic MicrosoftAzure error: Error performing token request: Error performing POST "
    "https://login.example/t/oauth2/v2.0/token in 5ms - "
)


@pytest.mark.fault("F30")
def test_rejected_token_request_is_not_a_response_of_storage() -> None:
    text = (
        f'{TOKEN_ERROR}Server returned non-2xx status code: 401 Unauthorized: {{"error_description":"AADSTS700213: x"}}'
    )
    assert http_status(GenericError(text)) is None
    failure = classify(GenericError(text), target="x")
    assert isinstance(failure.error, IdentityUnavailable)
    assert "(AADSTS700213)" in str(failure.error)


def test_identity_platform_that_cannot_be_reached_is_retryable() -> None:
    text = f'{TOKEN_ERROR}HTTP error: error sending request\n\nDebug source:\nOs {{ message: "Connection refused", }}'
    failure = classify(GenericError(text), target="x")
    assert str(failure.error) == "there is no token for the storage account (Connection refused)"


def test_unreadable_token_file_is_permanent(server: BlobServer) -> None:
    config = {
        "credential_type": "workload_identity",
        "client_id": "c",
        "tenant_id": "t",
        "federated_token_file": "/nonexistent",
        "authority_host": server.url,
    }
    error = error_of(lambda: obstore.get(client_of(server.url, **config), "a.csv"))
    with pytest.raises(IdentityUnavailable, match=r"azure\.workload\.identity/use=true"):
        classify(error, target="x")


def test_large_text_is_classified_quickly() -> None:
    def seconds_to_classify() -> float:
        began = time.monotonic()
        classify(GenericError("<Code>" + "A" * 5_000_000), target="x")
        return time.monotonic() - began

    assert shortest(seconds_to_classify, 1) < 1
