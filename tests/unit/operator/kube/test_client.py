"""Retries, pages, watches, patches and the fence of the API client, against a fault server."""

import asyncio
import time

import msgspec
import pytest
from aiohttp import web

from scoring_operator.errors import (
    AlreadyExists,
    Gone,
    LeaseLost,
    Throttled,
    Unavailable,
)
from scoring_operator.kube.client import MAX_READS, ClientTimeouts, KubeClient
from scoring_operator.kube.listing import ListLimits
from tests.testkit.fault_server import FaultServer, hang, refuse, reset
from tests.testkit.waiting import until_async

JOBS = "/apis/batch/v1/namespaces/ns/jobs"


JOB = {"metadata": {"name": "a"}}


def test_timeouts_and_page_size_of_a_client_have_these_defaults() -> None:
    assert ClientTimeouts() == ClientTimeouts(
        request=30,
        page=60,
        retry_budget=60,
        idle=75,
        initial_backoff=0.2,
        page_size=200,
        lists=ListLimits(),
    )


@pytest.mark.slow
async def test_throttled_write_waits_for_retry_after_and_keeps_its_name(
    api: FaultServer, connection: KubeClient
) -> None:
    api.faults.extend([refuse(429, Retry_After="1"), refuse(429, Retry_After="0")])
    began = time.monotonic()
    await connection.create(JOBS, JOB)
    assert time.monotonic() - began >= 1.0
    assert [name for _path, name in api.objects] == ["a"]
    assert len(api.requests) == 3


async def test_retry_after_beyond_the_retry_budget_is_not_retried(api: FaultServer, connection: KubeClient) -> None:
    api.faults.append(refuse(429, Retry_After="3600"))
    with pytest.raises(Throttled) as caught:
        await connection.create(JOBS, JOB)
    assert caught.value.retry_after == 3600
    assert len(api.requests) == 1


@pytest.mark.slow
async def test_throttled_request_after_used_up_budget_waits_for_retry_after(
    api: FaultServer, connection: KubeClient
) -> None:
    api.faults.extend([refuse(429, Retry_After="2")] * 2)  # twice: the retry budget is 3 s
    with pytest.raises(Throttled):
        await connection.create(JOBS, JOB)
    began = time.monotonic()
    await connection.create(JOBS, JOB)
    assert 1.9 < time.monotonic() - began < 3


@pytest.mark.parametrize("fault", [refuse(503), refuse(500), refuse(429), reset], ids=["503", "500", "429", "reset"])
async def test_read_is_retried_until_it_succeeds(api: FaultServer, connection: KubeClient, fault: object) -> None:
    await api.put(JOBS, "a")
    api.faults.extend([fault, fault])  # type: ignore[list-item]  # handlers of two shapes
    [(items, version)] = [page async for page in connection.pages(JOBS)]
    assert [msgspec.json.decode(item)["metadata"]["name"] for item in items] == ["a"]
    assert version == str(api.version)


@pytest.mark.parametrize("fault", [refuse(503), reset, hang], ids=["503", "reset", "hang"])
async def test_write_without_response_is_not_retried(api: FaultServer, connection: KubeClient, fault: object) -> None:
    api.faults.append(fault)  # type: ignore[arg-type]  # handlers of two shapes
    with pytest.raises(Unavailable):
        await connection.create(JOBS, JOB)
    assert len(api.requests) == 1


async def test_write_with_lost_response_raises_already_exists_on_retry(
    api: FaultServer, connection: KubeClient
) -> None:
    async def lose_the_answer(request: web.Request) -> None:
        await api.put(request.path, (await request.json())["metadata"]["name"])
        await reset(request)

    api.faults.append(lose_the_answer)
    with pytest.raises(Unavailable):
        await connection.create(JOBS, JOB)
    with pytest.raises(AlreadyExists):
        await connection.create(JOBS, JOB)


async def test_list_is_read_in_pages(api: FaultServer, connection: KubeClient) -> None:
    for number in range(7):
        await api.put(JOBS, f"job-{number}")
    found = await connection.list(JOBS, type=dict)
    assert (len(found.items), found.complete) == (7, True)
    assert len(api.requests) == 3  # of three each


async def test_list_with_enough_items_reads_no_further_page(api: FaultServer, connection: KubeClient) -> None:
    for number in range(7):
        await api.put(JOBS, f"job-{number}")
    found = await connection.list(JOBS, max_items=4, type=dict)
    assert [item["metadata"]["name"] for item in found.items] == [f"job-{number}" for number in range(6)]
    assert not found.complete
    assert len(api.requests) == 2


async def test_list_whose_version_expires_between_pages_raises_its_type(
    api: FaultServer, connection: KubeClient
) -> None:
    for number in range(4):
        await api.put(JOBS, f"job-{number}")

    async def serve(_request: web.Request) -> None:
        return None

    api.faults.extend([serve, refuse(410, "Expired")])
    with pytest.raises(Gone):
        await connection.list(JOBS, type=dict)


