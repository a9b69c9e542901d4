"""Requests to Azurite and its connection string; tests/images/test_azurite.py runs the real one."""

import base64
from pathlib import Path
from typing import Any

import pytest

from localcluster.addons.azurite import ACCOUNT, Azurite, OAuth
from localcluster.errors import ClusterError
from tests.testkit.http_server import RequestHandler, serve

KEY = base64.b64encode(b"key").decode()


class AccountHandler(RequestHandler):
    """An account that responds with one status and records the requests."""

    status: int
    requests: list[tuple[str, str, str]]

    def handle_request(self) -> None:
        self.requests.append((self.command, self.path, self.headers["Authorization"]))
        self.respond(self.status)


def an_azurite(folder: Path, url: str) -> Azurite:
    host, _, port = url.removeprefix("http://").partition(":")
    return Azurite(folder, host, int(port), KEY)


def test_connection_string_has_the_address_and_the_key_of_the_account(tmp_path: Path) -> None:
    found = Azurite(tmp_path, "127.0.0.1", 10000, KEY).connection_string
    assert dict(part.split("=", 1) for part in found.rstrip(";").split(";")) == {
        "DefaultEndpointsProtocol": "http",
        "AccountName": ACCOUNT,
        "AccountKey": KEY,
        "BlobEndpoint": f"http://127.0.0.1:10000/{ACCOUNT}",
    }


def test_account_with_bearer_tokens_has_an_https_address(tmp_path: Path) -> None:
    oauth = OAuth(tmp_path / "certificate", tmp_path / "key")
    found = Azurite(tmp_path, "127.0.0.1", 10000, KEY, oauth)
    assert found.url.startswith("https://")
    assert found.connection_string.startswith("DefaultEndpointsProtocol=https;")


def test_requests_are_signed_with_the_key_of_the_account(tmp_path: Path) -> None:
    requests: list[Any] = []
    with serve(AccountHandler, status=201, requests=requests) as url:
        an_azurite(tmp_path, url).create_container("models")
    ((method, path, authorization),) = requests
    assert (method, path) == ("PUT", f"/{ACCOUNT}/models?restype=container")
    assert authorization.startswith(f"SharedKey {ACCOUNT}:")


@pytest.mark.parametrize("status", [201, 409])
def test_container_that_exists_is_kept(tmp_path: Path, status: int) -> None:
    with serve(AccountHandler, status=status, requests=[]) as url:
        an_azurite(tmp_path, url).create_container("models")


def test_container_that_is_not_created_is_an_error_with_the_log(tmp_path: Path) -> None:
    with (
        serve(AccountHandler, status=500, requests=[]) as url,
        pytest.raises(ClusterError, match=r"did not create the container models \(status 500\); see .*azurite"),
    ):
        an_azurite(tmp_path, url).create_container("models")


def test_folder_of_an_azurite_is_opened_while_it_responds(tmp_path: Path) -> None:
    assert Azurite.open(tmp_path) is None
    with serve(AccountHandler, status=403, requests=[]) as url:
        running = an_azurite(tmp_path, url)
        (tmp_path / "address").write_text(f"{running.host} {running.port}")
        (tmp_path / "key").write_text(KEY)
        assert Azurite.open(tmp_path) == running
    assert Azurite.open(tmp_path) is None
