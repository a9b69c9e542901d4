"""The limits of lists, whose objects other users may create."""

import asyncio

import msgspec
import pytest
from aiohttp import web

from scoring_operator.errors import ResponseTooLarge
from scoring_operator.kube import listing
from scoring_operator.kube.client import KubeClient
from tests.testkit.fault_server import FaultServer

PODS = "/api/v1/namespaces/ns/pods"
LARGE = "x" * 1000


def test_limits_of_a_list() -> None:
    assert (listing.MAX_PAGE_BYTES, listing.MAX_LIST_BYTES, listing.MAX_LIST_ITEMS) == (8_388_608, 8_388_608, 10_000)
    assert (listing.MAX_LIST_SECONDS, listing.MAX_LISTS) == (30.0, 4)


def limits(api: FaultServer) -> list[str]:
    return [query["limit"] for _, _, query in api.requests]


async def names(client: KubeClient) -> list[str]:
    return [msgspec.json.decode(item)["metadata"]["name"] async for page, _ in client.pages(PODS) for item in page]


async def test_page_with_too_many_bytes_is_read_with_fewer_objects(
    api: FaultServer, connection: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_PAGE_BYTES", 2500)
    for name in ("a", "b"):
        await api.put(PODS, name, padding=LARGE)
    for name in ("c", "d", "e"):
        await api.put(PODS, name, padding=LARGE * 2)
    assert await names(connection) == ["a", "b", "c", "d", "e"]
    assert limits(api) == ["3", "1", "1", "1", "1", "1"]


async def test_pages_grow_again_after_large_objects(
    api: FaultServer, connection: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_PAGE_BYTES", 4000)
    for name, length in zip("abcdef", (3000, 400, 400, 0, 0, 0), strict=True):
        await api.put(PODS, name, padding="x" * length)
    assert await names(connection) == list("abcdef")
    assert limits(api) == ["3", "1", "1", "2", "3"]


async def test_object_that_alone_has_too_many_bytes_is_an_error(
    api: FaultServer, connection: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_PAGE_BYTES", 100)
    await api.put(PODS, "a", padding=LARGE)
    with pytest.raises(ResponseTooLarge, match="more than 100 bytes"):
        await names(connection)


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_LIST_BYTES", 2000), ("MAX_LIST_SECONDS", -1.0), ("MAX_LIST_ITEMS", 3)]
)
async def test_list_ends_at_a_limit_and_is_not_complete(
    api: FaultServer, connection: KubeClient, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(listing, limit, value)
    for number in range(7):
        await api.put(PODS, f"pod-{number}", padding=LARGE)
    found = await connection.list(PODS, type=dict)
    assert (len(found.items), found.complete, len(api.requests)) == (3, False, 1)


async def test_lists_of_one_namespace_do_not_delay_those_of_another(api: FaultServer) -> None:
    released = asyncio.Event()
    arrived = asyncio.Semaphore(0)

    async def hold(_request: web.Request) -> None:
        arrived.release()
        await released.wait()

    api.broken[PODS] = hold
    async with KubeClient.connect(api.credentials) as client:  # shorter timeouts would repeat the requests
        held = [asyncio.create_task(client.list(PODS, type=dict)) for _ in range(6)]
        for _ in range(listing.MAX_LISTS):
            await arrived.acquire()
        assert (await client.list("/api/v1/namespaces/other/pods", type=dict)).items == []
        assert len(api.requests) == listing.MAX_LISTS + 1
        released.set()
        await asyncio.gather(*held)
