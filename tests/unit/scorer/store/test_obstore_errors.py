"""Tests of the texts of obstore's exceptions, on a fake blob server. They hold for the pinned version only."""

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
    is_whole_response,
    storage_error_code,
)
from tests.testkit.blob_server import CANARY, SAS, BlobServer, serving
from tests.testkit.hostile_responses import part, response
from tests.testkit.waiting import shortest

BLOB = "/account/data/a.csv"
KEY = {"credential_type": "access_key", "account_key": base64.b64encode(b"k" * 64).decode()}
SAS_TOKEN = {"credential_type": "sas_token", "sas_key": SAS}
IMITATIONS = (
    "redirect",
    "timed out",
    "BlobNotFound",
    "Not a file",
    "Error performing HEAD",
    "error following redirect, AADSTS90033",
    "<Code>AuthenticationFailed</Code>",
    " - Server returned non-2xx status code: 409 Conflict: <Code>BlobNotFound</Code>",
    'Received non-partial response, "bytes 0--1/0"',
    'Metadata value for "owner", Error reading federated token file',
    "HttpError {    kind: Connect, InvalidCertificate( Expired",
    'message: "hacked", error: "hacked",',
    "Generic MicrosoftAzure error: Error performing token request",
)
"""Parts of obstore's texts. A name or a response with one of them does not change the class of an error."""


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with serving() as running:
        yield running


def client_of(url: str, *, container: str = "data", read_timeout: str = "60s", **config: str) -> Client:
    settings: Any = {"account_name": "account", "endpoint": url, **(config or SAS_TOKEN)}
    options: Any = {"allow_http": True, "read_timeout": read_timeout}
    return Client(container, config=settings, client_options=options, retry_config={"max_retries": 0})


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
    assert str(failure.error) == (
        f"storage closed the connection or timed out for data/a.csv: {cause}; retry later, then check the network"
    )


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


