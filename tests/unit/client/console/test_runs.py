"""The pages Run and Schedules, with the objects of a fake API server."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from fleetscore import Fleet
from fleetscore.cluster.connection import Cluster
from fleetscore.console.app import create_app
from fleetscore.console.runs import run_rows
from fleetscore.contract.fleets import FleetLayout
from fleetscore.store.folder import FolderStore
from tests.testkit.console_fleet import HOSTILE
from tests.testkit.fake_release import NAMESPACE, RUNS, FakeRelease, fake_release

__all__ = ["fake_release"]
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"


def run(name: str, start: datetime, *, phase: str = "Running", **status: Any) -> dict[str, Any]:
    window = {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"}
    conditions = [{"type": "Complete", "status": "True", "reason": "AllDone"}] if phase == "Complete" else []
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "creationTimestamp": "2018-08-28T00:00:00Z"},
        "spec": {"fleet": "default", "window": window},
        "status": {"phase": phase, "conditions": conditions, **status},
    }


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
async def client(folder: Path, fake_release: FakeRelease) -> AsyncIterator[httpx.AsyncClient]:
    devices = {"total": 10, "scored": 3, "failed": 1, "active": 2}
    failure = {"device": HOSTILE, "reason": "<b>Bad</b>", "message": "a\nb<script>"}
    failed: dict[str, Any] = {"failureReasons": {"DataInvalid": 1}, "failures": [failure], "message": "4 of 10 done"}
    fake_release.lists[RUNS] = [
        run("newest", this_hour(), devices=devices, **failed),
        run("older", this_hour() - timedelta(hours=3), phase="Complete"),
    ]
    labels = {"fleetscore.dev/run": "newest"}
    fake_release.lists[JOBS] = [
        {"metadata": {"name": "newest-0", "labels": labels}, "status": {"active": 1}},
        {"metadata": {"name": "newest-1", "labels": labels}, "spec": {"suspend": True}},
    ]
    event = {"metadata": {}, "type": "Warning", "reason": "DevicesFailed", "message": "<i>1</i>"}
    fake_release.lists[EVENTS] = [event]
    fleet = Fleet(FleetLayout(), FolderStore(folder), Cluster.connect())
    transport = httpx.ASGITransport(app=create_app(fleet))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8087") as found:
        yield found


async def test_fleet_page_lists_runs_with_their_progress(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    assert 'data-live="/live"' in page
    assert '<a href="/run?name=newest">' in page
    assert '<progress aria-label="Devices done" max="10" value="4">' in page
    assert page.index(">newest<") < page.index(">older<")


async def test_run_page_has_counters_failures_jobs_and_events_as_text(client: httpx.AsyncClient) -> None:
    page = (await client.get("/run?name=newest")).text
    assert 'data-live="/live?name=newest"' in page
    assert '<span data-figure="done">4</span> of <span data-figure="total">10</span>' in page
    assert '<p data-figure="message">4 of 10 done</p>' in page
    assert "DataInvalid: <b>1</b>" in page
    assert "&lt;b&gt;Bad&lt;/b&gt;" in page
    assert "a b&lt;script&gt;" in page
    assert f'<a href="/device?id={quote(HOSTILE, safe="")}">' in page
    assert "<td>newest-0</td><td>Active</td>" in page
    assert "<td>newest-1</td><td>Suspended</td>" in page
    assert "&lt;i&gt;1&lt;/i&gt;" in page
    assert "data-live=" not in (await client.get("/run?name=older")).text


async def test_missing_right_for_jobs_is_named_and_the_rest_is_shown(
    client: httpx.AsyncClient, fake_release: FakeRelease
) -> None:
    fake_release.forbidden.add(JOBS)
    page = (await client.get("/run?name=newest")).text
    assert "does not allow this user to list jobs of run newest" in page
    assert "DevicesFailed" in page


async def test_missing_right_for_runs_is_named_and_the_history_is_shown(
    client: httpx.AsyncClient, fake_release: FakeRelease
) -> None:
    fake_release.forbidden.add(RUNS)
    response = await client.get("/")
    assert response.status_code == 403
    assert "does not allow this user to list runs in namespace scoring" in response.text
    assert "Newest window: 2018-08-28T16:00Z/1h, 3 devices." in response.text


async def test_storage_that_cannot_be_read_is_named_and_the_runs_are_shown(
    client: httpx.AsyncClient, folder: Path
) -> None:
    (folder / "predictions/_history/default/PT3600S/2018-W35.csv.gz").write_bytes(b"damaged")
    response = await client.get("/")
    assert response.status_code == 503
    assert "2018-W35.csv.gz is invalid" in response.text
    assert "There is no history" not in response.text
    assert '<a href="/run?name=newest">' in response.text


async def test_unknown_run_is_not_found(client: httpx.AsyncClient) -> None:
    response = await client.get("/run?name=%3Cscript%3E")
    assert response.status_code == 404
    assert "run &lt;script&gt; does not exist" in response.text


async def test_schedule_shows_windows_without_a_run(client: httpx.AsyncClient, fake_release: FakeRelease) -> None:
    fake_release.lists["/apis/batch/v1/cronjobs"][0]["metadata"]["creationTimestamp"] = (
        f"{datetime.now(UTC) - timedelta(hours=5):%Y-%m-%dT%H:%M:%SZ}"
    )
    page = (await client.get("/schedules")).text
    assert "<code>5 * * * *</code> UTC" in page
    assert ">missing</td>" in page
    assert '>complete</td><td class="id"><a href="/run?name=older">older</a>' in page


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"schedule": "@yearly"}, r"\d{4}-01-01T00:00:00Z, for window \d{4}-12-31T23:00Z/1h"),
        ({"schedule": "0 12 1 6 *", "timeZone": "Asia/Kolkata"}, r"\d{4}-06-01T06:30:00Z, for window "),
        ({"schedule": "@yearly", "suspend": True}, "none while suspended"),
        ({"schedule": "0 0 30 2 *"}, "none within five years"),
        ({"schedule": "@every 1h<b>"}, "unknown: &#39;@every 1h&lt;b&gt;&#39; has 2 fields in place of 5"),
        ({"timeZone": "Mars/Olympus"}, "unknown: time zone &#39;Mars/Olympus&#39; is unknown on this machine"),
    ],
)
async def test_schedule_shows_its_next_firing_in_utc(
    client: httpx.AsyncClient, fake_release: FakeRelease, spec: dict[str, Any], text: str
) -> None:
    fake_release.lists["/apis/batch/v1/cronjobs"][0]["spec"].update(spec)
    assert re.search(f"<dt>Next firing \\(UTC\\)</dt><dd>{text}", (await client.get("/schedules")).text)


def test_runs_that_have_not_ended_are_listed_first() -> None:
    runs = [run("ended", this_hour(), phase="Complete"), run("active", this_hour() - timedelta(hours=9))]
    assert [row["name"] for row in run_rows(runs)] == ["active", "ended"]
