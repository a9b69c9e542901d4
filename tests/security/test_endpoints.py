"""T7: a storage endpoint that means harm gets no credential that was not meant for it, of either program."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.identity import WorkloadIdentityCredential

from device_scorer import settings as scorer_settings
from device_scorer.errors import ScorerError
from device_scorer.store.factory import open_store
from scoring_operator.api.fleets import ExistingSecret, StorageSettings
from scoring_operator.errors import StorageError
from scoring_operator.storage.account import BlobAccount
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.retry_policies import ONE_ATTEMPT
from tests.testkit.tls import Tls

CANARY = "canary0123456789"
SAS = f"sv=2023-11-03&sig={CANARY}"


@dataclass
class Endpoint:
    """A server that notes all that it is sent, and answers with a redirect, or that there is nothing."""

    url: str = ""
    redirect_to: str = ""
    requests: list[str] = field(default_factory=list)


class _Handler(RequestHandler):
    endpoint: Endpoint

    def handle_request(self) -> None:
        self.endpoint.requests.append(f"{self.path} {self.headers}")
        if self.endpoint.redirect_to:
            self.respond(307, headers={"Location": f"{self.endpoint.redirect_to}{self.path}"})
        else:
            self.respond(404)


@contextmanager
def serving(host: str, tls: Tls | None) -> Iterator[Endpoint]:
    endpoint = Endpoint()
    with serve(_Handler, host=host, tls=tls, endpoint=endpoint) as endpoint.url:
        yield endpoint


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Return an authority's file, and a server's certificate and key for two addresses."""
    return Tls.create(tmp_path_factory.mktemp("authority"), "127.0.0.1", "127.0.0.2")


@pytest.fixture
def identity(tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set the environment of a workload identity that has a token, and the trust in the test's authority."""
    token = base64.urlsafe_b64encode(json.dumps({"is": CANARY}).encode()).decode()
    (tmp_path / "token").write_text("assertion")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
    given = AccessToken(f"{token}.{CANARY}", int(time.time()) + 3600)
    monkeypatch.setattr(WorkloadIdentityCredential, "get_token", lambda *_, **__: given)
    monkeypatch.setattr(WorkloadIdentityCredential, "get_token_info", lambda *_, **__: given, raising=False)
    return monkeypatch


def operator_reads(url: str, auth: str) -> None:
    secret = ExistingSecret("fleet-storage", key="sas", kind="sas") if auth == "sas" else None
    with suppress(StorageError):
        account = BlobAccount(StorageSettings(account_url=url, existing_secret=secret), SAS if secret else None)
        with closing(account):
            account.read("predictions", "record.json", 99)


def scorer_reads(url: str, auth: str) -> None:
    environment = {"FLEETSCORE_ACCOUNT_URL": url, "FLEETSCORE_AUTH": auth, "AZURE_STORAGE_SAS_TOKEN": SAS}
    settings = scorer_settings.read_settings(environment)
    with suppress(ScorerError), closing(open_store(settings, ONE_ATTEMPT)) as store:
        store.read("models", "press-1.joblib")


READERS = pytest.mark.parametrize("read", [operator_reads, scorer_reads])


@pytest.mark.slow
@pytest.mark.fault("T7")
@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("auth", ["workloadIdentity", "sas"])
@READERS
def test_redirect_to_another_host_carries_no_credential(read: Callable[[str, str], None], auth: str, tls: Tls) -> None:
    with serving("127.0.0.1", tls) as ours, serving("127.0.0.2", tls) as theirs:
        ours.redirect_to = theirs.url
        read(ours.url, auth)
        assert CANARY in ours.requests[0]
        assert CANARY not in "".join(theirs.requests)


@pytest.mark.fault("T7")
@pytest.mark.usefixtures("identity")
@READERS
def test_token_is_not_sent_over_plain_http(read: Callable[[str, str], None]) -> None:
    with serving("127.0.0.1", None) as plain:
        read(plain.url, "workloadIdentity")
        assert plain.requests == []
