"""List and watch against a server that misbehaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.informer import MAX_STALE_LISTS, Informer
from tests.testkit.fault_server import FaultServer, Handler, hang, refuse, reset

JOBS = "/apis/batch/v1/namespaces/ns/jobs"


class Meta(msgspec.Struct):
    name: str


class View(msgspec.Struct):
    metadata: Meta
    color: str = ""


@asynccontextmanager
async def mirroring(cluster: KubeClient, **settings: Any) -> AsyncIterator[Informer[View]]:
    mirror = Informer(cluster, api="apis/batch/v1", plural="jobs", type=View, **({"namespaces": ["ns"]} | settings))
    task = asyncio.create_task(mirror.run())
    try:
        await asyncio.wait_for(mirror.wait_for_sync(), 5)
        yield mirror
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.005)


def color(view: View | None) -> str | None:
    return view.color if view else None


def names(mirror: Informer[View]) -> set[str]:
    return {name for _namespace, name in mirror.snapshot()}


async def test_the_copy_follows_creates_changes_and_deletes(api: FaultServer, connection: KubeClient) -> None:
    for number in range(7):
        await api.put(JOBS, f"job-{number}")
    async with mirroring(connection) as mirror:
        assert len(names(mirror)) == 7
        await api.put(JOBS, "new", color="blue")
        await api.remove(JOBS, "job-0")
        await until(lambda: names(mirror) == {"new"} | {f"job-{number}" for number in range(1, 7)})
        assert mirror.snapshot()["ns", "new"].color == "blue"
        assert mirror.age() < 5
        assert mirror.last_error == ""


async def test_listeners_hear_of_what_the_view_shows_and_of_nothing_else(
    api: FaultServer, connection: KubeClient
) -> None:
    async with mirroring(connection) as mirror:
        heard: list[tuple[str | None, str | None]] = []
        mirror.on_change(lambda old, new: heard.append((color(old), color(new))))
        await api.put(JOBS, "a", color="red")
        await api.put(JOBS, "a", color="red", unseen=1)
        await api.put(JOBS, "a", color="blue")
        await api.remove(JOBS, "a")
        await until(lambda: len(heard) == 3)
    assert heard == [(None, "red"), ("red", "blue"), ("blue", None)]


async def test_watches_that_close_cleanly_many_times_are_resumed_without_a_list(
    api: FaultServer, connection: KubeClient
) -> None:
    async with mirroring(connection) as mirror:
        for number in range(5):
            await until(lambda: api.watchers == 1)
            await api.close_watches()
            await api.put(JOBS, f"job-{number}")  # while nobody watches
        await until(lambda: len(names(mirror)) == 5)
        assert mirror.list_count == 1


async def break_off(request: web.Request) -> web.StreamResponse:
    """Begin a watch and cut it in the middle of a line."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"type": "ADD')
    await reset(request)
    return response


@pytest.mark.parametrize("fault", [reset, hang, break_off, refuse(503)], ids=["reset", "silent", "cut", "503"])
async def test_a_watch_that_breaks_or_falls_silent_is_resumed_without_a_list(
    api: FaultServer, connection: KubeClient, fault: Handler
) -> None:
    api.watch_faults.append(fault)
    async with mirroring(connection) as mirror:
        await api.put(JOBS, "a")
        await until(lambda: names(mirror) == {"a"})
        assert mirror.list_count == 1
        assert mirror.last_error == ""


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


async def send_rubbish(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"<html>proxy</html>\n")
    return response


@pytest.mark.parametrize(
    "fault",
    [refuse(410, "Expired"), send_expired, send_error, send_rubbish, refuse(403)],
    ids=["410", "410-event", "error-event", "rubbish", "403"],
)
async def test_a_gap_leads_to_a_list_that_notices_deletions(
    api: FaultServer, connection: KubeClient, fault: Handler
) -> None:
    await api.put(JOBS, "kept")
    await api.put(JOBS, "deleted")

    async def delete_unseen_then(request: web.Request) -> web.StreamResponse | None:
        await api.remove(JOBS, "deleted", tell=False)
        return await fault(request)

    api.watch_faults.append(delete_unseen_then)
    async with mirroring(connection) as mirror:
        gone: list[View | None] = []
        mirror.on_change(lambda old, new: gone.append(old if new is None else None))
        await until(lambda: names(mirror) == {"kept"})
        assert mirror.list_count == 2


async def test_old_and_repeated_events_change_nothing(api: FaultServer, connection: KubeClient) -> None:
    await api.put(JOBS, "a", color="old")
    old = api.objects[JOBS, "a"]
    await api.put(JOBS, "gone")
    deleted = api.objects[JOBS, "gone"]
    async with mirroring(connection) as mirror:
        await api.put(JOBS, "a", color="new")
        await api.remove(JOBS, "gone")
        for body in (old, deleted, old):
            await api.emit(JOBS, "MODIFIED", body)
        await api.emit(JOBS, "DELETED", old)
        await api.put(JOBS, "end")
        await until(lambda: "end" in names(mirror))
        assert names(mirror) == {"a", "end"}
        assert mirror.snapshot()["ns", "a"].color == "new"


