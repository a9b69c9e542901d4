"""Every page of the console in Chromium, with the runs of a real API server and the files of a storage account."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from playwright.async_api import Browser, Page, expect

from fleetscore import Fleet
from fleetscore.cluster.connection import Cluster
from fleetscore.contract.fleets import FleetLayout
from fleetscore.store.azure import AzureStore
from tests.testkit.browser import axe_violations, opened_page, served_console
from tests.testkit.console_fleet import HALL, HOSTILE
from tests.testkit.runs import Runs, hour

ATTACK = "<img src=x onerror='document.title=1'><script>window.ran = true</script>"
PAGES = {
    "/": "Fleet default",
    "/run?name=open": "Run open",
    "/run?name=ended": "Run ended",
    "/schedules": "Schedules",
}
ALL_PAGES = (*PAGES, "/heat-map", f"/device?id={HALL}", f"/device?id={quote(HOSTILE, safe='')}", "/run?name=none")


@pytest.fixture
def console(runs: Runs, account: AzureStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the console of a fleet with two runs, an event and two schedules, all with hostile texts; yield the URL."""
    monkeypatch.setenv("KUBECONFIG", str(runs.cluster.kubeconfig))
    create_runs(runs)
    create_schedules(runs)
    with served_console(Fleet(FleetLayout(), account, Cluster.connect(None, runs.namespace))) as url:
        yield url


def create_runs(runs: Runs) -> None:
    failure = {"device": HOSTILE, "reason": ATTACK, "message": f"{ATTACK} {'long' * 100}"}
    status: dict[str, Any] = {
        "message": ATTACK,
        "devices": {"total": 10, "scored": 3, "failed": 1, "active": 2},
        "failureReasons": {"DataInvalid": 1},
        "failures": [failure],
    }
    done = {"type": "Complete", "status": "True", "reason": "AllDone", "lastTransitionTime": "2018-08-01T04:00:00Z"}
    for name, start, changes in (
        ("open", 5, {"phase": "Running"}),
        ("ended", 3, {"phase": "Complete", "conditions": [{**done, "message": ATTACK}]}),
    ):
        created = runs.create(name, window=hour(start), suspend=True)
        runs.cluster.api.request("PUT", f"{runs.path}/{name}/status", {**created, "status": {**status, **changes}})
    event = {
        "metadata": {"name": "hostile", "namespace": runs.namespace},
        "involvedObject": {"kind": "ScoringRun", "name": "open", "namespace": runs.namespace},
        "type": "Warning",
        "reason": "DevicesFailed",
        "message": ATTACK,
    }
    runs.cluster.api.request("POST", f"/api/v1/namespaces/{runs.namespace}/events", event)


def create_schedules(runs: Runs) -> None:
    """Create a schedule of the release, and one that its schedules file does not have."""
    container = {"name": "c", "image": "scorer:test"}
    job = {"spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}}
    specs: dict[str, dict[str, Any]] = {
        "yearly": {"schedule": "30 7 1 1 *", "timeZone": "Asia/Kolkata"},
        "unknown": {"schedule": "@hourly", "suspend": True},
    }
    for name, spec in specs.items():
        body = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": f"release-{name}", "labels": {"fleetscore.dev/schedule": name}},
            "spec": {**spec, "jobTemplate": job},
        }
        runs.cluster.api.request("POST", f"/apis/batch/v1/namespaces/{runs.namespace}/cronjobs", body)
    labels = {"app.kubernetes.io/part-of": "fleetscore", "app.kubernetes.io/component": "scheduler"}
    schedules = {"schedules": [{"name": "yearly", "fleet": "default", "window": "PT1H", "delay": "PT0S", "run": {}}]}
    config = {
        "metadata": {"name": "schedules", "labels": labels},
        "data": {"schedules.yaml": yaml.safe_dump(schedules)},
    }
    runs.cluster.api.request("POST", f"/api/v1/namespaces/{runs.namespace}/configmaps", config)


