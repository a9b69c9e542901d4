"""The pages of a fleet in a folder, as a browser gets them."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio.to_thread
import httpx
import pytest

from fleetscore import Fleet
from fleetscore.console.app import create_app
from fleetscore.console.security import HEADERS, REPORT_POLICY
from fleetscore.contract import blob_paths
from fleetscore.contract.fleets import FleetLayout
from fleetscore.errors import StorageUnavailable
from fleetscore.store.base import MAX_BLOB_BYTES, Blob, BlobInfo
from fleetscore.store.folder import FolderStore
from tests.testkit.console_fleet import (
    HALL,
    HOSTILE,
    HOSTILE_TEXTS,
    NEXT_TO_NEWEST,
    WINDOW,
    tile,
    write_fleet,
    write_hostile_fleet,
)

PAGES = ["/", "/heat-map", f"/device?id={HALL}", f"/device?id={quote(HOSTILE, safe='')}", "/schedules", "/no-such-page"]


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(Fleet.folder(folder)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8087") as found:
        yield found


class Elements(HTMLParser):
    """The elements of a page, and the attributes of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("page", PAGES)
async def test_pages_have_no_inline_script_or_style_and_no_foreign_asset(client: httpx.AsyncClient, page: str) -> None:
    response = await client.get(page)
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    for tag, attributes in Elements(response.text).found:
        assert tag != "style"
        assert tag != "script" or attributes.get("src") == "/static/console.js"
        assert "style" not in attributes
        assert [name for name in attributes if name.startswith("on")] == []
        for name in ("href", "src", "srcset", "action", "data-live"):
            assert (attributes.get(name) or "/").startswith(("/", "#")), attributes


