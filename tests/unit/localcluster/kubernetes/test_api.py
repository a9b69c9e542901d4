import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster.kubernetes.api import ApiClient, ApiError
from localcluster.kubernetes.certificates import CertificateAuthority
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.tls import Tls


class ApiHandler(RequestHandler):
    """An API server that responds with one status and document, and records the requests."""

    response: tuple[int, bytes]
    requests: list[tuple[str, str, Any]]

    def handle_request(self) -> None:
        body = self.read_body()
        self.requests.append((self.command, self.path, json.loads(body) if body else None))
        self.respond(*self.response)


class Api:
    """A client, and the server that it talks to."""

    def __init__(self, client: ApiClient, handler: type[ApiHandler]) -> None:
        self.client = client
        self.handler = handler

    def will_respond(self, status: int, content: bytes) -> None:
        self.handler.response = (status, content)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    authority = CertificateAuthority(tmp_path, "ca").create()
    certificate, key = authority.issue("admin", "admin")
    handler = type("Handler", (ApiHandler,), {"response": (200, b"{}"), "requests": []})
    with serve(handler, tls=Tls.issue(authority, "127.0.0.1")) as url:
        yield Api(ApiClient(url, ca=authority.certificate, certificate=certificate, key=key), handler)


def test_request_sends_an_object_and_returns_the_object_of_the_response(api: Api) -> None:
    api.will_respond(201, b'{"status": {"token": "t"}}')
    assert api.client.request("POST", "/api/v1/things", {"kind": "Thing"}) == {"status": {"token": "t"}}
    assert api.handler.requests == [("POST", "/api/v1/things", {"kind": "Thing"})]


def test_response_without_an_object_is_an_empty_mapping(api: Api) -> None:
    api.will_respond(200, b"ok")
    assert api.client.request("GET", "/readyz") == {}


def test_error_response_is_raised_with_its_status_and_text(api: Api) -> None:
    api.will_respond(403, b"forbidden\n")
    with pytest.raises(ApiError, match="DELETE /api/v1/things/a: 403 forbidden") as caught:
        api.client.request("DELETE", "/api/v1/things/a")
    assert caught.value.status == 403


@pytest.mark.parametrize("status", [201, 409])
def test_creation_keeps_an_object_that_exists(api: Api, status: int) -> None:
    api.will_respond(status, b"{}")
    api.client.create("/api/v1/things", {"kind": "Thing"})
    assert len(api.handler.requests) == 1


def test_creation_that_is_rejected_is_raised(api: Api) -> None:
    api.will_respond(422, b"invalid")
    with pytest.raises(ApiError, match="422 invalid"):
        api.client.create("/api/v1/things", {})


@pytest.mark.parametrize(("status", "responds"), [(200, True), (404, False), (500, False)])
def test_server_responds_only_if_a_get_succeeds(
    api: Api,
    status: int,
    responds: bool,  # noqa: FBT001  a table's column
) -> None:
    api.will_respond(status, b"")
    assert api.client.responds("/readyz") is responds


def test_server_that_does_not_listen_does_not_respond(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, "ca").create()
    certificate, key = authority.issue("admin", "admin")
    client = ApiClient("https://127.0.0.1:9", ca=authority.certificate, certificate=certificate, key=key)
    assert not client.responds("/readyz")