def snapshot_of(api: FaultServer) -> Handler:
    """Answer lists as the server would have at this moment."""
    items, version = list(api.objects.values()), str(api.version)

    async def stale(_request: web.Request) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": version}, "items": items})

    return stale


async def test_a_list_older_than_what_is_known_is_not_believed(api: FaultServer, connection: KubeClient) -> None:
    await api.put(JOBS, "a")
    stale = snapshot_of(api)
    async with mirroring(connection) as mirror:
        await api.put(JOBS, "b")
        await api.remove(JOBS, "a")
        await until(lambda: names(mirror) == {"b"})
        changes: list[object] = []
        mirror.on_change(lambda old, new: changes.append((old, new)))
        changes.clear()
        api.faults.extend([stale, stale])
        api.watch_faults.append(refuse(410))
        await api.close_watches()
        await until(lambda: mirror.list_count == 2)
        assert changes == []


@pytest.mark.slow
async def test_a_server_that_was_set_back_is_believed_in_the_end(api: FaultServer, connection: KubeClient) -> None:
    await api.put(JOBS, "before")
    async with mirroring(connection) as mirror:
        await api.put(JOBS, "after")
        await until(lambda: "after" in names(mirror))
        del api.objects[JOBS, "after"]
        api.history.clear()
        api.version -= 1
        api.watch_faults.append(refuse(410))
        await api.close_watches()
        await until(lambda: names(mirror) == {"before"})
        assert len([verb for verb, _path, _query in api.requests if verb == "GET"]) > MAX_STALE_LISTS


async def test_a_listener_that_comes_late_first_hears_of_all_that_is_there(
    api: FaultServer, connection: KubeClient
) -> None:
    await api.put(JOBS, "a", color="red")
    async with mirroring(connection) as mirror:
        heard: list[tuple[str | None, str | None]] = []
        mirror.on_change(lambda old, new: heard.append((color(old), color(new))))
        assert heard == [(None, "red")]
        mirror.remove_listeners()
        await api.put(JOBS, "a", color="blue")
        await until(lambda: mirror.snapshot()["ns", "a"].color == "blue")
        assert len(heard) == 1


async def test_a_listener_that_fails_does_not_end_the_mirror(api: FaultServer, connection: KubeClient) -> None:
    async with mirroring(connection) as mirror:

        def fail(_old: View | None, _new: View | None) -> None:
            if len(names(mirror)) == 1:
                raise RuntimeError("a bug")

        mirror.on_change(fail)
        await api.put(JOBS, "a")
        await api.put(JOBS, "b")
        await until(lambda: names(mirror) == {"a", "b"})


async def test_several_namespaces_have_a_watch_each(api: FaultServer, connection: KubeClient) -> None:
    async with mirroring(connection, namespaces=["ns", "other"], label_selector="a=b") as mirror:
        await until(lambda: api.watchers == 2)
        assert mirror.has_synced
    watches = [(path, query["labelSelector"]) for verb, path, query in api.requests if verb == "WATCH"]
    assert sorted(watches) == [(JOBS, "a=b"), ("/apis/batch/v1/namespaces/other/jobs", "a=b")]


async def test_without_namespaces_one_watch_covers_all(api: FaultServer, connection: KubeClient) -> None:
    async with mirroring(connection, namespaces=[]):
        await until(lambda: api.watchers == 1)
    assert api.requests[-1][1] == "/apis/batch/v1/jobs"


async def test_a_watch_asks_for_bookmarks_and_an_end_of_its_own(api: FaultServer, connection: KubeClient) -> None:
    async with mirroring(connection):
        await until(lambda: api.watchers == 1)
    query = api.requests[-1][2]
    assert query["allowWatchBookmarks"] == "true"
    assert 290 <= int(query["timeoutSeconds"]) <= 590


async def test_a_bookmark_moves_the_place_to_resume_from(api: FaultServer, connection: KubeClient) -> None:
    async with mirroring(connection):
        await until(lambda: api.watchers == 1)
        api.version = 5000
        await api.emit(JOBS, "BOOKMARK", {"metadata": {"resourceVersion": "5000"}})
        await api.close_watches()
        await until(lambda: api.requests[-1][2].get("resourceVersion") == "5000")


async def test_a_dead_server_shows_as_age_and_trouble(api: FaultServer, connection: KubeClient) -> None:
    async with mirroring(connection) as mirror:
        await api.server.close()
        await until(lambda: "Unavailable" in mirror.last_error)
        age = mirror.age()
        await until(lambda: mirror.age() > age)
