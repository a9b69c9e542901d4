"""The fields of a kubeconfig's user that the package kubernetes ignores."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetscore.cluster.connection import Cluster
from fleetscore.errors import UsageInvalid
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.kubeconfigs import write_kubeconfig

WINDOW = {"start": "2018-08-28T23:00:00Z", "end": "2018-08-29T00:00:00Z"}
RUN = {"metadata": {"name": "x"}, "spec": {"window": WINDOW}}


class _Handler(RequestHandler):
    requests: list[list[tuple[str, str]]]

    def handle_request(self) -> None:
        self.read_body()
        self.requests.append(
            [(name.title(), value) for name, value in self.headers.items() if name.lower().startswith(("imp", "aut"))]
        )
        self.respond_json(200, RUN)


@contextmanager
def connected(
    folder: Path, monkeypatch: pytest.MonkeyPatch, user: dict[str, Any]
) -> Iterator[tuple[Cluster, list[list[tuple[str, str]]]]]:
    requests: list[list[tuple[str, str]]] = []
    with serve(_Handler, requests=requests) as url:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(folder, url, user=user)))
        yield Cluster.connect(), requests


def test_each_request_has_the_impersonation_of_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = {"token": "t", "as": "me", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"Scopes/x": ["v", "w"]}}
    with connected(tmp_path, monkeypatch, user) as (cluster, requests):
        cluster.run("x")
        cluster.create_run(RUN)
        cluster.patch_run("x", {"cancel": True})
    expected = [
        ("Authorization", "Bearer t"),
        ("Impersonate-Extra-Scopes%2Fx", "v"),
        ("Impersonate-Extra-Scopes%2Fx", "w"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-User", "me"),
    ]
    assert [sorted(one) for one in requests] == [expected] * 3


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"as-groups": ["a"]}, "lacks `as`; add it"),
        ({"as": "me\nX-Other: 1"}, "its value for Impersonate-User is not a text of visible characters"),
        ({"as": 7}, "its value for Impersonate-User is not a text"),
        ({"as": "me", "as-groups": "admins"}, "as-groups and the values of as-user-extra must be lists"),
        ({"as": "me", "as-user-extra": {"a": "b"}}, "must be lists"),
        ({"as": "me", "as-user-extra": ["a"]}, "has the wrong type"),
    ],
    ids=["no-user", "line-break", "number", "groups-no-list", "extra-no-list", "extra-no-mapping"],
)
def test_invalid_impersonation_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageInvalid, match=text), connected(tmp_path, monkeypatch, {"token": "t", **fields}):
        pass


def test_user_of_a_later_file_of_several_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[list[tuple[str, str]]] = []
    (tmp_path / "other").mkdir()
    with serve(_Handler, requests=requests) as url:
        first = write_kubeconfig(tmp_path, url)
        second = write_kubeconfig(tmp_path / "other", url, user={"token": "u", "as": "me"})
        first.write_text(first.read_text().replace("users:", "user_s:"))
        monkeypatch.setenv("KUBECONFIG", f"{first}:{second}")
        Cluster.connect().run("x")
    assert ("Impersonate-User", "me") in requests[0]


def test_replaced_token_file_is_used_and_a_damaged_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    with connected(tmp_path, monkeypatch, {"tokenFile": "token"}) as (cluster, requests):
        for content in (b"one", b"two\n", b"", b"a\nb", b"\xff", "\u00e9".encode()):
            token.write_bytes(content)
            cluster.run("x")
        token.unlink()
        cluster.run("x")
    assert requests == [[("Authorization", f"Bearer {text}")] for text in ("one", *["two"] * 6)]


@pytest.mark.parametrize("own", ["", "own"])
def test_token_file_precedes_the_token_as_in_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    (tmp_path / "token").write_text("file")
    with connected(tmp_path, monkeypatch, {"token": own, "tokenFile": "token"}) as (cluster, requests):
        cluster.run("x")
    assert requests == [[("Authorization", "Bearer file")]]
