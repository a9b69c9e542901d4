"""Tests of the client of Azure's SDK."""

import logging
from pathlib import Path

import pytest
from azure.core.exceptions import DecodeError
from azure.core.pipeline.policies import ContentDecodePolicy

from device_scorer.errors import UsageInvalid
from device_scorer.store import azure_client
from device_scorer.store.account import Account, WorkloadIdentity
from device_scorer.store.azure_client import create_service
from device_scorer.store.retry import RetryPolicy

SAS_ACCOUNT = Account("https://acc.blob.core.windows.net", "acc", sas_token="sig=x")
IDENTITY_ACCOUNT = SAS_ACCOUNT._replace(sas_token="", identity=WorkloadIdentity("client", "tenant", "/token"))


def test_download_has_ranges_of_4_mib_and_an_upload_of_512_mib_is_one_request() -> None:
    assert (azure_client.CHUNK_BYTES, azure_client.MAX_SINGLE_PUT_BYTES) == (4_194_304, 536_870_912)


def test_loggers_of_the_sdk_write_no_lines(caplog: pytest.LogCaptureFixture) -> None:
    create_service(SAS_ACCOUNT, RetryPolicy()).close()
    with pytest.raises(DecodeError):
        ContentDecodePolicy.deserialize_from_text("<html>log in", "application/xml")
    for name in ("azure.core", "msal.oauth2cli", "urllib3.connectionpool"):
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)
    assert caplog.records == []


@pytest.mark.parametrize("account", [SAS_ACCOUNT, IDENTITY_ACCOUNT])
@pytest.mark.parametrize(
    ("content", "problem"), [(None, "No such file or directory"), ("text", "NO_CERTIFICATE_OR_CRL_FOUND")]
)
def test_ca_bundle_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, account: Account, content: str | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with pytest.raises(UsageInvalid, match=rf"REQUESTS_CA_BUNDLE .* is invalid: .*/ca\.pem: {problem}; name a file of"):
        create_service(account, RetryPolicy())


def test_ca_bundle_is_not_read_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    create_service(SAS_ACCOUNT._replace(endpoint="http://127.0.0.1:1/acc"), RetryPolicy()).close()


def test_ca_bundle_may_be_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    create_service(SAS_ACCOUNT, RetryPolicy()).close()
