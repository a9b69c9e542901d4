"""The store in a storage account: the choice of the credential, and the words for its errors."""

import gzip
from functools import partial

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.core.pipeline.transport import HttpTransport
from azure.storage.blob import StorageErrorCode

from fleetscore.errors import AccessDenied, DataInvalid, NotFound, StorageUnavailable, UsageInvalid
from fleetscore.store.azure import AzureStore
from tests.testkit.blob_server import SAS, serving

URL = "https://acc.blob.core.windows.net"
CONTAINERS = {"models": "models", "data": "raw", "predictions": "predictions"}
KEY = "c2VjcmV0"


def store(**environment: str) -> AzureStore:
    return AzureStore.connect(URL, CONTAINERS, environment=environment)


def error_of(code: str, status: int = 403) -> HttpResponseError:
    error = HttpResponseError(code)
    error.status_code, error.error_code = status, code  # type: ignore[attr-defined]
    return error


def test_location_has_no_credential() -> None:
    assert store(AZURE_STORAGE_SAS_TOKEN="?sv=1&sig=secret").location == URL
    text = f"DefaultEndpointsProtocol=https;AccountName=acc;AccountKey={KEY};EndpointSuffix=core.windows.net"
    assert store(AZURE_STORAGE_CONNECTION_STRING=text).location == URL


def test_invalid_connection_string_is_rejected_without_its_text() -> None:
    with pytest.raises(UsageInvalid, match="AZURE_STORAGE_CONNECTION_STRING is invalid") as found:
        store(AZURE_STORAGE_CONNECTION_STRING=f"AccountKey={KEY}")
    assert KEY not in str(found.value)


def test_missing_account_is_named_with_the_next_step() -> None:
    with pytest.raises(UsageInvalid, match="set AZURE_STORAGE_CONNECTION_STRING or name a --store folder"):
        AzureStore.connect("", CONTAINERS, environment={})


def test_attempts_at_an_account_that_is_down_wait_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(HttpTransport, "sleep", lambda _, seconds: waits.append(seconds))
    text = f"DefaultEndpointsProtocol=http;AccountName=acc;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:1/acc;"
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        store(AZURE_STORAGE_CONNECTION_STRING=text).read("models", "press-1.joblib")
    assert len(waits) == 3
    assert sum(waits) <= 12


@pytest.mark.parametrize("environment", [{}, {"AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=secret"}], ids=["identity", "sas"])
def test_account_url_of_another_party_gets_no_token(environment: dict[str, str]) -> None:
    with pytest.raises(UsageInvalid, match=r"evil\.example is not an endpoint of Azure Storage, and gets no token"):
        AzureStore.connect("https://evil.example", CONTAINERS, environment=environment)


PACKED = gzip.compress(b"TS\n" * 1000, mtime=0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PACKED, b"TS\n" * 1000),
        (PACKED + PACKED, b"TS\n" * 2000),
        (PACKED[:-9], "w/a.csv is invalid: its Content-Encoding 'gzip' does not match the content"),
        (PACKED + b"rest", "does not match the content"),
        (gzip.compress(bytes(2**20), mtime=0), "decompressed, it has more than 6,000 bytes"),
        (bytes(6001), "it has 6,001 bytes of at most 6,000"),
    ],
    ids=["gzip", "members", "cut", "rest", "bomb", "large"],
)
def test_packed_blob_is_decoded_whole_or_rejected(content: bytes, expected: bytes | str) -> None:
    with serving() as server:
        text = f"BlobEndpoint={server.url};SharedAccessSignature={SAS}"
        server.put("/account/predictions/w/a.csv", content, **{"Content-Encoding": "gzip"})
        read = partial(store(AZURE_STORAGE_CONNECTION_STRING=text).read, "predictions", "w/a.csv", max_bytes=6000)
        if isinstance(expected, str):
            with pytest.raises(DataInvalid, match=expected):
                read()
        else:
            blob = read()
            assert blob is not None
            assert (blob.content, blob.info.size) == (expected, len(content))


@pytest.mark.parametrize("if_match", [None, "0x1"], ids=["creation", "replacement"])
@pytest.mark.parametrize(
    ("others", "written"), [(b"", True), (b"theirs", False), (b"nine", False)], ids=["none", "longer", "as long"]
)
def test_write_without_its_response_succeeds_unless_another_client_has_written(
    monkeypatch: pytest.MonkeyPatch, if_match: str | None, others: bytes, *, written: bool
) -> None:
    path = "/account/predictions/_mutes.csv"
    with serving() as server:
        monkeypatch.setattr(HttpTransport, "sleep", lambda *_: others and server.put(path, others))
        client = store(AZURE_STORAGE_CONNECTION_STRING=f"BlobEndpoint={server.url};SharedAccessSignature={SAS}")
        if if_match:
            server.put(path, b"old")
        server.fail("lost", method="PUT")
        assert client.write("predictions", "_mutes.csv", b"mine", if_match=if_match) is written
        assert server.blobs[path].content == (others or b"mine")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (error_of("ContainerNotFound", 404), NotFound, "container raw of .* does not exist"),
        (error_of("AuthorizationFailure"), AccessDenied, "rejects this network; add it to the account's firewall"),
        (error_of("AuthorizationPermissionMismatch"), AccessDenied, "role Storage Blob Data Reader"),
        (ClientAuthenticationError("no login"), AccessDenied, "run `az login`"),
        (error_of(StorageErrorCode.CONTAINER_NOT_FOUND, 404), NotFound, "container raw of .* does not exist"),
        (error_of("ServerBusy", 503), StorageUnavailable, "cannot be reached"),
        (
            ServiceRequestError("Failed to resolve 'acc'"),
            StorageUnavailable,
            "the host name is unknown; check the account",
        ),
        (ServiceRequestError("?sig=secret"), StorageUnavailable, "cannot be reached: ServiceRequestError; try again"),
    ],
)
def test_error_names_container_account_and_cure(error: HttpResponseError, kind: type[Exception], text: str) -> None:
    found = store()._error(error, "data")
    assert isinstance(found, kind)
    with pytest.raises(kind, match=text):
        raise found


@pytest.mark.parametrize("code", ["AuthenticationFailed", "AuthorizationPermissionMismatch"])
@pytest.mark.parametrize("variable", ["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING"])
def test_rejected_key_or_sas_token_names_its_variable(code: str, variable: str) -> None:
    text = "BlobEndpoint=https://acc.blob.core.windows.net;SharedAccessSignature=sv=1&sig=secret"
    found = str(
        store(**{variable: text if "CONNECTION" in variable else "sv=1&sig=secret"})._error(error_of(code), "data")
    )
    assert f"({code}): it is wrong, expired or too weak" in found
    assert f"set {variable} or the fleet's Secret again" in found
    assert "secret" not in found