async def test_hostile_ids_and_messages_are_text(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    assert "<i>the value is 5" not in page
    assert "&lt;i&gt;the value is 5&lt;/i&gt;" in page
    assert "&lt;b&gt;Ann&lt;/b&gt;" in page
    assert "&lt;script&gt;alert(1)" in page
    address = re.search(r'href="(/device\?id=%3C[^"]+)"', page)
    assert address
    device = await client.get(address[1].replace("&amp;", "&"))
    assert device.status_code == 200
    assert "<script>alert" not in device.text
    assert "stuck" in device.text


async def test_fleet_page_shows_states_coverage_incidents_and_sensors(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    assert "Newest window: 2018-08-28T16:00Z/1h, 3 devices." in page
    assert "machine: <b>1</b>. Muted: <b>1</b>." in page
    assert "stuck: <b>1</b>" in page
    assert "complete: <b>39</b>" in page
    assert "missing: <b>1</b>" in page
    assert "2018-08-27T20:00Z/1h: missing" in page
    assert "2018-08-27T10:00Z/1h: with failures, 1 devices failed" in page
    assert "A folder has no runs" in page


async def test_fleet_without_history_says_so(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    transport = httpx.ASGITransport(app=create_app(Fleet.folder(tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for page in ("/", "/heat-map"):
            assert "There is no history yet" in (await client.get(page)).text
        assert (await client.get("/heat-map.png")).status_code == 404


async def test_fleet_of_zero_devices_names_what_makes_a_device(tmp_path: Path) -> None:
    path = tmp_path / "predictions/_history/default/PT3600S/2018-W35.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(tile({}))
    transport = httpx.ASGITransport(app=create_app(Fleet.folder(tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for page in ("/", "/heat-map"):
            response = await client.get(page)
            assert (response.status_code, "Each model in storage is a device." in response.text) == (200, True)


class CountingStore(FolderStore):
    """A folder store that records the names of the blobs that are read, and of the containers that are listed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.requests: list[str] = []

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        self.requests.append(f"{container}/")
        return super().list(container, prefix)

    def info(self, container: str, name: str) -> BlobInfo | None:
        self.requests.append(f"{name} without content")
        return super().info(container, name)

    def read(self, container: str, name: str, *, max_bytes: int = MAX_BLOB_BYTES) -> Blob | None:
        self.requests.append(name)
        return super().read(container, name, max_bytes=max_bytes)


async def test_pages_from_a_warm_cache_read_only_the_files_of_the_device(folder: Path) -> None:
    store = CountingStore(folder)
    transport = httpx.ASGITransport(app=create_app(Fleet(FleetLayout(), store)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.get("/")
        store.requests.clear()
        for page in ("/", "/heat-map", "/heat-map.png", f"/device?id={HALL}"):
            assert (await client.get(page)).status_code == 200
    assert store.requests == [f"{HALL}.joblib without content", f"{WINDOW.slug}/{HALL}.csv"]


@pytest.mark.parametrize("page", ["/", "/heat-map", "/device?id=press-0"])
async def test_size_of_a_page_does_not_follow_the_number_of_devices(tmp_path: Path, page: str) -> None:
    sizes = []
    for count in (400, 4000):
        folder = write_fleet(tmp_path / str(count))
        states = {f"press-{number}": "N" * 40 + "A" for number in range(count)}
        (folder / "predictions/_history/default/PT3600S/2018-W35.csv.gz").write_bytes(tile(states))
        rows = "".join(f"i{number},press-{number},machine,open,,,1,,,Ann,\n" for number in range(count))
        header = "Id,Device,Cause,State,Since,Until,Windows,Tags,Strongest,Owner,Muted\n"
        name = blob_paths.report_name(WINDOW, blob_paths.INCIDENTS_FILE)
        (folder / "predictions" / name).write_text(header + rows)
        transport = httpx.ASGITransport(app=create_app(Fleet.folder(folder)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            sizes.append(len((await client.get(page)).content))
    assert sizes[1] <= 1.05 * sizes[0]


async def test_heat_map_filters_devices_and_links_them(client: httpx.AsyncClient) -> None:
    page = (await client.get("/heat-map", params={"state": "A"})).text
    assert "1 devices, 41 windows up to 2018-08-28T16:00Z/1h" in page
    assert f'<a href="/device?id={HALL}">{HALL}</a>' in page
    assert "press-1" not in page
    assert "No device matches" in (await client.get("/heat-map", params={"pattern": "x*"})).text
    assert (await client.get("/heat-map", params={"owner": "Bob"})).text.count("/device?id=press-1") == 1


async def test_row_of_the_picture_leads_to_its_device(client: httpx.AsyncClient) -> None:
    picture = await client.get("/heat-map.png?state=A")
    assert picture.headers["Content-Type"] == "image/png"
    link = re.search(r'data-link="([^"]+)"', (await client.get("/heat-map?state=A")).text)
    assert link
    address = link[1].replace("&amp;", "&")
    response = await client.get(f"{address}&row=0")
    assert (response.status_code, response.headers["Location"]) == (303, f"/device?id={HALL}")
    assert (await client.get(f"{address}&row=1")).status_code == 404
    changed = address.replace("shown=1-", "shown=2-")
    assert "the heat map has changed" in (await client.get(f"{changed}&row=0")).text


async def test_device_page_plots_its_tags_and_pans_through_windows(client: httpx.AsyncClient) -> None:
    page = (await client.get("/device", params={"id": HALL})).text
    assert "anomalous since 2018-08-28T14:00Z/1h" in page
    assert "60 readings, 1 anomalies" in page
    assert page.index(">vibration<") < page.index(">temp<")
    assert f"window={NEXT_TO_NEWEST.slug}" in page
    older = (await client.get("/device", params={"id": HALL, "window": NEXT_TO_NEWEST.slug})).text
    assert f"{HALL} has no readings in 2018-08-28T15:00Z/1h" in older
    assert f"window={WINDOW.slug}" in older


async def test_predictions_are_downloaded_as_a_file(client: httpx.AsyncClient, folder: Path) -> None:
    response = await client.get("/device/predictions.csv", params={"id": HALL, "window": WINDOW.slug})
    assert response.content == (folder / "predictions" / WINDOW.slug / f"{HALL}.csv").read_bytes()
    assert response.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''hall3-pump_2018")


async def test_report_is_served_in_a_sandbox(client: httpx.AsyncClient) -> None:
    response = await client.get("/report", params={"window": WINDOW.slug})
    assert response.headers["Content-Security-Policy"] == REPORT_POLICY
    assert "allow-same-origin" not in REPORT_POLICY
    assert (await client.get("/report", params={"window": NEXT_TO_NEWEST.slug})).status_code == 404


@pytest.mark.parametrize(
    ("address", "status", "text"),
    [
        ("/device", 400, "the id of the device is invalid"),
        ("/device?id=" + "x" * 2000, 400, "the id of the device is invalid"),
        ("/device?id=no-such", 404, "device no-such has no history and no model"),
        ("/device?id=..%2F..%2Fetc%2Fpasswd", 404, "has no history and no model"),
        (f"/device?id={HALL}&window=x", 400, "write it as 2018-08-28T23:00:00Z"),
        ("/heat-map?state=Z", 400, "state"),
        ("/heat-map?page=0", 400, "use a number from 1"),
        ("/heat-map?page=%C2%B2", 400, "use a number from 1"),
        ("/run?name=x", 503, "a folder has no runs"),
        ("/static/../app.py", 404, "this page does not exist"),
        ("/static/%2e%2e/app.py", 404, "this page does not exist"),
        ("/static/%00", 404, "this page does not exist"),
        ("/device/", 404, "this page does not exist"),
        ("//evil.example/heat-map/", 404, "this page does not exist"),
    ],
)
async def test_invalid_requests_get_a_page_with_the_reason(
    client: httpx.AsyncClient, address: str, status: int, text: str
) -> None:
    response = await client.get(address)
    assert response.status_code == status
    assert text in response.text
    assert "Traceback" not in response.text


async def test_damaged_history_is_reported_as_a_problem(client: httpx.AsyncClient, folder: Path) -> None:
    (folder / "predictions/_history/default/PT3600S/2018-W35.csv.gz").write_bytes(b"damaged")
    response = await client.get("/")
    assert response.status_code == 503
    assert "2018-W35.csv.gz is invalid" in response.text


async def test_probe_succeeds_while_storage_cannot_be_read(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> None:
        raise StorageUnavailable("storage cannot be reached; try again")

    monkeypatch.setattr("fleetscore.store.folder.FolderStore.list", unavailable)
    assert (await client.get("/heat-map")).status_code == 503
    for probe in ("/healthz", "/readyz"):
        response = await client.get(probe)
        assert (response.status_code, response.text) == (200, "ok\n")


async def test_console_without_a_free_thread_is_alive_and_not_ready(client: httpx.AsyncClient) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    waiting = [object() for _ in range(int(limiter.total_tokens))]
    for one in waiting:
        limiter.acquire_on_behalf_of_nowait(one)
    ready = asyncio.create_task(client.get("/readyz"))
    assert (await client.get("/healthz")).status_code == 200
    assert not ready.done()
    for one in waiting:
        limiter.release_on_behalf_of(one)
    assert (await ready).status_code == 200


async def test_hostile_texts_of_storage_are_text_on_every_page(tmp_path: Path) -> None:
    transport = httpx.ASGITransport(app=create_app(Fleet.folder(write_hostile_fleet(tmp_path))))
    pages = [f"/device?id={quote(text, safe='')}" for text in HOSTILE_TEXTS]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for page in ("/", "/heat-map", *pages):
            response = await client.get(page)
            assert response.status_code == 200, page
            for tag, attributes in Elements(response.text).found:
                assert tag not in ("style", "iframe", "object")
                assert tag != "script" or attributes.get("src") == "/static/console.js"
                assert not [name for name in attributes if name.startswith(("on", "style", "autofocus"))]
                assert (attributes.get("href") or "/").startswith(("/", "#"))


async def test_texts_without_a_visible_character_are_shown_as_escapes(tmp_path: Path) -> None:
    folder = write_fleet(tmp_path)
    (folder / "predictions/_history/default/PT3600S/2018-W35.csv.gz").write_bytes(tile({"\u200b\u2060": "A"}))
    transport = httpx.ASGITransport(app=create_app(Fleet.folder(folder)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        link = r"<a href=\"/device\?id=%E2%80%8B%E2%81%A0\">&#39;\\u200b\\u2060&#39;</a>"
        assert re.search(link, (await client.get("/heat-map")).text)
        page = (await client.get("/device?id=%E2%80%8B%E2%81%A0")).text
        assert r'<h1 class="id">&#39;\u200b\u2060&#39;</h1>' in page


async def test_name_of_a_file_that_is_not_unicode_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "predictions/_history" / os.fsdecode(b"\xff") / "2018-W35.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    transport = httpx.ASGITransport(app=create_app(Fleet.folder(tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get("/")
        assert (response.status_code, "?/2018-W35.csv.gz is invalid" in response.text) == (503, True)


async def test_head_of_the_live_stream_ends_at_once(folder: Path) -> None:
    cluster: Any = object()
    transport = httpx.ASGITransport(app=create_app(Fleet(FleetLayout(), FolderStore(folder), cluster)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.head("/live")
    assert (response.status_code, response.headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream")


async def test_folder_has_no_live_stream(client: httpx.AsyncClient) -> None:
    assert (await client.get("/live")).status_code == 204
