"""The console in Chromium while its storage account fails, lacks files, or rejects the user."""

from pathlib import Path

import pytest
from azure.core.pipeline.transport import HttpTransport
from playwright.async_api import Browser, Page, expect

from fleetscore import Fleet
from fleetscore.console.reader import ReaderLimits
from fleetscore.contract.blob_paths import MUTES_FILE
from fleetscore.contract.fleets import FleetLayout
from fleetscore.store.azure import AzureStore
from localcluster.addons.azurite import Azurite
from tests.integration.client.console.conftest import connect
from tests.testkit.azurite import Storage, new_storage
from tests.testkit.browser import axe_violations, opened_page, served_console
from tests.testkit.console_fleet import HALL, tile

AT_ONCE = ReaderLimits(snapshot_seconds=0)
HISTORY = "_history/default/PT3600S/2018-W35.csv.gz"


async def visit(page: Page, address: str, status: int, *texts: str) -> None:
    """Open a page, and check its status, its texts, and that it has no traceback."""
    response = await page.goto(address)
    assert response
    assert response.status == status
    for text in texts:
        await expect(page.locator("main")).to_contain_text(text)
    assert "Traceback" not in await page.content()


async def test_last_figures_stay_while_storage_is_down(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HttpTransport, "sleep", lambda *_: None)  # the account stays down, so no attempt needs a wait
    down = "cannot be reached"
    with Azurite.start(tmp_path / "azurite", containers=()) as own:
        storage = new_storage(own)
        storage.put("predictions", HISTORY, tile({HALL: "NNA"}))
        account = connect(storage, storage.connection_string)
        with served_console(Fleet(FleetLayout(), account), AT_ONCE) as url:
            async with opened_page(browser, url) as watched:
                await visit(watched.page, "/", 200, "Newest window: 2018-08-27T02:00Z/1h, 1 devices.")
                own.stop()
                known = "the figures below are those of"
                await visit(watched.page, "/", 200, f"{own.url} {down}", known, "Newest window: 2018-08-27T02:00Z/1h")
                assert await axe_violations(watched.page) == []
                await visit(watched.page, "/heat-map", 200, known, HALL)
                await visit(watched.page, f"/device?id={HALL}", 503, down, "check the account URL")
        with served_console(Fleet(FleetLayout(), account)) as url:
            async with opened_page(browser, url) as watched:
                await visit(watched.page, "/", 503, down, "check the account URL", "A folder has no runs")
                await expect(watched.page.get_by_text("There is no history yet")).to_have_count(0)


@pytest.mark.parametrize("credential", ["key", "sas"])
async def test_rejected_credential_is_an_error_that_names_the_container(
    browser: Browser, filled: Storage, credential: str
) -> None:
    key = filled.connection_string.partition("AccountKey=")[2].partition(";")[0]
    parts = {"key": f"AccountKey={'A' * 86}==", "sas": "SharedAccessSignature=sv=2023-11-03&se=2999-01-01&sig=c2ln"}
    rejected = connect(filled, filled.connection_string.replace(f"AccountKey={key}", parts[credential]))
    with served_console(Fleet(FleetLayout(), rejected)) as url:
        async with opened_page(browser, url) as watched:
            place = f"container {filled.predictions} of {filled.account_url} "
            await visit(watched.page, "/", 403, place)
            await visit(watched.page, "/heat-map", 403, place)
            assert "c2ln" not in await watched.page.content()


async def test_missing_and_damaged_files_are_named_with_the_next_step(
    browser: Browser, filled: Storage, account: AzureStore
) -> None:
    with served_console(Fleet(FleetLayout(), account), AT_ONCE) as url:
        async with opened_page(browser, url) as watched:
            filled.put("predictions", MUTES_FILE, b"Devices,From,Until,Why,Who\npress-*,soon,,,\n\xff\xfe\n")
            bad_mutes = "_mutes.csv has 2 invalid lines, which mute no device (line 2: "
            await visit(watched.page, "/", 200, bad_mutes, "`fleetscore mutes -o wide` lists them", "Open incidents")
            filled.put("predictions", MUTES_FILE, b"Devices,From,Until,Why,Who\n")
            filled.put("predictions", HISTORY, tile({}))
            none = ("There is no history yet", "Each model in storage is a device.")
            await visit(watched.page, "/", 200, *none)
            await visit(watched.page, "/heat-map", 200, *none)
            container = filled.client.get_container_client(filled.predictions)
            container.delete_blobs(*container.list_blob_names())
            await visit(watched.page, "/", 200, *none)
            await visit(watched.page, f"/device?id={HALL}", 200, "The history has no state of this device")
            await visit(watched.page, "/device?id=none", 404, "has no history and no model")
            filled.client.delete_container(filled.predictions)
        with served_console(Fleet(FleetLayout(), account)) as missing:
            async with opened_page(browser, missing) as watched:
                await visit(watched.page, "/", 404, f"container {filled.predictions} of", "check the fleet's storage")
