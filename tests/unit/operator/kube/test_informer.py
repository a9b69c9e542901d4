"""The objects of an informer, from lists and watches of a fault server."""

import asyncio
from collections import Counter

import pytest

from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.informer import Informer, InformerLimits
from tests.testkit.fault_server import FaultServer, Handler, hang, refuse, reset
from tests.testkit.waiting import until_async
from tests.unit.operator.kube.informers import JOBS, View, color, names, running_informer


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
