"""The causes of faults of storage, and credentials that are invalid without a request."""

from datetime import UTC, datetime

import pytest

from fleetscore.errors import AccessDenied, StorageUnavailable
from fleetscore.store.causes import CAUSES, Cause, cause_of, credential_fault, unreachable

NOW = datetime(2026, 1, 5, tzinfo=UTC)
KEY = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=bm8=;EndpointSuffix=core.windows.net"
SAS = "sv=2024-01-01&ss=b&srt=co&sp=rl&se=2026-01-05T01:00:00Z&sig=c"


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("connectionString", KEY, ""),
        ("sas", SAS, ""),
        ("sas", SAS.replace("2026-01-05T01", "2026-01-04T23"), "the SAS token expired at 2026-01-04T23:00:00Z"),
        ("sas", SAS.replace("2026-01-05T01%3A00%3A00Z", "2026-01-05"), ""),
        ("sas", SAS.replace("2026-01-05T01:00:00Z", "never"), ""),
        ("sas", KEY, "it is a connection string, and the fleet's kind is sas"),
        ("sas", f"https://a.blob.core.windows.net/?{SAS}", "it is a URL, and the fleet's kind is sas"),
        ("connectionString", f"?{SAS}", "it is not a connection string"),
        ("connectionString", "BlobEndpoint=https://a;SharedAccessSignature=se=2020-01-01", "expired at 2020-01-01"),
        ("connectionString", f'"{KEY}"', "it has quotes around it"),
        ("connectionString", "", "it is empty"),
    ],
    ids=[
        "key", "sas", "expired", "ends-tomorrow", "no-date", "key-as-sas", "url-as-sas", "sas-as-key", "expired-in-key",
        "quotes", "empty",
    ],
)  # fmt: skip
def test_credential_with_a_visible_fault_is_named(kind: str, text: str, reason: str) -> None:
    found = credential_fault(kind, text, NOW)
    assert (found is not None and reason in found[0] and bool(found[1])) if reason else found is None


@pytest.mark.parametrize(
    ("status", "code", "variable", "kind", "text"),
    [
        (401, "InvalidAuthenticationInfo", "", AccessDenied, "az login --tenant TENANT"),
        (403, "KeyBasedAuthenticationNotPermitted", "", AccessDenied, "run `az login`"),
        (403, "", "", AccessDenied, "the role Storage Blob Data Contributor"),
        (400, "SomeNewCode", "", StorageUnavailable, "list of Blob Storage error codes"),
        (404, "", "", StorageUnavailable, "check the account URL, the proxy and the VPN"),
        (429, "", "", StorageUnavailable, "try again"),
    ],
    ids=["tenant", "keys", "role", "unknown", "web-server", "busy"],
)
def test_response_has_the_cure_of_its_code(
    status: int, code: str, variable: str, kind: type[Exception], text: str
) -> None:
    found = cause_of(status, code, variable=variable, writes=True)
    assert (found.kind, text in found.cure) == (kind, True)


@pytest.mark.parametrize("cause", [*CAUSES.values(), unreachable("x"), unreachable("ReadTimeout")])
def test_text_of_a_cause_has_one_next_step(cause: Cause) -> None:
    assert cause.cure
    assert ";" not in cause.cure + cause.reason


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        ("ServiceRequestError ConnectionError NameResolutionError", "the host name is unknown"),
        ("ServiceRequestError SSLError CERTIFICATE_VERIFY_FAILED", "its TLS certificate is not trusted"),
        ("ServiceResponseError ReadTimeout", "does not answer in time"),
        ("ServiceRequestError ConnectTimeout", "it does not answer"),
        ("ServiceRequestError ProxyError", "the proxy does not answer"),
        ("ServiceRequestError with url: /c?sig=secret", "cannot be reached: ServiceRequestError"),
    ],
    ids=["dns", "tls", "silent", "no-connection", "proxy", "other"],
)
def test_request_without_a_response_has_its_cause(chain: str, reason: str) -> None:
    found = unreachable(chain)
    assert reason in found.reason
    assert "secret" not in found.reason
