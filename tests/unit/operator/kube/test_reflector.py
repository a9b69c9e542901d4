"""The list and the watch of a namespace, against a fault server."""

import asyncio

import pytest
from aiohttp import web

from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.informer import Informer
from scoring_operator.kube.reflector import MAX_RETRY_DELAY_SECONDS
from tests.testkit.fault_server import FaultServer, Handler, hang, refuse, reset
from tests.testkit.waiting import until_async
from tests.unit.operator.kube.informers import JOBS, View, names, running_informer


def test_failed_list_is_retried_after_at_most_10_s() -> None:
    assert MAX_RETRY_DELAY_SECONDS == 10


async def test_watch_ended_by_the_server_continues_without_relist(api: FaultServer, connection: KubeClient) -> None:
    async with running_informer(connection) as informer:
        for number in range(5):
            await until_async(lambda: api.watchers == 1)
            await api.close_watches()
            await api.put(JOBS, f"job-{number}")  # while no watch is open
        await until_async(lambda: len(names(informer)) == 5)
        assert informer.list_count == 1


async def send_cut_line(request: web.Request) -> web.StreamResponse:
    """Start a watch and cut it in the middle of a line."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"type": "ADD')
    await reset(request)
    return response


@pytest.mark.parametrize("fault", [reset, hang, send_cut_line, refuse(503)], ids=["reset", "silent", "cut", "503"])
async def test_broken_or_idle_watch_continues_without_relist(
    api: FaultServer, connection: KubeClient, fault: Handler
) -> None:
    api.watch_faults.append(fault)
    async with running_informer(connection) as informer:
        await api.put(JOBS, "a")
        await until_async(lambda: names(informer) == {"a"})
        assert informer.list_count == 1
        assert informer.last_error == ""


async def send_expired(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n')
    return response


async def send_error(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}\n')
    return response


async def send_html(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"<html>proxy</html>\n")
    return response


@pytest.mark.parametrize(
    "fault",
    [refuse(410, "Expired"), send_expired, send_error, send_html, refuse(403)],
    ids=["410", "410-event", "error-event", "html", "403"],
)
async def test_gap_in_events_leads_to_a_relist_that_finds_deletions(
    api: FaultServer, connection: KubeClient, fault: Handler
) -> None:
    await api.put(JOBS, "kept")
    await api.put(JOBS, "deleted")

    async def delete_unseen_then(request: web.Request) -> web.StreamResponse | None:
        await api.remove(JOBS, "deleted", notify=False)
        return await fault(request)

    api.watch_faults.append(delete_unseen_then)
    async with running_informer(connection) as informer:
        deleted: list[View | None] = []
        informer.on_change(lambda old, new: deleted.append(old if new is None else None))
        await until_async(lambda: names(informer) == {"kept"})
        assert informer.list_count == 2


def snapshot_of(api: FaultServer) -> Handler:
    """Return a handler that lists the objects as they are now."""
    items, version = list(api.objects.values()), str(api.version)

    async def stale(_request: web.Request) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": version}, "items": items})

    return stale


async def test_list_older_than_the_known_version_is_ignored(api: FaultServer, connection: KubeClient) -> None:
    await api.put(JOBS, "a")
    stale = snapshot_of(api)
    async with running_informer(connection) as informer:
        await api.put(JOBS, "b")
        await api.remove(JOBS, "a")
        await until_async(lambda: names(informer) == {"b"})
        changes: list[object] = []
        informer.on_change(lambda old, new: changes.append((old, new)))
        changes.clear()
        api.faults.extend([stale, stale])
        api.watch_faults.append(refuse(410))
        await api.close_watches()
        await until_async(lambda: informer.list_count == 2)
        assert changes == []


@pytest.mark.slow
async def test_restored_older_server_state_is_accepted_after_three_lists(
    api: FaultServer, connection: KubeClient
) -> None:
    await api.put(JOBS, "before")
    async with running_informer(connection) as informer:
        await api.put(JOBS, "after")
        await until_async(lambda: "after" in names(informer))
        del api.objects[JOBS, "after"]
        api.history.clear()
        api.version -= 1
        api.watch_faults.append(refuse(410))
        await api.close_watches()
        await until_async(lambda: names(informer) == {"before"})
        lists = [verb for verb, _path, _query in api.requests if verb == "GET"]
        assert len(lists) == 1 + 3 + 1  # the first one, those that are ignored, and the accepted one


async def test_without_namespaces_one_watch_covers_all_namespaces(api: FaultServer, connection: KubeClient) -> None:
    async with running_informer(connection, namespaces=[]):
        await until_async(lambda: api.watchers == 1)
    assert api.requests[-1][1] == "/apis/batch/v1/jobs"


async def test_watch_requests_bookmarks_and_a_timeout_of_290_to_590_s(api: FaultServer, connection: KubeClient) -> None:
    async with running_informer(connection):
        await until_async(lambda: api.watchers == 1)
    query = api.requests[-1][2]
    assert query["allowWatchBookmarks"] == "true"
    assert 290 <= int(query["timeoutSeconds"]) <= 590


async def test_bookmark_moves_the_version_to_continue_from(api: FaultServer, connection: KubeClient) -> None:
    async with running_informer(connection):
        await until_async(lambda: api.watchers == 1)
        api.version = 5000
        await api.emit(JOBS, "BOOKMARK", {"metadata": {"resourceVersion": "5000"}})
        await api.close_watches()
        await until_async(lambda: api.requests[-1][2].get("resourceVersion") == "5000")


async def test_dead_server_shows_as_age_and_last_error(api: FaultServer, connection: KubeClient) -> None:
    async with running_informer(connection) as informer:
        await api.server.close()
        await until_async(lambda: "Unavailable" in informer.last_error)
        age = informer.age()
        await until_async(lambda: informer.age() > age)


async def test_rejected_list_does_not_count_as_silence(api: FaultServer, connection: KubeClient) -> None:
    """The server responds, so a restart of the process would not help."""
    api.broken |= {JOBS: refuse(403)}
    informer = Informer(connection, api="apis/batch/v1", plural="jobs", type=View, namespaces=["ns"])
    await asyncio.sleep(0.2)
    task = asyncio.create_task(informer.run())
    await until_async(lambda: bool(informer.problems()))
    assert informer.silence() < 0.2
    task.cancel()
