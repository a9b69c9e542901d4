"""List and watch against a fault server."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.informer import Informer, InformerLimits
from tests.testkit.fault_server import FaultServer, Handler, hang, refuse, reset
from tests.testkit.waiting import until_async

JOBS = "/apis/batch/v1/namespaces/ns/jobs"


class Meta(msgspec.Struct):
    name: str


class View(msgspec.Struct):
    metadata: Meta
    color: str = ""


@asynccontextmanager
async def running_informer(client: KubeClient, **settings: Any) -> AsyncIterator[Informer[View]]:
    informer = Informer(client, api="apis/batch/v1", plural="jobs", type=View, **({"namespaces": ["ns"]} | settings))
    task = asyncio.create_task(informer.run())
    try:
        await asyncio.wait_for(informer.wait_for_sync(), 5)
        yield informer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def color(view: View | None) -> str | None:
    return view.color if view else None


def names(informer: Informer[View]) -> set[str]:
    return {name for _namespace, name in informer.snapshot()}


async def test_informer_follows_creates_changes_and_deletes(api: FaultServer, connection: KubeClient) -> None:
    for number in range(7):
        await api.put(JOBS, f"job-{number}")
    async with running_informer(connection) as informer:
        assert len(names(informer)) == 7
        await api.put(JOBS, "new", color="blue")
        await api.remove(JOBS, "job-0")
        await until_async(lambda: names(informer) == {"new"} | {f"job-{number}" for number in range(1, 7)})
        assert informer.snapshot()["ns", "new"].color == "blue"
        assert informer.age() < 5
        assert informer.last_error == ""


async def test_listener_gets_only_changes_that_the_type_shows(api: FaultServer, connection: KubeClient) -> None:
    async with running_informer(connection) as informer:
        changes_seen: list[tuple[str | None, str | None]] = []
        informer.on_change(lambda old, new: changes_seen.append((color(old), color(new))))
        await api.put(JOBS, "a", color="red")
        await api.put(JOBS, "a", color="red", unseen=1)
        await api.put(JOBS, "a", color="blue")
        await api.remove(JOBS, "a")
        await until_async(lambda: len(changes_seen) == 3)
    assert changes_seen == [(None, "red"), ("red", "blue"), ("blue", None)]


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


async def test_old_and_repeated_events_are_ignored(api: FaultServer, connection: KubeClient) -> None:
    await api.put(JOBS, "a", color="old")
    old = api.objects[JOBS, "a"]
    await api.put(JOBS, "deleted")
    deleted = api.objects[JOBS, "deleted"]
    async with running_informer(connection) as informer:
        await api.put(JOBS, "a", color="new")
        await api.remove(JOBS, "deleted")
        for body in (old, deleted, old):
            await api.emit(JOBS, "MODIFIED", body)
        await api.emit(JOBS, "DELETED", old)
        await api.put(JOBS, "end")
        await until_async(lambda: "end" in names(informer))
        assert names(informer) == {"a", "end"}
        assert informer.snapshot()["ns", "a"].color == "new"


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
        assert len([verb for verb, _path, _query in api.requests if verb == "GET"]) > 3


async def test_late_listener_first_gets_all_known_objects(api: FaultServer, connection: KubeClient) -> None:
    await api.put(JOBS, "a", color="red")
    async with running_informer(connection) as informer:
        changes_seen: list[tuple[str | None, str | None]] = []
        informer.on_change(lambda old, new: changes_seen.append((color(old), color(new))))
        assert changes_seen == [(None, "red")]
        informer.remove_listeners()
        await api.put(JOBS, "a", color="blue")
        await until_async(lambda: informer.snapshot()["ns", "a"].color == "blue")
        assert len(changes_seen) == 1


async def test_failing_listener_does_not_end_the_informer(api: FaultServer, connection: KubeClient) -> None:
    async with running_informer(connection) as informer:

        def fail(_old: View | None, _new: View | None) -> None:
            if len(names(informer)) == 1:
                raise RuntimeError("a bug")

        informer.on_change(fail)
        await api.put(JOBS, "a")
        await api.put(JOBS, "b")
        await until_async(lambda: names(informer) == {"a", "b"})


async def test_each_namespace_has_its_own_watch(api: FaultServer, connection: KubeClient) -> None:
    async with running_informer(connection, namespaces=["ns", "other"], label_selector="a=b") as informer:
        await until_async(lambda: api.watchers == 2)
        assert informer.has_synced
    watches = [(path, query["labelSelector"]) for verb, path, query in api.requests if verb == "WATCH"]
    assert sorted(watches) == [(JOBS, "a=b"), ("/apis/batch/v1/namespaces/other/jobs", "a=b")]


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


OTHER_JOBS = "/apis/batch/v1/namespaces/other/jobs"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(refuse(403), "Forbidden"), (refuse(404), "NotFound"), (refuse(500), "Unavailable"), (reset, "Unavailable")],
    ids=["403", "404", "500", "reset"],
)
async def test_namespace_that_cannot_be_listed_keeps_no_other_one_waiting(
    api: FaultServer, connection: KubeClient, fault: Handler, reason: str
) -> None:
    api.broken[OTHER_JOBS] = fault
    await api.put(JOBS, "a")
    async with running_informer(connection, namespaces=["other", "ns"]) as informer:
        assert informer.has_synced
        assert names(informer) == {"a"}
        await until_async(lambda: "other" in informer.problems())
        assert informer.problems()["other"].startswith(reason)
        waiting = asyncio.create_task(informer.wait_for_namespace("other"))
        await asyncio.wait_for(informer.wait_for_namespace("ns"), 5)
        assert not waiting.done()
        del api.broken[OTHER_JOBS]
        await asyncio.wait_for(waiting, 15)
        await until_async(lambda: "other" not in informer.problems())


def test_limits_of_an_informer_have_these_defaults() -> None:
    assert InformerLimits() == InformerLimits(max_objects=30_000, max_all_objects=40_000, sync_grace=15.0)


async def test_silent_list_of_one_namespace_delays_the_others_until_the_limit(
    api: FaultServer, connection: KubeClient
) -> None:
    api.broken[OTHER_JOBS] = hang
    limits = InformerLimits(sync_grace=0.1)
    async with running_informer(connection, namespaces=["other", "ns"], limits=limits) as informer:
        assert informer.has_synced


async def test_nothing_is_synced_while_no_namespace_can_be_listed(api: FaultServer, connection: KubeClient) -> None:
    api.broken |= {JOBS: refuse(403), OTHER_JOBS: refuse(403)}
    informer = Informer(connection, api="apis/batch/v1", plural="jobs", type=View, namespaces=["ns", "other"])
    task = asyncio.create_task(informer.run())
    await until_async(lambda: len(informer.problems()) == 2)
    assert not informer.has_synced
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(informer.wait_for_sync(), 0.1)
    task.cancel()


async def test_rejected_list_does_not_count_as_silence(api: FaultServer, connection: KubeClient) -> None:
    """The server responds, so a restart of the process would not help."""
    api.broken |= {JOBS: refuse(403)}
    informer = Informer(connection, api="apis/batch/v1", plural="jobs", type=View, namespaces=["ns"])
    await asyncio.sleep(0.2)
    task = asyncio.create_task(informer.run())
    await until_async(lambda: bool(informer.problems()))
    assert informer.silence() < 0.2
    task.cancel()


async def test_silence_is_that_of_the_most_recent_watch(api: FaultServer, connection: KubeClient) -> None:
    api.broken |= {OTHER_JOBS: hang}
    async with running_informer(connection, namespaces=["ns", "other"], relist_interval=0.0) as informer:
        await until_async(lambda: informer.age() > 0.5)
        await api.close_watches()
        await until_async(lambda: informer.silence() < 0.5 < informer.age())


async def test_informer_holds_a_limited_number_of_objects_of_a_namespace(
    api: FaultServer, connection: KubeClient, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(7):
        await api.put(JOBS, f"job-{number}")
    limits = InformerLimits(max_objects=5)
    async with running_informer(connection, relist_interval=0.2, limits=limits) as informer:
        assert names(informer) == {f"job-{number}" for number in range(5)}
        await api.put(JOBS, "job-6", color="red")
        await api.put(JOBS, "job-1", color="red")
        await until_async(lambda: color(informer.snapshot()["ns", "job-1"]) == "red")
        await until_async(lambda: "more than 5 jobs" in informer.problems().get("ns", ""))
        for number in range(2):
            await api.remove(JOBS, f"job-{number}")
        await api.close_watches()
        await until_async(lambda: names(informer) == {f"job-{number}" for number in range(2, 7)})
        await until_async(lambda: not informer.problems())
    assert sum("namespace ns" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.fault("T12")
async def test_full_namespaces_leave_an_even_part_of_all_objects_to_another(
    api: FaultServer, connection: KubeClient
) -> None:
    for number in range(9):
        await api.put(JOBS, f"a-{number}")
    limits = InformerLimits(max_all_objects=6)
    async with running_informer(connection, namespaces=["ns", "other"], limits=limits) as informer:
        await until_async(lambda: "all namespaces have more than 6 jobs" in informer.problems().get("ns", ""))
        for number in range(5):
            meta = {"namespace": "other", "name": f"b-{number}", "resourceVersion": str(api.version + 1)}
            await api.put(OTHER_JOBS, f"b-{number}", metadata=meta)
        await until_async(lambda: "other" in informer.problems())
        assert Counter(namespace for namespace, _ in informer.snapshot()) == {"ns": 6, "other": 3}
