"""The connection to an API server that is slow, busy or another server, and objects that are damaged."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetscore.cluster.connection import TIMEOUT_SECONDS, Cluster
from fleetscore.contract.fleets import SecretReference
from fleetscore.errors import ClusterUnavailable, DataInvalid, NotFound
from tests.testkit.fake_release import OPERATOR, SECRET, FakeRelease
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.kubeconfigs import write_kubeconfig
from tests.testkit.waiting import until


class _Handler(RequestHandler):
    status: int
    headers_: dict[str, str]
    requests: list[str]
    silent: threading.Event | None

    def handle_request(self) -> None:
        self.read_body()
        self.requests.append(f"{self.command} {self.headers.get('Authorization')}")
        if self.silent:
            self.silent.wait(300)
            self.close_connection = True
        else:
            self.respond_json(self.status, {"kind": "Status", "message": "busy"}, self.headers_)


@contextmanager
def connected(
    folder: Path, timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS, **state: Any
) -> Iterator[tuple[Cluster, list[str]]]:
    requests: list[str] = []
    with serve(_Handler, **{"status": 200, "headers_": {}, "silent": None, **state}, requests=requests) as url:
        write_kubeconfig(folder, url, namespace="plant")
        yield Cluster.connect(timeout_seconds=timeout_seconds), requests


@pytest.fixture(autouse=True)
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


def test_silent_server_costs_two_attempts(tmp_path: Path) -> None:
    assert TIMEOUT_SECONDS == (5, 30)
    closing = threading.Event()
    with connected(tmp_path, (5, 0.2), silent=closing) as (cluster, requests):
        with pytest.raises(ClusterUnavailable, match="accepts connections, but does not answer in time"):
            list(cluster.runs())
        until(lambda: len(requests) >= 2, "the server has read both requests")
        closing.set()
        assert len(requests) == 2


def test_busy_server_cannot_ask_for_a_long_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waits.append)
    with connected(tmp_path, status=429, headers_={"Retry-After": "3600"}) as (cluster, requests):
        with pytest.raises(ClusterUnavailable, match="answered 429 Too Many Requests: busy; try again"):
            list(cluster.runs())
        assert 1 < len(requests) <= 4
    assert max(waits) <= 5


def test_redirect_gets_no_second_request(tmp_path: Path) -> None:
    with (
        connected(tmp_path, status=302, headers_={"Location": "/login"}) as (cluster, requests),
        pytest.raises(ClusterUnavailable, match="answered 302"),
    ):
        cluster.run("x")
    assert requests == ["GET Bearer t"]


def test_run_is_not_created_by_another_server(tmp_path: Path) -> None:
    with (
        connected(tmp_path) as (cluster, requests),
        pytest.raises(ClusterUnavailable, match="is not an API server"),
    ):
        cluster.create_run({"metadata": {"name": "x"}, "spec": {}})
    assert requests == ["POST Bearer t"]


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        ({}, NotFound, "has no key token; set it, the Secret has none"),
        ({"token": "%"}, DataInvalid, "is not a text; copy the credential into it again"),
        ({"token": base64.b64encode(b"\xff").decode()}, DataInvalid, "is not a text"),
    ],
    ids=["no-key", "not-base64", "not-text"],
)
def test_unusable_secret_is_named(
    fake_release: FakeRelease, data: dict[str, str], kind: type[Exception], text: str
) -> None:
    fake_release.objects[SECRET] = {"metadata": {"name": "account"}, "data": data}
    with pytest.raises(kind, match=text):
        Cluster.connect().secret_value(SecretReference("account", "token"))


@pytest.mark.parametrize(
    "text", ["a: [", "- [" * 2000, "x: 2024-99-99", "fleets: 1"], ids=["yaml", "deep", "date", "no-list"]
)
def test_damaged_fleets_file_is_an_error(fake_release: FakeRelease, text: str) -> None:
    damaged = {"metadata": {"namespace": "scoring", "name": "f", "labels": OPERATOR}, "data": {"fleets.yaml": text}}
    fake_release.lists["/api/v1/configmaps"][0] = damaged
    with pytest.raises(DataInvalid, match="the fleets file is invalid"):
        Cluster.connect().fleets()


@pytest.mark.parametrize("named", ["", None], ids=["empty-variable", "no-variable"])
@pytest.mark.parametrize("has_file", [True, False])
def test_pod_uses_its_account_only_without_a_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, *, has_file: bool
) -> None:
    monkeypatch.delenv("KUBECONFIG")
    if named is not None:
        monkeypatch.setenv("KUBECONFIG", named)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(
        "kubernetes.config.load_incluster_config", lambda settings: setattr(settings, "host", "https://10.0.0.1")
    )
    if has_file:
        (tmp_path / ".kube").mkdir()
        write_kubeconfig(tmp_path, "https://file").rename(tmp_path / ".kube/config")
    expected = "https://file" if has_file else "https://10.0.0.1"
    assert Cluster.connect(namespace="scoring").server == expected
