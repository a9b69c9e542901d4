"""The pages of a large fleet in Chromium, next to those of a small one. `bench.console` has the times of both."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page

from fleetscore import Fleet
from fleetscore.contract import blob_paths
from fleetscore.frames import TABLE_COLUMNS
from tests.testkit.browser import opened_page, served_console
from tests.testkit.console_fleet import HALL, NEWEST, WINDOW, table, tile, write_fleet

pytestmark = [pytest.mark.slow, pytest.mark.needs_services]
SMALL, LARGE = 500, 10_000
LOADS, MAX_LOADS = 4, 16
MAX_TIME_RATIO = 4
MAX_BYTES = 200_000
MAX_FILES = 4
"""Number of files of a page, such as its script, its style and its picture."""

PAGES = ["/", "/heat-map", f"/device?id={quote(HALL)}", "/schedules"]
LOADED = """() => {
    const page = performance.getEntriesByType("navigation")[0];
    const files = performance.getEntriesByType("resource").map(one => one.name);
    return [page.duration, page.decodedBodySize, files];
}"""


def write_devices(folder: Path, count: int) -> Path:
    """Write a fleet of many devices, of which one of twenty has an incident and a flagged sensor."""
    write_fleet(folder)
    names = [HALL, *(f"hall{number % 7}-press-{number:05}" for number in range(count - 1))]
    states = {name: "N" * NEWEST + ("A" if at % 20 == 0 else "N") for at, name in enumerate(names)}
    files = {"_history/default/PT3600S/2018-W35.csv.gz": tile(states)}
    for file, state in ((blob_paths.INCIDENTS_FILE, "open"), (blob_paths.SENSORS_FILE, "")):
        columns = TABLE_COLUMNS[file]
        known = {"State": state, "Muted": ""}
        rows = [[name if one == "Device" else known.get(one, "1") for one in columns] for name in names[::20]]
        files[blob_paths.report_name(WINDOW, file)] = table([columns, *rows])
    for name, content in files.items():
        (folder / "predictions" / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def consoles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Serve a small and a large fleet, and yield the URLs."""
    with ExitStack() as stack:
        folders = [write_devices(tmp_path_factory.mktemp("fleet"), count) for count in (SMALL, LARGE)]
        small, large = [stack.enter_context(served_console(Fleet.folder(folder))) for folder in folders]
        yield small, large


async def load(page: Page, url: str) -> tuple[float, int, list[str]]:
    """Load a page, and return its milliseconds, its bytes, and the addresses of its files."""
    await page.goto(url)
    milliseconds, size, files = await page.evaluate(LOADED)
    return milliseconds, size, files


@pytest.mark.parametrize("address", PAGES, ids=["fleet", "heat-map", "device", "schedules"])
async def test_page_of_many_devices_costs_little_more_than_of_few(
    browser: Browser, consoles: tuple[str, str], address: str
) -> None:
    async with opened_page(browser, consoles[0]) as watched:
        found = {url: [await load(watched.page, url + address)] for url in consoles}
        for count in range(1, MAX_LOADS + 1):  # in turn, so that a busy machine affects both
            for url in consoles:
                found[url].append(await load(watched.page, url + address))
            small, large = (found[url][1:] for url in consoles)  # the first load fills the caches
            ratio = min(one[0] for one in large) / min(one[0] for one in small)
            if count >= LOADS and ratio <= MAX_TIME_RATIO:
                break
    assert ratio <= MAX_TIME_RATIO
    assert large[0][1] <= MAX_BYTES
    for url in consoles:
        for _, _, files in found[url]:
            assert len(files) <= MAX_FILES
            assert all(file.startswith(f"{url}/") for file in files)
