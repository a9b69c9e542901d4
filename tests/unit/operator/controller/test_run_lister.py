"""The regular lists of ScoringRuns."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from scoring_operator.controller.run_lister import RunLister
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.errors import ApiError, Forbidden, NotFound, Unavailable
from scoring_operator.kube.listing import Page
from tests.testkit.builders import a_body
from tests.testkit.waiting import until_async
from tests.unit.operator.controller.in_memory_client import InMemoryClient

BASE = "/apis/fleetscore.dev/v1alpha1"


class Client(InMemoryClient):
    """A client whose lists of some namespaces always fail, or never return."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error
        self.lists = {f"{BASE}/namespaces/a/scoringruns": [a_body()], f"{BASE}/namespaces/b/scoringruns": [a_body()]}

    async def pages(self, path: str, **options: Any) -> AsyncGenerator[Page, None]:
        if "/b/" in path:
            if self.error is None:
                await asyncio.Event().wait()
            else:
                self.requests.append(("LIST", path))
                raise self.error
        async for page in super().pages(path, **options):
            yield page


@asynccontextmanager
async def running(
    client: InMemoryClient, *namespaces: str, **timings: Any
) -> AsyncIterator[tuple[RunLister, dict[str, int]]]:
    listed: dict[str, int] = {}

    def on_listed(namespace: str, bodies: Sequence[dict[str, Any]]) -> None:
        listed[namespace] = len(bodies)

    lister = RunLister(client, namespaces, ControllerTimings(list_retry_interval=0.01, **timings), on_listed)
    task = asyncio.create_task(lister.run())
    try:
        yield lister, listed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    "error",
    [Forbidden("403"), NotFound("404"), Unavailable("no response"), ValueError("HTML")],
    ids=str,
)
async def test_namespace_that_cannot_be_listed_does_not_keep_runs_of_others(
    caplog: pytest.LogCaptureFixture, error: ApiError
) -> None:
    client = Client(error)
    async with running(client, "b", "a") as (lister, listed):
        await asyncio.wait_for(lister.wait_for_first_lists(), 120)
        assert listed == {"a": 1}
        await until_async(lambda: client.count("LIST") >= 5)
        assert [record.getMessage() for record in caplog.records] == [f"ScoringRuns of b cannot be listed: {error}"]
        client.error = None


async def test_list_that_never_returns_delays_the_first_passes_until_the_limit() -> None:
    async with running(Client(None), "b", "a", first_list_timeout=0.05) as (lister, listed):
        await asyncio.wait_for(lister.wait_for_first_lists(), 120)
        assert listed == {"a": 1}


async def test_namespace_that_can_be_listed_again_is_observed() -> None:
    client = Client(Forbidden("403"))
    async with running(client, "b", "a") as (lister, listed):
        await lister.wait_for_first_lists()
        client.__class__ = InMemoryClient  # type: ignore[assignment]  # its lists work from now on
        await until_async(lambda: "b" in listed)
    assert listed == {"a": 1, "b": 1}


async def test_without_namespaces_one_list_covers_all() -> None:
    client = InMemoryClient()
    client.lists[f"{BASE}/scoringruns"] = [a_body(), a_body("other")]
    async with running(client) as (lister, listed):
        await lister.wait_for_first_lists()
    assert listed == {"": 2}
