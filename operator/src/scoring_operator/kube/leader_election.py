"""Leader election among several operators by a Lease, with the rules of client-go (tools/leaderelection).

The timestamps in the Lease are informational. A contender measures with its own monotonic clock how long the Lease has
not changed, so different clocks do not matter. The leader loses leadership `renew_deadline` after it sent its last
successful renewal, which is before another contender may acquire the Lease. Each write requires the resource version
that was read or written last.
"""

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass

from scoring_operator.errors import AlreadyExists, ApiError, Conflict, NotFound
from scoring_operator.kube.client import KubeClient, Object

CLOCK_ANNOTATION = "fleetscore.dev/clock-ahead-seconds"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ElectionTimings:
    """The timings of leader election, in seconds. `renew_deadline` must be shorter than `duration`.

    Attributes:
        duration: The time without a renewal after which another contender may acquire the Lease.
        renew_deadline: The time without a successful renewal after which the leader loses leadership.
        renew_interval: The time between two renewals.
        retry_interval: The delay before the retry of a failed renewal.
        poll_interval: The time between two checks of a contender.
    """

    duration: int = 15
    renew_deadline: float = 10.0
    renew_interval: float = 3.0
    retry_interval: float = 0.5
    poll_interval: float = 2.0


_DEFAULT_TIMINGS = ElectionTimings()


class LeaderElector:
    """One contender for a Lease.

    Args:
        client: The client of the API server.
        namespace: The namespace of the Lease.
        name: The name of the Lease.
        identity: The identity of this process. A process with the holder's identity is the leader at once, because the
            kubelet restarts a container only after the previous one has ended.
        timings: The timings of the election.
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
        self._observed_version = ""  # uid and resource version of the Lease
        self._observed_at = 0.0  # monotonic, when this version was first read
        self._renewed_at = 0.0  # monotonic, when the last successful write was sent
        self._is_holder = False
        self._written: Object | None = None  # the Lease after the last successful write

    @property
    def is_leader(self) -> bool:
        """True while this process may write."""
        return self._is_holder and time.monotonic() < self._renewed_at + self._timings.renew_deadline

    async def acquire(self) -> None:
        """Wait until this process holds the Lease."""
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
            await asyncio.sleep(self._timings.poll_interval * random.uniform(0.8, 1.0))  # noqa: S311  # not a secret

    async def renew(self) -> None:
        """Renew the Lease until it is lost, then return."""
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
                _log.warning("%s could not be renewed: %s", self._description, str(error) or "no response in time")
        self._is_holder = False
        _log.error("%s is lost", self._description)

    async def release(self) -> None:
        """Release the Lease, so that another contender acquires it at once; after an error the Lease expires."""
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
            _log.warning("%s could not be released: %s", self._description, str(error) or "no response in time")

    async def _acquire_or_renew(self) -> bool:
        """Acquire or renew the Lease if that is allowed; return True if this process holds it now."""
        known, self._written = self._written, None  # after an error, the Lease is read again
        if known and self._is_holder:
            with suppress(Conflict, NotFound):
                return await self._write(known)
        try:
            lease = await self._client.get(self._path)
        except NotFound:
            lease = None
        if lease and not self._can_acquire(lease):
            return False
        try:
            return await self._write(lease)
        except (AlreadyExists, Conflict):
            if self._is_holder:
                raise
            return False

    def _can_acquire(self, lease: Object) -> bool:
        """Return True if this process holds the Lease, or the Lease is released or expired."""
        spec = lease.get("spec") or {}
        version = f"{lease['metadata']['uid']} {lease['metadata']['resourceVersion']}"
        if version != self._observed_version:
            self._observed_version, self._observed_at = version, time.monotonic()
        holder = spec.get("holderIdentity") or ""
        if holder == self.identity:
            return True
        if self._is_holder:
            return False  # lost to another contender: do not acquire it before the controller has stopped
        duration = spec.get("leaseDurationSeconds") or self._timings.duration
        return not holder or time.monotonic() >= self._observed_at + duration

    async def _write(self, lease: Object | None) -> bool:
        """Create the Lease, or replace the version that is known; return True, because this process holds it then."""
        sent = time.monotonic()
        if lease is None:
            kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            body = kind | {"metadata": self._annotated(self._metadata), "spec": self._spec({}, holder=self.identity)}
            written = await self._client.create(self._collection, body)
        else:
            body = lease | {"metadata": self._annotated(lease["metadata"])}
            body |= {"spec": self._spec(lease.get("spec") or {}, holder=self.identity)}
            written = await self._client.replace(self._path, body)
        self._renewed_at = sent
        self._is_holder = True
        self._written = body | {"metadata": written["metadata"]}
        return True

    def _annotated(self, metadata: Object) -> Object:
        """Return the metadata with the seconds by which this machine's clock is ahead, which `doctor` reports."""
        ahead = round(time.time() - self._client.now().timestamp())
        annotations = (metadata.get("annotations") or {}) | {CLOCK_ANNOTATION: str(ahead)}
        return metadata | {"annotations": annotations}

    def _spec(self, old: Object, *, holder: str) -> Object:
        now = f"{self._client.now():%Y-%m-%dT%H:%M:%S.%fZ}"
        taken = old.get("holderIdentity") != holder
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": self._timings.duration if holder else 1,
            "acquireTime": now if taken else old.get("acquireTime", now),
            "renewTime": now,
            # The API server rejects a negative number of takeovers; a Lease that a person made has none.
            "leaseTransitions": max(0, old.get("leaseTransitions", -1) + (1 if taken and holder else 0)),
        }
