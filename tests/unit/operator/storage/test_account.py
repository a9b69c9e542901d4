"""The storage account: error types, sizes of pages and reads, and the properties of blobs."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.core.pipeline.transport import HttpRequest
from msgspec.structs import replace

from scoring_operator.api.fleets import ExistingSecret, Fleet, ModelSettings, StorageSettings
from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import ConfigurationInvalid, IdentityUnavailable, StorageUnavailable
from scoring_operator.storage import account
from scoring_operator.storage.fleet_storage import BlobFleetStorage
from scoring_operator.storage.limits import DEFAULT_LIMITS, StorageLimits
from scoring_operator.storage.transport import LimitedTransport
from tests.testkit.connect_proxy import connect_proxy

WINDOW = Window(start=datetime(2018, 8, 28, 22, 30, tzinfo=UTC), end=datetime(2018, 8, 29, tzinfo=UTC))


def open_storage(folder: Path, secret: str, limits: StorageLimits = DEFAULT_LIMITS) -> BlobFleetStorage:
    path = folder / "default" / "connectionString"
    path.parent.mkdir(exist_ok=True)
    path.write_text(secret + "\n")
    return BlobFleetStorage(folder, limits)


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[StorageSettings]:
    """Serve a storage account with one handler for every request, and yield its settings."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server:
        yield StorageSettings(
            account_url=f"http://127.0.0.1:{server.port}/account",
            auth="existingSecret",
            existing_secret=ExistingSecret("s", key="connectionString", kind="sas"),
        )


@pytest.mark.parametrize(("status", "kind"), [(429, StorageUnavailable), (403, IdentityUnavailable)])
async def test_error_response_of_storage_raises_the_type_of_its_status(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, kind: type[Exception]
) -> None:
    async def reject(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    caplog.set_level(logging.WARNING)
    async with serving(reject) as settings:
        opened = open_storage(tmp_path, "?sv=2024&sig=CANARY")
        with pytest.raises(kind) as caught:
            await opened.list_models(Fleet(name="default", namespaces=(), storage=settings))
        opened.close()
    assert "CANARY" not in f"{caught.value}{caplog.text}"


@pytest.mark.parametrize(
    ("status", "code", "kind", "cure"),
    [
        (403, "AuthorizationFailure", IdentityUnavailable, "check the network rules first"),
        (403, "AuthorizationPermissionMismatch", IdentityUnavailable, "give the identity the role"),
        (
            403,
            "AuthenticationFailed",
            IdentityUnavailable,
            "renew the key connectionString of the Secret fleet-storage",
        ),
        (403, "KeyBasedAuthenticationNotPermitted", IdentityUnavailable, "use workload identity"),
        (403, "", IdentityUnavailable, "a proxy, firewall or gateway may have sent this response"),
        (404, "ContainerNotFound", ConfigurationInvalid, "create the container"),
        (409, "ContainerBeingDeleted", StorageUnavailable, "the container is being deleted"),
        (400, "InvalidUri", ConfigurationInvalid, "correct the account URL"),
        (503, "ServerBusy", StorageUnavailable, "503 ServerBusy"),
    ],
)
def test_error_of_storage_has_the_cure_of_its_code(status: int, code: str, kind: type[Exception], cure: str) -> None:
    error = HttpResponseError("https://acc.blob.core.windows.net/models?sig=CANARY")
    error.status_code = status
    vars(error)["error_code"] = code
    found = account._storage_error("container 'models'", error, "the key connectionString of the Secret fleet-storage")
    assert type(found) is kind
    assert cure in str(found)
    assert "CANARY" not in str(found)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ClientAuthenticationError("AADSTS700016: CANARY"), IdentityUnavailable, "(AADSTS700016)"),
        (ClientAuthenticationError("CANARY"), IdentityUnavailable, "there is no token"),
        (ServiceRequestError("CANARY"), StorageUnavailable, "cannot be reached (ServiceRequestError)"),
    ],
)
def test_error_without_a_response_names_its_kind_only(error: AzureError, kind: type[Exception], text: str) -> None:
    found = account._storage_error("container 'models'", error, "the Secret")
    assert type(found) is kind
    assert text in str(found)
    assert "CANARY" not in str(found)