async def test_status_patch_bypasses_writes_that_wait_for_a_slot(api: FaultServer, connection: KubeClient) -> None:
    connection.limiter.limit = 1.0
    arrived = asyncio.Event()

    async def hold(_request: web.Request) -> None:
        arrived.set()
        await hang(_request)

    api.faults.append(hold)
    creates = [asyncio.create_task(connection.create(JOBS, {"metadata": {"name": name}})) for name in "ab"]
    await arrived.wait()
    await connection.patch("/apis/x/y", {"metadata": {"name": "r"}}, subresource="status")
    assert [path for _verb, path, _query in api.requests] == [JOBS, "/apis/x/y/status"]
    for create in creates:
        create.cancel()
    await asyncio.gather(*creates, return_exceptions=True)


@pytest.mark.parametrize(
    ("creates", "reads", "limit", "urgent"),
    [(1, 0, 4.0, True), (0, 1, 4.0, True), (1, 1, 4.0, False), (4, 0, 4.0, False), (5, 0, 4.0, True)],
    ids=["a single write", "a single read", "two", "no write waits", "a write waits"],
)
async def test_response_is_urgent_if_another_request_waits_for_it(
    api: FaultServer, connection: KubeClient, *, creates: int, reads: int, limit: float, urgent: bool
) -> None:
    connection.limiter.limit = limit
    assert not connection.next_response_is_urgent
    api.faults.extend([hang] * (creates + reads))
    requests = [connection.create(JOBS, {"metadata": {"name": str(number)}}) for number in range(creates)]
    requests += [connection.get(f"/x/{number}") for number in range(reads)]
    tasks = [asyncio.create_task(request) for request in requests]
    await until_async(lambda: len(api.requests) == min(creates, int(limit)) + reads)
    assert connection.next_response_is_urgent is urgent
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not connection.next_response_is_urgent


@pytest.mark.fault("T12")
async def test_reads_of_many_runs_are_limited_and_a_lease_does_not_wait(
    api: FaultServer, connection: KubeClient
) -> None:
    arrived, release = [], asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        arrived.append(request.path)
        await release.wait()
        return web.json_response({})

    lease = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/operator"
    api.broken |= {f"/x/{number}": hold for number in range(MAX_READS + 20)}
    api.broken[lease] = hold
    reads = [asyncio.create_task(connection.get(path)) for path in api.broken]
    await until_async(lambda: lease in arrived and len(arrived) > MAX_READS)
    await asyncio.sleep(0.02)
    assert len(arrived) == MAX_READS + 1 == 65
    release.set()
    await asyncio.gather(*reads)
    assert len(arrived) == MAX_READS + 21


async def test_write_that_waits_for_a_slot_while_the_fence_closes_is_not_sent(
    api: FaultServer, connection: KubeClient
) -> None:
    is_open = [True]
    fenced = connection.with_fence(lambda: is_open[0])
    fenced.limiter.limit = 1.0

    async def close_fence(_request: web.Request) -> None:
        is_open[0] = False

    api.faults.append(close_fence)
    results = await asyncio.gather(
        *(fenced.create(JOBS, {"metadata": {"name": name}}) for name in "ab"), return_exceptions=True
    )
    assert [type(one) for one in results] == [dict, LeaseLost]
    assert len(api.requests) == 1


async def test_patch_with_resource_version_sends_it_and_keeps_the_body(
    api: FaultServer, connection: KubeClient
) -> None:
    bodies = []

    async def record(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({})

    api.faults.append(record)
    body = {"metadata": {"labels": {"a": "b"}}, "status": {}}
    await connection.patch("/x", body, resource_version="7", subresource="status")
    assert bodies == [{"metadata": {"labels": {"a": "b"}, "resourceVersion": "7"}, "status": {}}]
    assert body["metadata"] == {"labels": {"a": "b"}}


async def test_json_patch_sends_its_operations_to_the_subresource(api: FaultServer, connection: KubeClient) -> None:
    received = []

    async def record(request: web.Request) -> web.Response:
        received.append((request.path, request.headers["Content-Type"], await request.json()))
        return web.json_response({"a": "b"})

    api.faults.append(record)
    operations = [{"op": "test", "path": "/metadata/uid", "value": "1"}, {"op": "remove", "path": "/status"}]
    assert await connection.json_patch("/x", operations, subresource="status") == {"a": "b"}
    assert received == [("/x/status", "application/json-patch+json", operations)]


async def test_idle_watch_raises_unavailable(api: FaultServer, connection: KubeClient) -> None:
    api.watch_faults.append(hang)
    with pytest.raises(Unavailable):
        await anext(connection.watch(JOBS, resource_version="1", seconds=300))


async def test_watch_event_of_a_megabyte_arrives_complete(api: FaultServer, connection: KubeClient) -> None:
    await api.put(JOBS, "a", payload="x" * 1_000_000)
    async for line in connection.watch(JOBS, resource_version="1", seconds=300):
        assert len(msgspec.json.decode(line)["object"]["payload"]) == 1_000_000
        break


async def test_throttled_write_is_not_retried_after_the_fence_closes(api: FaultServer, connection: KubeClient) -> None:
    answers = iter([True, False])
    fenced = connection.with_fence(lambda: next(answers))
    api.faults.append(refuse(429, Retry_After="0"))
    with pytest.raises(LeaseLost):
        await fenced.create("/apis/x", {"metadata": {"name": "y"}})
    assert len(api.requests) == 1


async def test_read_is_sent_while_the_fence_is_closed(api: FaultServer, connection: KubeClient) -> None:
    await api.put("/apis/x", "a")
    assert (await connection.with_fence(lambda: False).list("/apis/x", type=dict)).items
