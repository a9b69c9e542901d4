"""T7: a storage endpoint that means harm gets no credential that was not meant for it, of either program."""

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.identity import WorkloadIdentityCredential

from device_scorer import settings as scorer_settings
from device_scorer.errors import ScorerError
from device_scorer.store.factory import open_store
from localcluster.certificates import Authority
from scoring_operator.api.fleets import ExistingSecret, StorageSettings
from scoring_operator.errors import StorageError
from scoring_operator.storage.account import Account

CANARY = "canary0123456789"
SAS = f"sv=2023-11-03&sig={CANARY}"


@dataclass
class Endpoint:
    """A server that notes all that it is sent, and answers with a redirect, or that there is nothing."""

    url: str = ""
    to: str = ""
    heard: list[str] = field(default_factory=list)


@contextmanager
def serving(host: str, certificate: tuple[Path, Path] | None) -> Iterator[Endpoint]:
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            endpoint.heard.append(f"{self.path} {self.headers}")
            self.send_response(307 if endpoint.to else 404)
            if endpoint.to:
                self.send_header("Location", f"{endpoint.to}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    endpoint.url = f"{'https' if certificate else 'http'}://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """An authority's file, and a server's certificate and key for two addresses."""
    authority = Authority(tmp_path_factory.mktemp("authority"), "test").create()
    return authority.certificate, *authority.issue("server", "storage", names=["127.0.0.1", "127.0.0.2"])


@pytest.fixture
def identity(
    certificate: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """A workload identity that has got its token, and trust in the test's authority."""
    token = base64.urlsafe_b64encode(json.dumps({"is": CANARY}).encode()).decode()
    (tmp_path / "token").write_text("assertion")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    given = AccessToken(f"{token}.{CANARY}", int(time.time()) + 3600)
    monkeypatch.setattr(WorkloadIdentityCredential, "get_token", lambda *_, **__: given)
    monkeypatch.setattr(WorkloadIdentityCredential, "get_token_info", lambda *_, **__: given, raising=False)
    return monkeypatch


def operator_reads(url: str, auth: str) -> None:
    secret = ExistingSecret("fleet-storage", key="sas", kind="sas") if auth == "sas" else None
    with suppress(StorageError):
        account = Account(StorageSettings(account_url=url, existing_secret=secret), SAS if secret else None)
        with closing(account):
            account.read("predictions", "record.json", 99)


def scorer_reads(url: str, auth: str) -> None:
    environment = {"FLEETSCORE_ACCOUNT_URL": url, "FLEETSCORE_AUTH": auth, "AZURE_STORAGE_SAS_TOKEN": SAS}
    with suppress(ScorerError), closing(open_store(scorer_settings.read(environment))) as store:
        store.until(time.monotonic() + 3).read("models", "press-1.joblib")


READERS = pytest.mark.parametrize("read", [operator_reads, scorer_reads])


@pytest.mark.walk
@pytest.mark.fault("T7")
@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("auth", ["workloadIdentity", "sas"])
@READERS
def test_a_redirect_to_another_host_goes_without_the_credential(
    read: Callable[[str, str], None], auth: str, certificate: tuple[Path, Path, Path]
) -> None:
    with serving("127.0.0.1", certificate[1:]) as ours, serving("127.0.0.2", certificate[1:]) as theirs:
        ours.to = theirs.url
        read(ours.url, auth)
        assert CANARY in ours.heard[0]
        assert CANARY not in "".join(theirs.heard)


@pytest.mark.fault("T7")
@pytest.mark.usefixtures("identity")
@READERS
def test_no_token_goes_over_plain_http(read: Callable[[str, str], None]) -> None:
    with serving("127.0.0.1", None) as plain:
        read(plain.url, "workloadIdentity")
        assert plain.heard == []
