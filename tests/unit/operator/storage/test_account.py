"""The storage account: error types, sizes of pages and reads, and the properties of blobs."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from scoring_operator.api.fleets import ExistingSecret, Fleet, StorageSettings
from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import IdentityUnavailable, StorageUnavailable
from scoring_operator.storage import account
from scoring_operator.storage.fleet_storage import BlobFleetStorage

WINDOW = Window(start=datetime(2018, 8, 28, 22, 30, tzinfo=UTC), end=datetime(2018, 8, 29, tzinfo=UTC))


def open_storage(folder: Path, secret: str) -> BlobFleetStorage:
    path = folder / "default" / "connectionString"
    path.parent.mkdir(exist_ok=True)
    path.write_text(secret + "\n")
    return BlobFleetStorage(folder)


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


def test_listing_of_names_is_stripped_of_properties() -> None:
    blob = b"<Blob><Name>%b</Name><Properties><Etag>1</Etag></Properties><OrMetadata /></Blob>"
    page = b"<Blobs>%b%b</Blobs><NextMarker>c</NextMarker>" % (blob % b"a", blob % b"b")
    response = SimpleNamespace(ok=True, content=page, url="http://account/models?restype=container&comp=list")
    account._strip_properties(response)
    names = b"<Blobs><Blob><Name>a</Name></Blob><Blob><Name>b</Name></Blob></Blobs>"
    assert vars(response)["_content"] == names + b"<NextMarker>c</NextMarker>"
    with_metadata = SimpleNamespace(ok=True, content=page, url=f"{response.url}&include=metadata")
    account._strip_properties(with_metadata)
    assert "_content" not in vars(with_metadata)


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


def test_limits_of_storage_requests() -> None:
    assert (account.CONNECT_TIMEOUT_SECONDS, account.READ_TIMEOUT_SECONDS, account.LIST_TIMEOUT_SECONDS) == (5, 20, 300)
    assert account.MAX_BLOBS == 1_000_000


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


async def test_outcome_record_is_read_up_to_four_mebibytes(tmp_path: Path) -> None:
    ranges = []

    async def record_range(request: web.Request) -> web.Response:
        ranges.append(request.headers["x-ms-range"])
        headers = {"Content-Range": "bytes 0-1/2", "x-ms-blob-type": "BlockBlob"}
        return web.Response(status=206, body=b"{}", headers=headers)

    async with serving(record_range) as settings:
        opened = open_storage(tmp_path, "?sv=2024&sig=CANARY")
        assert await opened.read_outcome(Fleet(name="default", namespaces=(), storage=settings), "uid", "job") == b"{}"
        opened.close()
    assert ranges == ["bytes=0-4194303"]
