"""The live figures of the console in Chromium, while runs end, appear and are deleted, and while streams fail."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from fleetscore import Fleet
from fleetscore.console.reader import ReaderLimits
from fleetscore.contract.fleets import FleetLayout
from fleetscore.store.folder import FolderStore
from tests.testkit.browser import opened_page, served_console
from tests.testkit.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.needs_services]
MAX_CONNECTIONS_OF_A_BROWSER = 6
SET_HIDDEN = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def a_run(name: str, *, done: int, phase: str = "Running") -> dict[str, Any]:
    conditions = [{"type": phase, "status": "True"}] if phase == "Complete" else []
    window = {"start": "2018-08-28T16:00:00Z", "end": "2018-08-28T17:00:00Z"}
    devices = {"total": 9, "scored": done}
    status = {"phase": phase, "devices": devices, "conditions": conditions, "message": f"{9 - done} devices left"}
    return {"metadata": {"name": name}, "spec": {"window": window}, "status": status}


class CannedCluster:
    """A cluster whose runs the test changes."""

    namespace = "default"

    def __init__(self) -> None:
        self.found = [a_run("first", done=2)]

    def runs(self) -> list[dict[str, Any]]:
        return list(self.found)


@pytest.fixture
def cluster() -> CannedCluster:
    return CannedCluster()


@pytest.fixture
def console(tmp_path: Path, cluster: Any) -> Iterator[str]:
    fleet = Fleet(FleetLayout(), FolderStore(tmp_path), cluster)
    with served_console(fleet, ReaderLimits(runs_seconds=0)) as url:
        yield url


async def test_row_of_a_run_shows_its_end_and_a_changed_list_is_reported(
    browser: Browser, console: str, cluster: CannedCluster
) -> None:
    async with opened_page(browser, console) as watched:
        await watched.page.goto("/")
        row = watched.page.locator('[data-run="first"]')
        await expect(row.locator('[data-figure="done"]')).to_have_text("2")
        cluster.found = [a_run("first", done=9, phase="Complete")]
        await expect(row.locator('[data-figure="phase"]')).to_have_text("Complete")
        await expect(row.locator('[data-figure="done"]')).to_have_text("9")
        changed = watched.page.get_by_text("The list of runs has changed; load the page again.")
        await expect(changed).to_be_hidden()
        cluster.found = [*cluster.found, a_run("second", done=0)]
        await expect(changed).to_be_visible()
        await watched.page.reload()
        await expect(watched.page.locator("[data-run]")).to_have_count(2)
        cluster.found = cluster.found[1:]
        await expect(changed).to_be_visible()
        assert watched.errors == []


async def test_message_of_a_run_is_live_on_its_page(browser: Browser, console: str, cluster: CannedCluster) -> None:
    cluster.jobs = cluster.page = lambda *_, **__: []  # type: ignore[attr-defined]
    async with opened_page(browser, console) as watched:
        await watched.page.goto("/run?name=first")
        message = watched.page.locator('[data-figure="message"]')
        await expect(message).to_have_text("7 devices left")
        cluster.found = [a_run("first", done=4)]
        await expect(message).to_have_text("5 devices left")


async def test_deleted_run_is_reported_on_its_page(browser: Browser, console: str, cluster: CannedCluster) -> None:
    cluster.jobs = cluster.page = lambda *_, **__: []  # type: ignore[attr-defined]
    async with opened_page(browser, console) as watched:
        await watched.page.goto("/run?name=first")
        await expect(watched.page.locator('[data-figure="done"]')).to_have_text("2")
        cluster.found = []
        await expect(watched.page.get_by_text("run first does not exist")).to_be_visible()
        await expect(watched.page.locator('[data-figure="done"]')).to_have_text("2")


def stream_status(console: str) -> int:
    """Return the status of the response for a stream of the figures of all runs, and end the stream."""
    with httpx.stream("GET", f"{console}/live") as response:
        return response.status_code


async def test_interrupted_figures_are_reported_and_come_back(
    browser: Browser, console: str, cluster: CannedCluster
) -> None:
    async with opened_page(browser, console) as watched:
        await watched.page.clock.install()
        # A browser does not connect again after a response other than 200.
        async with AsyncExitStack() as stack, httpx.AsyncClient(base_url=console) as client:
            others = [await stack.enter_async_context(client.stream("GET", "/live")) for _ in range(16)]
            assert [one.status_code for one in others] == [200] * 16
            assert stream_status(console) == 503
            await watched.page.goto("/")
            interrupted = watched.page.get_by_text("The live figures are interrupted; this page connects again.")
            await expect(interrupted).to_be_visible()
        await asyncio.to_thread(until, lambda: stream_status(console) == 200, "the end of the other streams")
        cluster.found = [a_run("first", done=5)]
        await watched.page.clock.fast_forward(10_000)
        await expect(interrupted).to_be_hidden()
        await expect(watched.page.locator('[data-figure="done"]')).to_have_text("5")


async def test_hidden_pages_leave_the_connections_of_the_browser_to_the_others(
    browser: Browser, console: str, cluster: CannedCluster
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(opened_page(browser, console))
        pages = [first.page, *[await first.page.context.new_page() for _ in range(MAX_CONNECTIONS_OF_A_BROWSER)]]
        for page in pages:
            await page.goto("/")
            await expect(page.locator('[data-figure="done"]')).to_have_text("2")
            await page.evaluate(SET_HIDDEN, True)
        cluster.found = [a_run("first", done=5)]
        await pages[0].evaluate(SET_HIDDEN, False)
        await expect(pages[0].locator('[data-figure="done"]')).to_have_text("5")
        assert first.errors == []
