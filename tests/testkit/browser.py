"""Debian's Chromium, driven by Playwright, and a console that is served in a thread of the test."""

import shutil
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from fleetscore.console.reader import LIMITS, ReaderLimits
from fleetscore.console.server import make_server
from fleetscore.fleet import Fleet
from localcluster.locks import hold_lock
from localcluster.paths import cache_dir
from localcluster.progress import StepProgress
from localcluster.toolchain import debian

PROGRAM = "chromium"
TIMEOUT_MILLISECONDS = 180_000  # a busy machine needs a while for Chromium


@contextmanager
def served_console(fleet: Fleet, limits: ReaderLimits = LIMITS) -> Iterator[str]:
    """Serve the console of a fleet and yield its URL without a path."""
    server = make_server(fleet, limits=limits)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


@asynccontextmanager
async def started_browser() -> AsyncIterator[Browser]:
    """Start Chromium without a window; install its package first if the program is missing."""
    with hold_lock(cache_dir() / "locks" / "chromium.lock", StepProgress(), "another installation of Chromium"):
        program = shutil.which(PROGRAM)
        if program is None:
            debian.install([PROGRAM])
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which(PROGRAM), timeout=TIMEOUT_MILLISECONDS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class WatchedPage:
    """A page, and the errors that the browser reports about it: scripts, dialogs, and violations of the policy."""

    page: Page
    errors: list[str] = field(default_factory=list)


@asynccontextmanager
async def opened_page(browser: Browser, url: str, **settings: Any) -> AsyncIterator[WatchedPage]:
    """Open a page in a browser profile of its own.

    Args:
        browser: The browser.
        url: The URL without a path, which relative addresses refer to.
        settings: The settings of the profile, such as color_scheme.
    """
    async with await browser.new_context(base_url=url, **settings) as context:
        context.set_default_timeout(TIMEOUT_MILLISECONDS)
        page = await context.new_page()
        found = WatchedPage(page)
        page.on("console", lambda message: found.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("dialog", lambda dialog: found.errors.append(f"dialog {dialog.message}"))
        yield found


async def axe_violations(page: Page) -> list[str]:
    """Return the violations of the accessibility rules of axe-core on a page, each with the elements."""
    script = files("axe_playwright_python").joinpath("axe.min.js").read_text()
    await page.evaluate(script)
    found = await page.evaluate("axe.run()")
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']]}" for one in found["violations"]]
