"""Tests of both stores on Azure behind an HTTP proxy that opens tunnels to HTTPS servers."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device_scorer.errors import ConfigurationInvalid, StorageUnavailable
from device_scorer.settings import read_settings
from device_scorer.store.base import Blob
from device_scorer.store.factory import open_scoring_store, open_store
from device_scorer.store.retry import DEFAULT_RETRY_POLICY
from localcluster.kubernetes.certificates import CertificateAuthority
from tests.testkit.blob_server import SAS, BlobServer, serving
from tests.testkit.connect_proxy import ConnectProxy, connect_proxy
from tests.testkit.tls import Tls

PASSWORD = "proxy-canary-0123456789"
LOGIN = f"user:{PASSWORD}"
POLICY = DEFAULT_RETRY_POLICY._replace(max_retry_seconds=1.0, max_unreachable_seconds=0.2)
LOGIN_REQUIRED = "the proxy requires a login: put user and password into HTTPS_PROXY"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls.issue(CertificateAuthority(tmp_path_factory.mktemp("tls"), "authority").create(), "127.0.0.1")


@pytest.fixture
def server(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobServer]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(tls=tls) as running:
        running.put("/account/predictions/p.csv", b"abc")
        yield running


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    with connect_proxy() as running:
        yield running


@pytest.fixture(params=["sdk", "obstore"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def read(url: str, library: str, **environment: str) -> Blob | None:
    sas = {"FLEETSCORE_AUTH": "sas", "AZURE_STORAGE_SAS_TOKEN": SAS}
    opener = {"sdk": open_store, "obstore": open_scoring_store}[library]
    settings = read_settings({"FLEETSCORE_ACCOUNT_URL": url, **(environment or sas)})
    with closing(opener(settings, POLICY)) as store:
        return store.with_deadline(time.monotonic() + 60).read("predictions", "p.csv")


@pytest.mark.parametrize("login", ["", LOGIN])
def test_storage_is_reached_through_a_proxy_with_and_without_a_login(
    server: BlobServer, proxy: ConnectProxy, library: str, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    proxy.login = login
    monkeypatch.setenv("HTTPS_PROXY", proxy.url_with(login) if login else proxy.url)
    blob = read(server.url, library)
    assert blob is not None
    assert blob.content == b"abc"
    assert set(proxy.requests) == {server.url.removeprefix("https://").removesuffix("/account")}


@pytest.mark.fault("T13")
@pytest.mark.parametrize("login", ["", f"user:wrong-{PASSWORD}"])
def test_proxy_that_requires_a_login_is_permanent_with_the_next_step(
    server: BlobServer,
    proxy: ConnectProxy,
    library: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    login: str,
) -> None:
    proxy.login = LOGIN
    monkeypatch.setenv("HTTPS_PROXY", proxy.url_with(login) if login else proxy.url)
    with caplog.at_level("DEBUG"), pytest.raises(ConfigurationInvalid, match=f"p.csv: 407; {LOGIN_REQUIRED}") as raised:
        read(server.url, library)
    assert len(proxy.requests) == 1
    assert PASSWORD not in f"{raised.value} {caplog.text}"


def test_proxy_that_requires_a_login_for_tokens_is_permanent_with_the_next_step(
    server: BlobServer, proxy: ConnectProxy, library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("assertion")
    identity = {"CLIENT_ID": "client", "TENANT_ID": "tenant", "FEDERATED_TOKEN_FILE": str(tmp_path / "token")}
    for name, value in {**identity, "AUTHORITY_HOST": server.url.removesuffix("/account")}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    proxy.login = LOGIN
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(ConfigurationInvalid, match=LOGIN_REQUIRED):
        read(server.url, library, FLEETSCORE_AUTH="workloadIdentity")


@pytest.mark.fault("F27", "T13")
@pytest.mark.parametrize("status", [302, 403, 502])
def test_proxy_that_rejects_the_connection_is_transient_and_named(
    server: BlobServer, proxy: ConnectProxy, library: str, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    proxy.status = status
    monkeypatch.setenv("HTTPS_PROXY", proxy.url_with(LOGIN))
    with pytest.raises(StorageUnavailable, match=r"p\.csv through the proxy: .*rejects.*; check HTTPS_PROXY") as raised:
        read(server.url, library)
    assert PASSWORD not in str(raised.value)


@pytest.mark.fault("F27", "T13")
@pytest.mark.parametrize(
    ("address", "cause"), [("127.0.0.1:9", "Connection refused"), ("no-such-host.invalid:9", "Name or service not")]
)
def test_proxy_that_cannot_be_reached_is_transient_and_named(
    server: BlobServer, library: str, monkeypatch: pytest.MonkeyPatch, address: str, cause: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{LOGIN}@{address}")
    with pytest.raises(StorageUnavailable, match=rf"through the proxy: .*{cause}.*; check HTTPS_PROXY") as raised:
        read(server.url, library)
    assert PASSWORD not in str(raised.value)


@pytest.mark.fault("F27", "T13")
@pytest.mark.parametrize(
    "url", [f"http://{LOGIN}#@127.0.0.1:9", f"https://{LOGIN}@127.0.0.1:PORT", f"socks5://{LOGIN}@127.0.0.1:9", LOGIN]
)
def test_error_of_a_wrong_proxy_names_it_without_its_password(
    server: BlobServer,
    proxy: ConnectProxy,
    library: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    url: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url.replace("PORT", proxy.url.rpartition(":")[2]))
    with (
        caplog.at_level("DEBUG"),
        pytest.raises(StorageUnavailable, match=r"cannot be reached .*HTTPS_PROXY") as raised,
    ):
        read(server.url, library)
    assert PASSWORD not in f"{raised.value} {caplog.text}"


@pytest.mark.fault("F27")
def test_proxy_that_closes_the_connection_is_transient(
    server: BlobServer, proxy: ConnectProxy, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.status = 0
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(StorageUnavailable, match="connection"):
        read(server.url, library)
