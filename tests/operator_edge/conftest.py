from collections.abc import AsyncIterator

import pytest_asyncio

from scoring_operator.kube.client import Cluster, Limits
from tests.operator_edge.faultserver import FaultServer, fault_server

SHORT = Limits(request=1.0, page=1.0, patience=3.0, silence=0.5, pause=0.02, page_size=3)


@pytest_asyncio.fixture
async def api() -> AsyncIterator[FaultServer]:
    async with fault_server() as server:
        yield server


@pytest_asyncio.fixture
async def connection(api: FaultServer) -> AsyncIterator[Cluster]:
    async with Cluster.connect(api.credentials, limits=SHORT) as cluster:
        yield cluster
