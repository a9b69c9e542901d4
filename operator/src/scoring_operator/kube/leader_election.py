"""Which of several operators is the active one: a Lease, held by renewing it.

The rules are those of client-go's leader election. Times in the Lease are for people: whether a holder is alive is
judged only by whether the Lease changed, as seen on our own monotonic clock, so clocks that differ do no harm. A
holder that could not renew for `renew_deadline` counts its lease as lost, well before another may take it, counted from
the moment at which its last successful renewal was sent. Each write is bound to the version that was read.
"""

import asyncio
import logging
import random
import time
from dataclasses import dataclass

from scoring_operator.errors import AlreadyExists, ApiError, Conflict, NotFound
from scoring_operator.kube.client import KubeClient, Object

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ElectionTimings:
    """Times of a lease, in seconds. `renew_deadline` must be shorter than `duration`."""

    duration: int = 15  # without a renewal, after which another may take it
    renew_deadline: float = 10.0  # without a successful renewal, after which the holder gives up
    renew_interval: float = 3.0
    retry_interval: float = 0.5  # after a renewal that failed
    poll_interval: float = 2.0  # how often the others look


_DEFAULT_TIMINGS = ElectionTimings()


class LeaderElector:
    """One contender for a Lease.

    Args:
        cluster: Where the Lease is.
        namespace: Of the Lease.
        name: Of the Lease.
        identity: Who we are. An operator that comes back under the name of the holder holds the lease at once: the
            kubelet starts a container of a pod again only when the one before is dead.
        times: How often and how long.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        timings: ElectionTimings = _DEFAULT_TIMINGS,
    ) -> None:
        self.identity = identity
        self._client = client
        self._metadata = {"namespace": namespace, "name": name}
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._description = f"lease {namespace}/{name}"
        self._timings = timings
        self._observed_version = ""  # uid and version of the Lease, and
        self._observed_at = 0.0  # when it was first seen so
        self._renewed_at = 0.0  # when our last successful write was sent
        self._is_holder = False

    @property
    def is_leader(self) -> bool:
        """Whether this operator may act now."""
        return self._is_holder and time.monotonic() < self._renewed_at + self._timings.renew_deadline

    async def acquire(self) -> None:
        """Wait until the lease is ours."""
        last_error = ""
        while True:
            try:
                if await self._acquire_or_renew():
                    _log.info("%s is held by %s", self._description, self.identity)
                    return
            except ApiError as error:
                if str(error) != last_error:
                    _log.warning("%s: %s", self._description, error)
                last_error = str(error)
            await asyncio.sleep(self._timings.poll_interval * random.uniform(0.8, 1.0))  # noqa: S311  # no secret

    async def renew(self) -> None:
        """Keep the lease; return only when it is lost."""
        pause = self._timings.renew_interval
        while self.is_leader:
            await asyncio.sleep(pause)
            pause = self._timings.retry_interval
            try:
                async with asyncio.timeout_at(self._renewed_at + self._timings.renew_deadline):
                    if not await self._acquire_or_renew():
                        break
                    pause = self._timings.renew_interval
            except (ApiError, TimeoutError) as error:
                _log.warning("%s could not be renewed: %s", self._description, str(error) or "no answer in time")
        self._is_holder = False
        _log.error("%s is lost", self._description)

    async def release(self) -> None:
        """Let the next one have the lease at once. What cannot be released runs out by itself."""
        if not self._is_holder:
            return
        self._is_holder = False
        try:
            async with asyncio.timeout(self._timings.renew_interval):
                lease = await self._client.get(self._path)
                if lease["spec"].get("holderIdentity") == self.identity:
                    await self._client.replace(self._path, lease | {"spec": self._spec(lease["spec"], holder="")})
            _log.info("%s is released", self._description)
        except (ApiError, TimeoutError) as error:
            _log.warning("%s could not be released: %s", self._description, str(error) or "no answer in time")

    async def _acquire_or_renew(self) -> bool:
        """Take or renew the lease if that is allowed; say whether it is ours now."""
        try:
            lease = await self._client.get(self._path)
        except NotFound:
            lease = None
        sent = time.monotonic()
        if lease and not self._can_acquire(lease):
            return False
        try:
            await self._write(lease)
        except (AlreadyExists, Conflict):
            if self._is_holder:
                raise
            return False
        self._renewed_at = sent
        self._is_holder = True
        return True

    def _can_acquire(self, lease: Object) -> bool:
        """Whether the lease is ours, free or run out."""
        spec = lease.get("spec") or {}
        version = f"{lease['metadata']['uid']} {lease['metadata']['resourceVersion']}"
        if version != self._observed_version:
            self._observed_version, self._observed_at = version, time.monotonic()
        holder = spec.get("holderIdentity") or ""
        if holder == self.identity:
            return True
        if self._is_holder:
            return False  # it was taken from us: it is not ours to take back before everything here has stopped
        duration = spec.get("leaseDurationSeconds") or self._timings.duration
        return not holder or time.monotonic() >= self._observed_at + duration

    async def _write(self, lease: Object | None) -> None:
        if lease is None:
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": self._metadata}
            await self._client.create(self._collection, body | {"spec": self._spec({}, holder=self.identity)})
        else:
            spec = self._spec(lease.get("spec") or {}, holder=self.identity)
            await self._client.replace(self._path, lease | {"spec": spec})

    def _spec(self, old: Object, *, holder: str) -> Object:
        now = f"{self._client.now():%Y-%m-%dT%H:%M:%S.%fZ}"
        taken = old.get("holderIdentity") != holder
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": self._timings.duration if holder else 1,
            "acquireTime": now if taken else old.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": old.get("leaseTransitions", -1) + (1 if taken and holder else 0),  # takeovers
        }