def test_proxy_that_requires_a_login_is_named_without_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with connect_proxy() as proxy, LimitedTransport() as transport:
        proxy.login = "user:password"
        monkeypatch.setenv("HTTPS_PROXY", proxy.url_with("user:CANARY"))
        with pytest.raises(AzureError) as raised:
            transport.send(HttpRequest("GET", "https://example.blob.core.windows.net/models?sig=CANARY"))
    found = account._storage_error("container 'models'", raised.value, "the Secret")
    assert type(found) is ConfigurationInvalid
    assert "the proxy requires a login: put user and password into HTTPS_PROXY" in str(found)
    assert "CANARY" not in str(found)
    assert proxy.requests == ["example.blob.core.windows.net:443"]


@pytest.mark.parametrize(
    ("kind", "secret", "problem"),
    [
        ("sas", "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=CANARY", "it is a connection string"),
        ("connectionString", "https://acc.blob.core.windows.net/models?sv=1&sig=CANARY", "it is a URL with a SAS"),
        ("sas", '"sv=1&sig=CANARY"', "quotes surround it"),
    ],
)
def test_secret_of_the_wrong_kind_is_named_before_a_request(
    kind: Literal["connectionString", "sas"], secret: str, problem: str
) -> None:
    settings = StorageSettings("https://acc.blob.core.windows.net", auth="existingSecret")
    settings = replace(settings, existing_secret=ExistingSecret("fleet-storage", "key", kind))
    with pytest.raises(
        ConfigurationInvalid, match=f"the key key of the Secret fleet-storage is invalid: {problem}"
    ) as e:
        account.BlobAccount(settings, secret)
    assert "CANARY" not in str(e.value)


