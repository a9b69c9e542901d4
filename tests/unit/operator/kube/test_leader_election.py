"""Contenders for one Lease, with timings a hundredth of the real ones."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from scoring_operator.errors import LeaseLost
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.leader_election import ElectionTimings, LeaderElector
from tests.testkit.fault_server import FaultServer, hang, refuse, reset
from tests.testkit.waiting import until_async

LEASES = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"


TIMINGS = ElectionTimings(duration=1, renew_deadline=0.6, renew_interval=0.15, retry_interval=0.03, poll_interval=0.1)


def contender(client: KubeClient, identity: str) -> LeaderElector:
    return LeaderElector(client, namespace="ns", name="operator", identity=identity, timings=TIMINGS)


def spec(api: FaultServer) -> dict[str, Any]:
    return dict(api.objects[LEASES, "operator"]["spec"])


@asynccontextmanager
async def held(lease: LeaderElector) -> AsyncIterator[asyncio.Task[None]]:
    """Hold the Lease while the body runs; the task ends when the Lease is lost."""
    await asyncio.wait_for(lease.acquire(), 5)
    renewing = asyncio.create_task(lease.renew())
    try:
        yield renewing
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


def test_default_timings_of_the_election() -> None:
    assert ElectionTimings() == ElectionTimings(
        duration=15, renew_deadline=10, renew_interval=3, retry_interval=0.5, poll_interval=2
    )


@pytest.mark.slow
async def test_second_contender_waits_while_the_first_renews(api: FaultServer, connection: KubeClient) -> None:
    first, second = contender(connection, "a"), contender(connection, "b")
    async with held(first):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.acquire(), 1.5)  # longer than the duration of the Lease
        assert first.is_leader
        assert not second.is_leader
        assert spec(api)["holderIdentity"] == "a"


async def test_released_lease_is_acquired_at_once(api: FaultServer, connection: KubeClient) -> None:
    first, second = contender(connection, "a"), contender(connection, "b")
    async with held(first):
        pass
    await first.release()
    assert not first.is_leader
    began = time.monotonic()
    async with held(second):
        assert time.monotonic() - began < TIMINGS.duration
        assert spec(api)["leaseTransitions"] == 1


@pytest.mark.slow
async def test_lease_without_renewals_is_acquired_only_after_its_duration(
    connection: KubeClient,
) -> None:
    first, second = contender(connection, "a"), contender(connection, "b")
    async with held(first):
        pass  # ends without a release
    began = time.monotonic()
    async with held(second):
        assert 0.9 < time.monotonic() - began < 2
        assert not first.is_leader


async def test_lease_that_a_person_made_is_taken(api: FaultServer, connection: KubeClient) -> None:
    async with held(contender(connection, "a")):
        pass
    await api.put(LEASES, "operator", spec={"holderIdentity": "a", "leaseDurationSeconds": 3600})
    async with held(contender(connection, "a")):
        assert spec(api)["leaseTransitions"] == 0


@pytest.mark.slow
async def test_lease_with_future_renew_time_still_expires(api: FaultServer, connection: KubeClient) -> None:
    async with held(contender(connection, "a")):
        pass
    future = spec(api) | {"renewTime": "2999-01-01T00:00:00.000000Z"}
    await api.put(LEASES, "operator", spec=future)
    async with held(contender(connection, "b")):
        assert spec(api)["holderIdentity"] == "b"


async def test_contender_with_the_holders_identity_is_leader_at_once(api: FaultServer, connection: KubeClient) -> None:
    async with held(contender(connection, "a")):
        pass
    began = time.monotonic()
    async with held(contender(connection, "a")):
        assert time.monotonic() - began < TIMINGS.duration
        assert spec(api)["leaseTransitions"] == 0


@pytest.mark.parametrize("fault", [reset, refuse(503), refuse(403), hang], ids=["reset", "503", "403", "hang"])
async def test_leader_that_cannot_renew_stops_before_the_lease_expires(
    api: FaultServer, connection: KubeClient, fault: Any
) -> None:
    lease = contender(connection, "a")
    async with held(lease) as renewing:
        api.faults.extend([fault] * 1000)
        began = time.monotonic()
        await asyncio.wait_for(renewing, 5)
        assert time.monotonic() - began < TIMINGS.duration
        assert not lease.is_leader


async def test_transient_fault_does_not_lose_the_lease(api: FaultServer, connection: KubeClient) -> None:
    lease = contender(connection, "a")
    async with held(lease) as renewing:
        version = api.version
        api.faults.extend([reset, refuse(503), refuse(409, "Conflict")])
        await until_async(lambda: api.version >= version + 3)
        assert lease.is_leader
        assert not renewing.done()


async def test_renewal_is_one_request(api: FaultServer, connection: KubeClient) -> None:
    async with held(contender(connection, "a")):
        acquired, version = len(api.requests), api.version
        await until_async(lambda: api.version >= version + 3)
        assert [verb for verb, *_ in api.requests[acquired:]] == ["PUT"] * (api.version - version)


@pytest.mark.parametrize("change", ["edited", "deleted"])
async def test_lease_that_another_client_edited_or_deleted_is_renewed(
    api: FaultServer, connection: KubeClient, change: str
) -> None:
    lease = contender(connection, "a")
    async with held(lease) as renewing:
        if change == "deleted":
            await api.remove(LEASES, "operator")
        else:
            await api.put(LEASES, "operator", spec=spec(api) | {"leaseDurationSeconds": 9})
        version = api.version
        await until_async(lambda: api.version >= version + 2)
        assert lease.is_leader
        assert not renewing.done()
        assert (spec(api)["holderIdentity"], spec(api)["leaseDurationSeconds"]) == ("a", TIMINGS.duration)


async def test_leader_whose_lease_was_acquired_by_another_does_not_reacquire_it(
    api: FaultServer, connection: KubeClient
) -> None:
    lease = contender(connection, "a")
    async with held(lease) as renewing:
        await api.put(LEASES, "operator", spec=spec(api) | {"holderIdentity": "b"})
        await asyncio.wait_for(renewing, 5)
        assert not lease.is_leader
        assert spec(api)["holderIdentity"] == "b"


async def test_client_fenced_by_a_lost_lease_sends_no_write(api: FaultServer, connection: KubeClient) -> None:
    lease = contender(connection, "a")
    fenced = connection.with_fence(lambda: lease.is_leader)
    async with held(lease):
        await fenced.create("/apis/x", {"metadata": {"name": "x"}})
    await lease.release()
    requests = len(api.requests)
    with pytest.raises(LeaseLost):
        await fenced.create("/apis/x", {"metadata": {"name": "y"}})
    with pytest.raises(LeaseLost):
        await fenced.patch("/apis/x", {}, subresource="status")
    assert len(api.requests) == requests


async def test_lease_that_cannot_be_released_expires(api: FaultServer, connection: KubeClient) -> None:
    lease = contender(connection, "a")
    async with held(lease):
        pass
    api.faults.extend([hang] * 10)
    await asyncio.wait_for(lease.release(), 2)
    assert not lease.is_leader
