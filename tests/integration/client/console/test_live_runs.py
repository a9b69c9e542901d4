"""The pages Run, Fleet and Schedules in Chromium, next to the real controller on a real API server."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect

from fleetscore import Fleet
from fleetscore.cluster.connection import Cluster
from fleetscore.contract.fleets import FleetLayout
from fleetscore.store.folder import FolderStore
from tests.testkit.browser import axe_violations, opened_page, served_console, started_browser
from tests.testkit.console_fleet import write_fleet
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.running_controller import RunController
from tests.testkit.runs import Runs, hour

LIVE_MILLISECONDS = 180_000


async def test_run_page_follows_a_run_without_a_reload(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, running_controller: RunController
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(runs.cluster.kubeconfig))
    cluster = await asyncio.to_thread(Cluster.connect, None, runs.namespace)
    fleet = Fleet(FleetLayout(), FolderStore(write_fleet(tmp_path)), cluster)
    runs.create("held", window=hour(4), suspend=True)
    async with running_controller(storage_with_devices(3)), started_browser() as browser:
        await asyncio.to_thread(runs.until, lambda status: status.get("phase") == "Suspended", "held")
        with served_console(fleet) as url:
            async with opened_page(browser, url) as watched:
                page = watched.page
                await page.goto("/")
                await page.get_by_role("link", name="held").click()
                await expect(page.locator('[data-figure="phase"]')).to_have_text("Suspended")
                await page.evaluate("window.loaded = 'once'")
                await asyncio.to_thread(runs.change, "held", suspend=False)
                phase = page.locator('[data-figure="phase"]')
                await expect(phase).to_have_text("Complete", timeout=LIVE_MILLISECONDS)
                await expect(page.locator('[data-figure="done"]')).to_have_text("3")
                assert await page.evaluate("window.loaded") == "once"
                await page.reload()
                await expect(page.get_by_role("group", name="Jobs")).to_contain_text("Complete")
                for address in ("/run?name=held", "/", "/schedules"):
                    await page.goto(address)
                    assert await axe_violations(page) == [], address
                assert watched.errors == []
