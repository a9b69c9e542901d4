"""The fixtures of the API client's tests: a fault server in the test's process and a client of it."""

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from scoring_operator.kube.client import ClientTimeouts, KubeClient
from tests.testkit.fault_server import FaultServer, fault_server
from tests.testkit.loop_clock import ClockLoop

SHORT = ClientTimeouts(request=1.0, page=1.0, retry_budget=3.0, idle=0.5, initial_backoff=0.02, page_size=3)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], ClockLoop]]:
    """Run the tests with a clock that a slow machine does not advance."""
    return {"clock": ClockLoop}


@pytest_asyncio.fixture
async def api() -> AsyncIterator[FaultServer]:
    async with fault_server() as server:
        yield server


@pytest_asyncio.fixture
async def connection(api: FaultServer) -> AsyncIterator[KubeClient]:
    async with KubeClient.connect(api.credentials, timeouts=SHORT) as client:
        yield client
