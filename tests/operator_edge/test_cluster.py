"""The API client against a server that misbehaves."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from scoring_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    QuotaExceeded,
    Throttled,
    Unavailable,
)
from scoring_operator.kube.client import ClientTimeouts, KubeClient
from scoring_operator.kube.credentials import Credentials
from tests.testkit.fault_server import FaultServer, hang, refuse, reset

JOBS = "/apis/batch/v1/namespaces/ns/jobs"
JOB = {"metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "bad", Invalid),
        (403, "no", Forbidden),
        (403, 'jobs.batch "a" is forbidden: exceeded quota: few', QuotaExceeded),
        (404, "no such", NotFound),
        (409, "there", AlreadyExists),
        (410, "too old", Gone),
        (413, "too large", Invalid),
        (418, "teapot", ApiError),
        (422, "bad", Invalid),
        (500, "oh", Unavailable),
        (503, "later", Unavailable),
        (504, "timeout", Unavailable),
    ],
)
async def test_a_refused_create_says_by_its_type_what_to_do(
    api: FaultServer, connection: KubeClient, status: int, message: str, kind: type[ApiError]
) -> None:
    api.faults.append(refuse(status, "Reason", message))
    with pytest.raises(ApiError) as caught:
        await connection.create(JOBS, JOB)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason, caught.value.message) == (status, "Reason", message)
    assert len(api.requests) == 1


async def test_a_conflict_on_a_replace_is_no_foreign_object(api: FaultServer, connection: KubeClient) -> None:
    api.faults.append(refuse(409, "Conflict"))
    with pytest.raises(Conflict):
        await connection.replace(f"{JOBS}/a", JOB)


@pytest.mark.slow
async def test_a_throttled_write_waits_as_long_as_it_was_told_and_keeps_its_name(
    api: FaultServer, connection: KubeClient
) -> None:
    api.faults.extend([refuse(429, Retry_After="1"), refuse(429, Retry_After="0")])
    began = time.monotonic()
    await connection.create(JOBS, JOB)
    assert time.monotonic() - began >= 1.0
    assert [name for _path, name in api.objects] == ["a"]
    assert len(api.requests) == 3


async def test_a_server_that_asks_for_more_patience_than_there_is_gets_no_second_request(
    api: FaultServer, connection: KubeClient
) -> None:
    api.faults.append(refuse(429, Retry_After="3600"))
    with pytest.raises(Throttled) as caught:
        await connection.create(JOBS, JOB)
    assert caught.value.retry_after == 3600
    assert len(api.requests) == 1


@pytest.mark.slow
async def test_a_request_that_was_given_up_while_throttled_is_not_sent_again_before_its_time(
    api: FaultServer, connection: KubeClient
) -> None:
    api.faults.extend([refuse(429, Retry_After="2")] * 2)  # twice: that is all its patience of 3 s
    with pytest.raises(Throttled):
        await connection.create(JOBS, JOB)
    began = time.monotonic()
    await connection.create(JOBS, JOB)
    assert 1.9 < time.monotonic() - began < 3


@pytest.mark.parametrize("fault", [refuse(503), refuse(500), refuse(429), reset], ids=["503", "500", "429", "reset"])
async def test_a_read_is_repeated_until_it_has_an_answer(
    api: FaultServer, connection: KubeClient, fault: object
) -> None:
    await api.put(JOBS, "a")
    api.faults.extend([fault, fault])  # type: ignore[list-item]  # handlers of two shapes
    items, version = await connection.list(JOBS, type=dict)
    assert [item["metadata"]["name"] for item in items] == ["a"]
    assert version == str(api.version)


@pytest.mark.parametrize("fault", [refuse(503), reset, hang], ids=["503", "reset", "hang"])
async def test_a_write_without_an_answer_is_not_repeated(
    api: FaultServer, connection: KubeClient, fault: object
) -> None:
    api.faults.append(fault)  # type: ignore[arg-type]  # handlers of two shapes
    with pytest.raises(Unavailable):
        await connection.create(JOBS, JOB)
    assert len(api.requests) == 1


async def test_a_write_whose_answer_was_lost_is_found_done_when_tried_again(
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


async def test_a_list_is_read_in_pages(api: FaultServer, connection: KubeClient) -> None:
    for number in range(7):
        await api.put(JOBS, f"job-{number}")
    items, _ = await connection.list(JOBS, type=dict)
    assert len(items) == 7
    assert len(api.requests) == 3  # of three each


async def test_a_page_that_is_too_old_is_said_to_be_gone(api: FaultServer, connection: KubeClient) -> None:
    for number in range(4):
        await api.put(JOBS, f"job-{number}")

    async def serve(_request: web.Request) -> None:
        return None

    api.faults.extend([serve, refuse(410, "Expired")])
    with pytest.raises(Gone):
        await connection.list(JOBS, type=dict)


async def test_a_patch_of_status_goes_ahead_of_writes_that_wait_for_their_turn(
    api: FaultServer, connection: KubeClient
) -> None:
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


async def test_a_patch_can_be_bound_to_a_version(api: FaultServer, connection: KubeClient) -> None:
    bodies = []

    async def record(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({})

    api.faults.append(record)
    body = {"metadata": {"labels": {"a": "b"}}, "status": {}}
    await connection.patch("/x", body, resource_version="7", subresource="status")
    assert bodies == [{"metadata": {"labels": {"a": "b"}, "resourceVersion": "7"}, "status": {}}]
    assert body["metadata"] == {"labels": {"a": "b"}}


async def test_a_rotated_token_is_read_again_when_the_old_one_is_refused(api: FaultServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    credentials = Credentials(server=api.credentials.server, token_file=token)
    async with KubeClient.connect(credentials) as cluster:
        await cluster.create(JOBS, JOB)
        token.write_text("new\n")
        api.faults.append(refuse(401))
        await cluster.create(JOBS, {"metadata": {"name": "b"}})
    assert api.tokens == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_token_that_stays_refused_is_forbidden(api: FaultServer, connection: KubeClient) -> None:
    api.faults.extend([refuse(401), refuse(401)])
    with pytest.raises(Forbidden):
        await connection.create(JOBS, JOB)


async def test_no_server_at_all_is_unavailable() -> None:
    limits = ClientTimeouts(retry_budget=0.1)
    async with KubeClient.connect(Credentials(server="http://127.0.0.1:9"), timeouts=limits) as cluster:
        with pytest.raises(Unavailable):
            await cluster.get("/x")


async def test_a_silent_watch_is_given_up(api: FaultServer, connection: KubeClient) -> None:
    api.watch_faults.append(hang)
    with pytest.raises(Unavailable):
        await anext(connection.watch(JOBS, resource_version="1", seconds=300))


async def test_an_event_larger_than_any_buffer_arrives_whole(api: FaultServer, connection: KubeClient) -> None:
    await api.put(JOBS, "a", payload="x" * 1_000_000)
    async for line in connection.watch(JOBS, resource_version="1", seconds=300):
        assert len(msgspec.json.decode(line)["object"]["payload"]) == 1_000_000
        break


async def test_each_answer_is_reported_to_the_observer(api: FaultServer) -> None:
    seen: list[tuple[str, int]] = []
    async with KubeClient.connect(
        api.credentials, observer=lambda verb, status: seen.append((verb, status))
    ) as cluster:
        api.faults.append(refuse(429, Retry_After="0"))
        await cluster.create(JOBS, JOB)
        await cluster.list(JOBS, type=dict)
    assert seen == [("POST", 429), ("POST", 200), ("LIST", 200)]
