"""Tests of both stores on Azure with a server whose certificate is not trusted, or is that of another host."""

from contextlib import closing
from pathlib import Path

import pytest

from device_scorer.errors import StorageUnavailable
from device_scorer.settings import read_settings
from device_scorer.store.factory import open_scoring_store, open_store
from localcluster.kubernetes.certificates import CertificateAuthority
from tests.testkit.blob_server import SAS, serving
from tests.testkit.retry_policies import ONE_ATTEMPT
from tests.testkit.tls import Tls


@pytest.mark.parametrize("library", ["sdk", "obstore"])
@pytest.mark.parametrize(
    ("host", "trusted", "text"),
    [
        ("127.0.0.1", False, "not trusted (UnknownIssuer); name the authority's file in REQUESTS_CA_BUNDLE"),
        ("other.invalid", True, "not valid (NotValidForName); replace it, or correct the account URL"),
    ],
)
def test_certificate_that_is_not_accepted_has_its_own_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, host: str, text: str, *, trusted: bool
) -> None:
    tls = Tls.issue(CertificateAuthority(tmp_path, "authority").create(), host)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.authority))
    opener = {"sdk": open_store, "obstore": open_scoring_store}[library]
    with serving(tls=tls) as server:
        environment = {"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": server.url, "AZURE_STORAGE_SAS_TOKEN": SAS}
        with (
            closing(opener(read_settings(environment), ONE_ATTEMPT)) as store,
            pytest.raises(StorageUnavailable) as raised,
        ):
            store.read("predictions", "p.csv")
    assert f"storage cannot be reached for predictions/p.csv: its certificate is {text}" in str(raised.value)