def a_listing(*names: str) -> str:
    blobs = "".join(f"<Blob><Name>{name}</Name><Properties></Properties></Blob>" for name in names)
    return f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker></NextMarker></EnumerationResults>"


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("{device}.joblib", "data", ["a#b.joblib", "notes.md", "x%2g.joblib"]),
        ("{device}.joblib", "models", ["a#b.joblib", "x%2g.joblib"]),
        ("{device}", "data", ["a#b.joblib", "x%2g.joblib"]),
    ],
    ids=["own container", "shared container", "path without a suffix"],
)
async def test_names_that_denote_no_device_are_counted_without_folders(
    tmp_path: Path, path: str, data: str, expected: list[str]
) -> None:
    async def serve(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            folder = request.path.endswith("empty.joblib")
            return web.Response(headers={"x-ms-meta-hdi_isfolder": "true"} if folder else {})
        names: tuple[str, ...] = ("a#b.joblib", "a.joblib", "empty.joblib", "x%2g.joblib")
        names += ("_SUCCESS", "notes.md", "full", "full/_SUCCESS") if path != "{device}" else ()
        text = a_listing(*(name.replace("empty", "#empty") for name in names))
        return web.Response(text=text, content_type="application/xml")

    async with serving(serve) as settings:
        opened = open_storage(tmp_path, "?sv=2024&sig=CANARY")
        fleet = Fleet(name="default", namespaces=(), storage=replace(settings, data=data), models=ModelSettings(path))
        found = await opened.list_models(fleet)
        opened.close()
    assert sorted(found.invalid_names.samples) == expected
    assert found.invalid_names.total == len(expected)


async def test_at_most_100_names_of_a_listing_are_checked_for_a_folder(tmp_path: Path) -> None:
    checked = []

    async def serve(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            checked.append(request.path)
            return web.Response(headers={"x-ms-meta-hdi_isfolder": "true"})
        names = [f"a#{number}.joblib" for number in range(101)]
        return web.Response(text=a_listing(*names), content_type="application/xml")

    async with serving(serve) as settings:
        opened = open_storage(tmp_path, "?sv=2024&sig=CANARY")
        found = await opened.list_models(Fleet(name="default", namespaces=(), storage=settings))
        opened.close()
    assert (len(checked), found.invalid_names.total) == (100, 1)


async def list_pages(folder: Path, markers: list[str], limits: StorageLimits = DEFAULT_LIMITS) -> tuple[list[str], int]:
    """List names from a server with a page per marker; return its models, and the number of its requests."""
    requests = []

    async def send_page(request: web.Request) -> web.Response:
        requests.append(request.query.get("marker", ""))
        marker = markers[min(len(requests), len(markers)) - 1]
        names = () if marker else ("a.joblib",)
        text = a_listing(*names).replace("<NextMarker>", f"<NextMarker>{marker}")
        return web.Response(text=text, content_type="application/xml")

    async with serving(send_page) as settings:
        opened = open_storage(folder, "?sv=2024&sig=CANARY", limits)
        try:
            found = await opened.list_models(Fleet(name="default", namespaces=(), storage=settings))
        finally:
            opened.close()
    return sorted(found.devices), len(requests)


async def test_empty_pages_are_followed_to_the_end(tmp_path: Path) -> None:
    assert await list_pages(tmp_path, ["1", "2", "3", ""]) == (["a"], 4)


@pytest.mark.fault("F27")
async def test_listing_that_repeats_a_marker_ends(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="container 'models': storage repeats a page of the listing"):
        await list_pages(tmp_path, ["1", "again"])


@pytest.mark.fault("F27")
async def test_listing_of_empty_pages_ends_at_its_limit_of_time(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="the listing was cancelled after 0 blobs"):
        await list_pages(tmp_path, [str(number) for number in range(100_000)], StorageLimits(list_timeout=0.2))


async def test_listing_of_more_blobs_than_the_limit_is_an_invalid_configuration(tmp_path: Path) -> None:
    limits = StorageLimits(max_blobs=1)
    assert await list_pages(tmp_path, [""], limits) == (["a"], 1)
    with pytest.raises(ConfigurationInvalid, match="has more than 0 blobs under this path"):
        await list_pages(tmp_path, [""], StorageLimits(max_blobs=0))


async def test_listings_have_pages_of_2500_names_or_1000_blobs_with_metadata(tmp_path: Path) -> None:
    sizes = []

    async def list_nothing(request: web.Request) -> web.Response:
        sizes.append((request.query.get("include"), request.query["maxresults"]))
        text = "<EnumerationResults><Blobs></Blobs><NextMarker></NextMarker></EnumerationResults>"
        return web.Response(text=text, content_type="application/xml")

    async with serving(list_nothing) as settings:
        opened = open_storage(tmp_path, "?sv=2024&sig=CANARY")
        fleet = Fleet(name="default", namespaces=(), storage=settings)
        await opened.list_models(fleet)
        await opened.list_predictions(fleet, WINDOW)
        opened.close()
    assert sizes == [(None, "2500"), ("metadata", "1000")]


async def test_outcome_records_are_read_up_to_4_mebibytes_and_tiles_up_to_32(tmp_path: Path) -> None:
    ranges = []

    async def record_range(request: web.Request) -> web.Response:
        ranges.append(request.headers["x-ms-range"])
        headers = {"Content-Range": "bytes 0-1/2", "x-ms-blob-type": "BlockBlob"}
        return web.Response(status=206, body=b"{}", headers=headers)

    async with serving(record_range) as settings:
        opened = open_storage(tmp_path, "?sv=2024&sig=CANARY")
        fleet = Fleet(name="default", namespaces=(), storage=settings)
        assert await opened.read_outcome(fleet, "uid", "job") == b"{}"
        assert await opened.read_history(fleet, "tile") == b"{}"
        opened.close()
    assert ranges == ["bytes=0-4194303", "bytes=0-33554431"]
