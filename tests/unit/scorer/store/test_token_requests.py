"""Tests of the requests of both stores on Azure for a token: their errors are those of the identity, not of storage."""

import gc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device_scorer.errors import ConfigurationInvalid, DeviceError, IdentityUnavailable
from device_scorer.settings import read_settings
from device_scorer.store.factory import open_scoring_store, open_store
from localcluster.kubernetes.certificates import CertificateAuthority
from tests.testkit.blob_server import SAS, BlobServer, serving
from tests.testkit.hostile_responses import ENDLESS, HOSTILE, PAGE, response
from tests.testkit.retry_policies import ONE_ATTEMPT
from tests.testkit.tls import Tls

ASSERTION = "assertion-canary-0123456789"
JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html"}
NEXT_STEP = "check AZURE_AUTHORITY_HOST, the proxy and the network"
TRANSIENT = {
    "page of a portal": (response(body=PAGE, headers=HTML), "invalid response"),
    "no token": (response(body=b"{}", headers=JSON), "invalid response"),
    "garbage": (HOSTILE["garbage"]["raw"], ""),
    "nothing": (b"", ""),
    "cut body": (response(body=b'{"a', headers={**JSON, "Content-Length": "100"}), ""),
    "cut chunk": (response(body=b'19\r\n{"a', headers={**JSON, **ENDLESS}), ""),
    "redirect": (response("302 Found"), ""),
    "rejection without a code": (response("400 Bad Request", b'{"error":"invalid"}', JSON), "status 400"),
    "rejection by a page": (response("403 Forbidden", PAGE, HTML), ""),
    "wrong authority": (response("404 Not Found", PAGE), "status 404"),
    "busy": (response("503 Busy", PAGE), "status 503"),
    "busy with a text of json": (response("503 Busy", b'{"error":{"code":"ServerBusy"}}', JSON), "status 503"),
    "page in no encoding": (response(body=b"\xff\xfe", headers=JSON), ""),
    "throttled": (response("429 Slow down", PAGE, {"Retry-After": "1"}), "status 429"),
}
"""The responses to a request for a token that a retry may change, with the cause in the text."""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls.issue(CertificateAuthority(tmp_path_factory.mktemp("tls"), "authority").create(), "127.0.0.1")


@pytest.fixture
def platform(tls: Tls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BlobServer]:
    """Return a server whose faults are the responses of the identity platform."""
    (tmp_path / "token").write_text(ASSERTION)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    with serving(tls=tls) as running:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", running.url.removesuffix("/account"))
        yield running


@pytest.fixture(params=["sdk", "obstore"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def error_of(url: str, library: str, **environment: str) -> DeviceError:
    environment = {"FLEETSCORE_AUTH": "workloadIdentity", "FLEETSCORE_ACCOUNT_URL": url, **environment}
    opener = {"sdk": open_store, "obstore": open_scoring_store}[library]
    with closing(opener(read_settings(environment), ONE_ATTEMPT)) as store, pytest.raises(DeviceError) as raised:
        store.read("predictions", "AADSTS90033.csv")
    return raised.value


@pytest.mark.fault("F30", "T13")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the SDK closes no connection of a foreign response
def test_failed_token_request_is_one_of_the_identity_with_the_next_step(platform: BlobServer, library: str) -> None:
    for kind, (raw, cause) in TRANSIENT.items():
        platform.faults.clear()
        platform.fail("raw", raw=raw)
        error = error_of("https://127.0.0.1:9/account", library)
        assert isinstance(error, IdentityUnavailable), kind
        assert f"there is no token for the storage account ({cause}" in str(error), kind
        assert f"); {NEXT_STEP} (1 attempt" in str(error), kind
        assert ASSERTION not in str(error)
    gc.collect()


@pytest.mark.parametrize("content", [None, b"\xff\xfe\0abc"])
def test_token_file_that_cannot_be_read_has_its_own_cure(
    platform: BlobServer, library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "file"))
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    error = error_of(platform.url, library)
    assert isinstance(error, IdentityUnavailable)
    assert "(AZURE_FEDERATED_TOKEN_FILE) cannot be read; label the pod" in str(error)


@pytest.mark.fault("F30")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # as above
def test_token_response_that_the_library_cannot_parse_is_one_of_the_identity(
    platform: BlobServer, library: str
) -> None:
    platform.fail("raw", **HOSTILE["length that is text"])
    error = error_of(platform.url, library)
    assert isinstance(error, IdentityUnavailable)
    assert NEXT_STEP in str(error)
    gc.collect()


@pytest.mark.fault("F30")
def test_identity_platform_without_a_connection_is_one_of_the_identity(
    platform: BlobServer, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://127.0.0.1:9")
    error = error_of(platform.url, library)
    assert isinstance(error, IdentityUnavailable)
    assert f"(Connection refused); {NEXT_STEP}" in str(error)


@pytest.mark.fault("F30", "T13")
def test_token_that_no_header_can_have_is_one_of_the_identity(
    platform: BlobServer, library: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text = b'{"access_token":"%s\\n x","expires_in":3600,"token_type":"Bearer"}' % ASSERTION.encode()
    platform.fail("raw", method="POST", raw=response(body=text, headers=JSON))
    error = error_of(platform.url, library)
    assert isinstance(error, IdentityUnavailable)
    assert f"(InvalidHeader); {NEXT_STEP}" in str(error)
    assert ASSERTION not in f"{error}{capfd.readouterr()}"


def test_proxy_before_the_identity_platform_that_requires_a_login_is_permanent(
    platform: BlobServer, library: str
) -> None:
    platform.fail("raw", raw=response("407 Proxy Authentication Required"))
    error = error_of(platform.url, library)
    assert isinstance(error, ConfigurationInvalid)
    assert "407; the proxy requires a login" in str(error)


@pytest.mark.fault("F30")
def test_code_of_the_identity_platform_has_its_own_cure(platform: BlobServer, library: str) -> None:
    platform.fail("raw", raw=response("400 Bad Request", b'{"error_description":"AADSTS90002: text"}', JSON))
    assert str(error_of(platform.url, library)).startswith(
        "there is no token for the storage account (AADSTS90002); the tenant does not exist"
    )


@pytest.mark.fault("F30")
def test_code_in_a_text_of_storage_is_not_one_of_the_identity_platform(platform: BlobServer, library: str) -> None:
    text = b"<Error><Code>AuthenticationFailed</Code><Message>AADSTS90033</Message></Error>"
    platform.fail("raw", raw=response("403 Forbidden", text, {"x-ms-error-code": "AuthenticationFailed"}))
    error = error_of(platform.url, library, FLEETSCORE_AUTH="sas", AZURE_STORAGE_SAS_TOKEN=SAS)
    assert isinstance(error, IdentityUnavailable)
    assert str(error).startswith("storage rejected predictions/AADSTS90033.csv: 403 AuthenticationFailed; ")