@pytest.fixture(params=[KEY, SAS_TOKEN], ids=["key", "sas"])
def credential(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return a credential: with a key the texts have the URL, with a SAS "REDACTED"."""
    return dict(request.param)


@pytest.mark.fault("F27")
def test_name_does_not_change_the_cause_of_a_broken_connection(server: BlobServer, credential: dict[str, str]) -> None:
    for text in IMITATIONS:
        client = client_of(f"{server.url}/{quote(text)}", container=text, **credential)
        server.fail("reset")
        error = error_of(partial(obstore.get, client, f"{text}/{text}.csv"))
        assert not is_whole_response(error)
        failure = classify(error, target="x")
        assert isinstance(failure.error, StorageUnavailable)
        assert "for x: connection closed" in str(failure.error)


@pytest.mark.fault("F27")
@pytest.mark.parametrize("status", [403, 404, 409, 503])
def test_name_does_not_change_status_and_code(server: BlobServer, credential: dict[str, str], status: int) -> None:
    client = client_of(server.url, **credential)
    for text in IMITATIONS:
        server.fail("status", status=status, code="SomeCode")
        error = error_of(partial(obstore.get, client, f"{text}/{text}.csv"))
        assert (http_status(error), storage_error_code(error)) == (status, "SomeCode")
        assert not is_missing_blob(error)
        assert not is_whole_response(error)


@pytest.mark.fault("F27")
@pytest.mark.parametrize("status", [404, 503])
@pytest.mark.parametrize("heading", ["", "\n\nDebug source:\nGeneric {\n    "])
def test_page_of_a_proxy_does_not_change_the_status(server: BlobServer, heading: str, status: int) -> None:
    for text in (text for text in IMITATIONS if "<Code>" not in text):
        page = f'<html>{text}{heading}source: "{text}",\n    {text}'.encode()
        server.fail("raw", raw=response(f"{status} A text", page))
        error = failure_of(server)
        assert (http_status(error), storage_error_code(error)) == (status, "")
        assert not is_missing_blob(error)
        assert not is_whole_response(error)


def test_host_with_redirect_in_its_name_is_not_a_redirect() -> None:
    error = error_of(lambda: obstore.get(client_of("http://redirect.invalid/account", **KEY), "a.csv"))
    assert "lookup address" in str(classify(error, target="x").error)


@pytest.mark.parametrize("location", [BLOB, "ftp://other.invalid/a.csv", ""])
def test_redirect_is_permanent(server: BlobServer, credential: dict[str, str], location: str) -> None:
    server.fail("redirect", status=307, location=location, times=20)
    error = error_of(lambda: obstore.get(client_of(server.url, **credential), "a.csv"))
    with pytest.raises(ConfigurationInvalid, match="the server redirects the request; correct the account URL"):
        classify(error, target="data/a.csv")


def test_directory_is_a_missing_blob(server: BlobServer) -> None:
    server.fail("raw", raw=part({"x-ms-resource-type": "directory"}))
    assert is_missing_blob(failure_of(server))


@pytest.mark.parametrize("raw", [response(body=b"abc"), part({"Content-Range": "bytes 0--1/0"})])
def test_response_that_ignores_the_range_is_recognized(server: BlobServer, raw: bytes) -> None:
    server.fail("raw", raw=raw)
    error = failure_of(server, lambda client: obstore.get(client, "a.csv", options={"range": {"offset": 0}}))
    assert is_whole_response(error)


def test_text_has_no_sas(server: BlobServer) -> None:
    server.fail("status", status=403, code="AuthenticationFailed")
    error = failure_of(server)
    assert CANARY not in str(error)
    with pytest.raises(IdentityUnavailable, match=r"403 AuthenticationFailed; .* renew the Secret"):
        classify(error, target="data/a.csv")


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"ETag": None}, "MissingEtag"),
        ({"ETag": '"\xff"'}, "BadHeader"),
        ({"Last-Modified": None}, "MissingLastModified"),
        ({"Last-Modified": "redirect"}, "InvalidLastModified"),
        ({"Content-Length": None, "Transfer-Encoding": "chunked"}, "MissingContentLength"),
        ({"Content-Length": "many"}, "ContentLengthInvalid"),
        ({"Content-Length": "9" * 40}, "ContentLengthInvalid"),
        ({"Content-Range": None}, "NoContentRange"),
        ({"Content-Range": "bytes \xff"}, "InvalidContentRange"),
        ({"Content-Range": "bytes a-b/redirect"}, "ParseContentRange"),
        ({"Content-Range": "bytes 1-3/4"}, "UnexpectedRange"),
    ],
)
def test_response_with_wrong_headers_is_not_from_storage(
    server: BlobServer, headers: Mapping[str, str | None], problem: str
) -> None:
    server.fail("raw", raw=part(headers))
    error = failure_of(server, lambda client: obstore.get(client, "a.csv", options={"range": {"offset": 0}}))
    with pytest.raises(ConfigurationInvalid, match=rf"not one of Blob Storage \({problem}\); correct the account URL"):
        classify(error, target="data/a.csv")


def test_response_to_a_write_without_etag_is_not_from_storage(server: BlobServer) -> None:
    server.fail("status", status=200)
    error = failure_of(server, lambda client: obstore.put(client, "a.csv", b"x", use_multipart=False))
    with pytest.raises(ConfigurationInvalid, match=r"not one of Blob Storage \(MissingEtag\)"):
        classify(error, target="data/a.csv")


def test_metadata_that_is_not_ascii_is_permanent(server: BlobServer) -> None:
    server.put(BLOB, b"x", **{"x-ms-meta-owner": "\xe4"})
    with pytest.raises(ConfigurationInvalid, match="metadata x-ms-meta-owner that is not ASCII; remove it"):
        classify(failure_of(server), target="data/a.csv")


def test_property_that_is_not_ascii_is_permanent(server: BlobServer) -> None:
    server.put(BLOB, b"x", **{"Content-Disposition": "\xe4"})
    with pytest.raises(ConfigurationInvalid, match="a property ContentDisposition that is not ASCII; remove it"):
        classify(failure_of(server), target="data/a.csv")


@pytest.mark.parametrize("name", ["a//b", "a/../b", "a\nb"])
def test_name_that_obstore_does_not_accept_is_permanent(server: BlobServer, name: str) -> None:
    error = failure_of(server, lambda client: obstore.get(client, name))
    with pytest.raises(ConfigurationInvalid, match="obstore does not accept this name"):
        classify(error, target="data/x")


def test_invalid_listing_is_permanent(server: BlobServer) -> None:
    server.fail("status", status=200)
    with pytest.raises(ConfigurationInvalid, match=r"not one of Blob Storage \(InvalidListResponse\); correct the"):
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


@pytest.fixture
def identity(server: BlobServer, tmp_path: Path) -> dict[str, str]:
    """Return a workload identity whose platform is the server."""
    (tmp_path / "token").write_text("assertion")
    return {
        "credential_type": "workload_identity",
        "client_id": "c",
        "tenant_id": "t",
        "federated_token_file": str(tmp_path / "token"),
        "authority_host": server.url,
    }


@pytest.mark.fault("F30")
def test_rejected_token_request_is_not_a_response_of_storage(server: BlobServer, identity: dict[str, str]) -> None:
    server.fail("raw", raw=response("401 Unauthorized", b'{"error_description":"AADSTS700213: <Code>SomeCode</Code>"}'))
    error = error_of(lambda: obstore.get(client_of(server.url, **identity), "a.csv"))
    assert http_status(error) is None
    failure = classify(error, target="x")
    assert isinstance(failure.error, IdentityUnavailable)
    assert "(AADSTS700213)" in str(failure.error)


def test_identity_platform_that_cannot_be_reached_is_retryable(server: BlobServer, identity: dict[str, str]) -> None:
    config = identity | {"authority_host": "http://127.0.0.1:9/AADSTS90002"}
    failure = classify(error_of(lambda: obstore.get(client_of(server.url, **config), "a.csv")), target="x")
    assert str(failure.error) == (
        "there is no token for the storage account (Connection refused); check AZURE_AUTHORITY_HOST, the proxy and "
        "the network"
    )


def test_unreadable_token_file_is_permanent(server: BlobServer, identity: dict[str, str]) -> None:
    config = identity | {"federated_token_file": "/nonexistent"}
    error = error_of(lambda: obstore.get(client_of(server.url, **config), "a.csv"))
    with pytest.raises(IdentityUnavailable, match=r"azure\.workload\.identity/use=true"):
        classify(error, target="x")


def test_large_text_is_classified_quickly() -> None:
    def seconds_to_classify() -> float:
        began = time.monotonic()
        body = "<Code>" + "A" * 5_000_000
        debug = f'Generic {{\n    inner: Status {{\n        body: Some(\n            "{body}",'
        classify(GenericError(f"{body}\n\nDebug source:\n{debug}"), target="x")
        return time.monotonic() - began

    assert shortest(seconds_to_classify, 1) < 1
