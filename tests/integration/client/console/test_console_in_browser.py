"""The console in Chromium: accessibility, keyboard, a small screen, no script, dark, and hostile ids."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, expect

from fleetscore import Fleet
from tests.testkit.browser import axe_violations, opened_page, served_console
from tests.testkit.console_fleet import HALL, HOSTILE, NEXT_TO_NEWEST, write_fleet

pytestmark = [pytest.mark.slow, pytest.mark.needs_services]
HOSTILE_PAGE = f"/device?id={quote(HOSTILE, safe='')}"
PAGES = ["/", "/heat-map", f"/device?id={HALL}", HOSTILE_PAGE, "/schedules", "/no-such-page"]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the console of a fleet in a folder, and yield the URL."""
    with served_console(Fleet.folder(write_fleet(tmp_path_factory.mktemp("fleet")))) as url:
        yield url


async def focused(page: Page) -> str:
    text = await page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name")
    return str(text)


async def expect_to_fit(page: Page, width: int, address: str) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth") <= width, address


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_and_the_browser_reports_no_error(browser: Browser, console: str, scheme: str) -> None:
    async with opened_page(browser, console, color_scheme=scheme) as watched:
        for address in PAGES:
            await watched.page.goto(address)
            assert await axe_violations(watched.page) == [], address
        assert [error for error in watched.errors if "404" not in error] == []


@pytest.mark.parametrize("width", [400, 320])
async def test_pages_fit_into_a_small_screen(browser: Browser, console: str, width: int) -> None:
    async with opened_page(browser, console, viewport={"width": width, "height": 800}) as watched:
        for address in PAGES:
            await watched.page.goto(address)
            await expect_to_fit(watched.page, width, address)


async def test_pages_fit_with_a_zoom_of_200_percent_and_with_large_text(browser: Browser, console: str) -> None:
    zoomed = {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2}  # as a window of 1280 x 800
    async with opened_page(browser, console, **zoomed) as watched:
        for address in PAGES:
            await watched.page.goto(address)
            height = await watched.page.evaluate("document.body.scrollHeight")
            await expect_to_fit(watched.page, 640, address)
            await watched.page.evaluate("document.documentElement.style.fontSize = '200%'")
            assert await watched.page.evaluate("document.body.scrollHeight") > height, address
            await expect_to_fit(watched.page, 640, address)


async def test_pages_are_equal_in_every_time_zone_and_language(browser: Browser, console: str) -> None:
    texts = []
    for zone, language, offset in (("UTC", "en-GB", 0), ("Asia/Kolkata", "hi-IN", -330)):
        async with opened_page(browser, console, timezone_id=zone, locale=language) as watched:
            for address in PAGES:
                await watched.page.goto(address)
                texts.append(await watched.page.locator("body").inner_text())
            assert await watched.page.evaluate("new Date(1.5e12).getTimezoneOffset()") == offset
    assert texts[: len(PAGES)] == texts[len(PAGES) :]
    assert "2018-08-28T16:00Z/1h" in texts[0]


async def test_keyboard_alone_leads_from_the_fleet_to_a_device(browser: Browser, console: str) -> None:
    async with opened_page(browser, console) as watched:
        page = watched.page
        await page.goto("/")
        await page.keyboard.press("Tab")
        assert await focused(page) == "Skip to the content"
        await expect(page.locator(".skip")).to_be_in_viewport()
        for name in ("Fleet", "Heat map"):
            await page.keyboard.press("Tab")
            assert await focused(page) == name
        await expect(page.locator(":focus")).to_have_css("outline-style", "solid")
        await page.keyboard.press("Enter")
        await expect(page).to_have_title("Heat map · Fleetscore")
        await page.wait_for_load_state()  # the title is there before the stylesheet and the links
        await page.get_by_label("Device or glob").focus()
        await page.keyboard.type("hall3-*")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("1 devices, 41 windows")).to_be_visible()
        await page.wait_for_load_state()
        for _ in range(20):
            await page.keyboard.press("Tab")
            if await focused(page) == HALL:
                break
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text(HALL)


async def test_pages_work_without_a_script(browser: Browser, console: str) -> None:
    async with opened_page(browser, console, java_script_enabled=False) as watched:
        page = watched.page
        await page.goto("/")
        await expect(page.locator("svg.calendar")).to_be_visible()
        await page.get_by_role("link", name="Heat map").click()
        await page.get_by_label("State in the newest window").select_option("A")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name=HALL).click()
        await expect(page.locator("svg.chart")).to_have_count(2)
        await page.get_by_role("link", name="Older window").click()
        await expect(page.get_by_role("heading", name=f"Window {NEXT_TO_NEWEST.column}")).to_be_visible()


async def test_click_on_the_picture_opens_the_device_of_the_row(browser: Browser, console: str) -> None:
    async with opened_page(browser, console, color_scheme="dark") as watched:
        page = watched.page
        await page.goto("/heat-map")
        picture = page.locator("picture img")
        assert await picture.evaluate("image => image.complete && image.naturalWidth") == 41
        assert "theme=dark" in str(await picture.evaluate("image => image.currentSrc"))
        box = await picture.bounding_box()
        assert box
        await picture.click(position={"x": 10, "y": box["height"] / 2})  # the second of three rows in the order of ids
        await expect(page.get_by_role("heading", level=1)).to_have_text(HALL)
        assert watched.errors == []


async def test_dark_page_has_other_colours(browser: Browser, console: str) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        async with opened_page(browser, console, color_scheme=scheme) as watched:
            await watched.page.goto("/")
            colours.add(await watched.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


async def test_policy_blocks_an_inline_script(browser: Browser, console: str) -> None:
    async with opened_page(browser, console) as watched:
        await watched.page.goto(HOSTILE_PAGE)
        assert await watched.page.get_by_role("heading", level=1).text_content() == HOSTILE
        await watched.page.evaluate(
            "const script = document.createElement('script'); script.textContent = 'window.ran = true';"
            "document.body.append(script)"
        )
        assert await watched.page.evaluate("window.ran") is None
        assert any("Content Security Policy" in error for error in watched.errors)


async def test_stored_report_cannot_read_the_console(browser: Browser, tmp_path: Path) -> None:
    folder = write_fleet(tmp_path)
    (report,) = folder.glob("predictions/*/report.html")
    report.write_text(
        "<body><script>document.body.textContent = origin; "
        "fetch('/').then(() => document.body.append(' read'), () => document.body.append(' blocked'))</script>"
    )
    with served_console(Fleet.folder(folder)) as url:
        async with opened_page(browser, url) as watched:
            await watched.page.goto("/")
            await watched.page.get_by_role("link", name="Report").click()
            await expect(watched.page.locator("body")).to_have_text("null blocked")
