"""The limits of lists, whose objects other users may create."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import web

from scoring_operator.errors import ResponseTooLarge
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.listing import ListLimits
from tests.testkit.fault_server import FaultServer
from tests.unit.operator.kube.conftest import SHORT

PODS = "/api/v1/namespaces/ns/pods"
LARGE = "x" * 1000


def test_limits_of_pages_and_lists_have_these_defaults() -> None:
    assert ListLimits() == ListLimits(
        max_page_bytes=8_388_608, max_bytes=8_388_608, max_items=10_000, max_seconds=30.0, max_lists=4
    )


@asynccontextmanager
async def connected(api: FaultServer, **limits: Any) -> AsyncIterator[KubeClient]:
    timeouts = replace(SHORT, lists=ListLimits(**limits))
    async with KubeClient.connect(api.credentials, timeouts=timeouts) as client:
        yield client


def limits(api: FaultServer) -> list[str]:
    return [query["limit"] for _, _, query in api.requests]


async def names(client: KubeClient) -> list[str]:
    return [msgspec.json.decode(item)["metadata"]["name"] async for page, _ in client.pages(PODS) for item in page]


async def test_page_with_too_many_bytes_is_read_with_fewer_objects(api: FaultServer) -> None:
    for name in ("a", "b"):
        await api.put(PODS, name, padding=LARGE)
    for name in ("c", "d", "e"):
        await api.put(PODS, name, padding=LARGE * 2)
    async with connected(api, max_page_bytes=2500) as client:
        assert await names(client) == ["a", "b", "c", "d", "e"]
    assert limits(api) == ["3", "1", "1", "1", "1", "1"]


async def test_pages_grow_again_after_large_objects(api: FaultServer) -> None:
    for name, length in zip("abcdef", (3000, 400, 400, 0, 0, 0), strict=True):
        await api.put(PODS, name, padding="x" * length)
    async with connected(api, max_page_bytes=4000) as client:
        assert await names(client) == list("abcdef")
    assert limits(api) == ["3", "1", "1", "2", "3"]


async def test_object_that_alone_has_too_many_bytes_is_an_error(api: FaultServer) -> None:
    await api.put(PODS, "a", padding=LARGE)
    async with connected(api, max_page_bytes=100) as client:
        with pytest.raises(ResponseTooLarge, match="more than 100 bytes"):
            await names(client)


@pytest.mark.parametrize("limits", [{"max_bytes": 2000}, {"max_seconds": -1.0}, {"max_items": 3}], ids=str)
async def test_list_ends_at_a_limit_and_is_not_complete(api: FaultServer, limits: dict[str, float]) -> None:
    for number in range(7):
        await api.put(PODS, f"pod-{number}", padding=LARGE)
    async with connected(api, **limits) as client:
        found = await client.list(PODS, type=dict)
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
        for _ in range(4):
            await arrived.acquire()
        assert (await client.list("/api/v1/namespaces/other/pods", type=dict)).items == []
        assert len(api.requests) == 5
        released.set()
        await asyncio.gather(*held)