async def open_by_keyboard(page: Page, link: str, title: str) -> None:
    """Press Tab until a link has a visible focus, then Enter, and wait until the page with a title is loaded."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent.trim()") == link:
            break
    assert await page.evaluate("document.activeElement.textContent.trim()") == link
    await expect(page.locator(":focus")).to_have_css("outline-style", "solid")
    await page.keyboard.press("Enter")
    await expect(page).to_have_title(f"{title} · Fleetscore")
    await page.wait_for_load_state()  # the title is there before the stylesheet and the links


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_and_policy_is_obeyed_with_a_cluster(
    browser: Browser, console: str, scheme: str
) -> None:
    colours = {"light": "rgb(246, 247, 249)", "dark": "rgb(18, 22, 28)"}
    async with opened_page(browser, console, color_scheme=scheme) as watched:
        for address, heading in PAGES.items():
            await watched.page.goto(address)
            assert await watched.page.get_by_role("heading", level=1).text_content() == heading
            assert await axe_violations(watched.page) == [], address
            assert await watched.page.evaluate("getComputedStyle(document.body).backgroundColor") == colours[scheme]
        assert watched.errors == []


@pytest.mark.parametrize("width", [400, 320])
async def test_every_page_fits_into_a_small_screen(browser: Browser, console: str, width: int) -> None:
    async with opened_page(browser, console, viewport={"width": width, "height": 800}) as watched:
        for address in ALL_PAGES:
            await watched.page.goto(address)
            assert await watched.page.evaluate("document.documentElement.scrollWidth") <= width, address


async def test_keyboard_alone_leads_through_runs_and_schedules(browser: Browser, console: str) -> None:
    async with opened_page(browser, console) as watched:
        page = watched.page
        await page.goto("/")
        await open_by_keyboard(page, "open", "Run open")
        await open_by_keyboard(page, "Schedules", "Schedules")
        await open_by_keyboard(page, "Fleet", "Fleet default")
        await open_by_keyboard(page, "ended", "Run ended")
        await open_by_keyboard(page, HOSTILE, HOSTILE)
        await open_by_keyboard(page, "Heat map", "Heat map")


async def test_runs_and_schedules_need_no_script(browser: Browser, console: str) -> None:
    async with opened_page(browser, console, java_script_enabled=False) as watched:
        page = watched.page
        await page.goto("/")
        await page.get_by_role("link", name="open").click()
        await expect(page.locator('[data-figure="done"]')).to_have_text("4")
        await expect(page.get_by_role("group", name="Failures")).to_contain_text(HOSTILE)
        await page.get_by_role("link", name="Schedules").click()
        yearly = page.get_by_role("region", name="yearly")
        await expect(yearly).to_contain_text("30 7 1 1 * Asia/Kolkata")
        await expect(yearly).to_contain_text("-01-01T02:00:00Z, for window ")
        await expect(page.get_by_role("region", name="unknown")).to_contain_text("none while suspended")


async def test_texts_of_other_parties_run_nothing_on_any_page(browser: Browser, console: str) -> None:
    async with opened_page(browser, console) as watched:
        page = watched.page
        for address in ALL_PAGES:
            await page.goto(address)
            assert await page.evaluate("[window.ran, document.title.length > 1]") == [None, True], address
            assert await page.locator("main img:not([src^='/heat-map.png'])").count() == 0, address
            before = len(watched.errors)
            await page.evaluate(
                "const script = document.createElement('script'); script.textContent = 'window.ran = true';"
                "document.body.append(script)"
            )
            assert await page.evaluate("window.ran") is None, address
            assert any("Content Security Policy" in error for error in watched.errors[before:]), address
        await page.goto("/run?name=open")
        for group in ("Failures", "Events"):
            await expect(page.get_by_role("group", name=group)).to_contain_text("<script>window.ran = true</script>")
