"""The controller of all runs: it starts the passes of each run, and wakes runs when something changes.

An event only wakes a run; each pass observes everything again. Each run has its own task, so that an error or a slow
write of one run does not delay others. Passes of one run start at least 0.2 seconds apart, which merges events. After a
change of the phase, a pass that is due starts at once. The runs of a namespace have no pass before the Jobs of that
namespace are listed.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scoring_operator.api.conditions import true_condition
from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, ScoringRun, parse_run
from scoring_operator.api.views import JobView
from scoring_operator.controller.job_limiter import JobLimiter
from scoring_operator.controller.job_tracker import JobTrackers
from scoring_operator.controller.reconciler import RunReconciler
from scoring_operator.controller.run_lister import RunLister
from scoring_operator.controller.services import Services
from scoring_operator.controller.timings import DEFAULT_TIMINGS, Timings
from scoring_operator.errors import ApiError, InvalidRun, LeaseLost, RunDeleted
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.informer import Informer
from scoring_operator.observability.logs import current_run
from scoring_operator.observability.run_metrics import RunLoad
from scoring_operator.planner.types import JobLimits
from scoring_operator.resources import run_conditions
from scoring_operator.resources.jobs import ScorerImage
from scoring_operator.storage.protocol import FleetStorage

Key = tuple[str, str]
"""Namespace and name of a run."""
RunEvent = tuple[Key, Mapping[str, Any] | None]
"""A run and its object; None if it may be deleted."""

DEFAULT_JOB_LIMITS = JobLimits()
REPORTED_BACKOFF_SECONDS = 8.0  # passes have failed for 7 s then; a right that is granted at an installation is late
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One observed run.

    Attributes:
        reconciler: The passes of the run.
        wakeup: Set to request the next pass.
    """

    reconciler: RunReconciler
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def run(self) -> ScoringRun:
        """The run as last read or written."""
        return self.reconciler.run

    @property
    def phase(self) -> str:
        """The phase of the run after its last pass."""
        return self.reconciler.phase


class Controller:
    """The controller of all runs. It belongs to the event loop of `run`, except for `on_run_event`.

    Args:
        client: The client of the API server; its writes are fenced by the lease.
        informer: The informer of scoring Jobs, which runs concurrently.
        fleets: The administrator's fleets, by name.
        storage: The Blob Storage of the fleets.
        image: The image of the scorer.
        namespaces: The watched namespaces; empty: all.
        limits: The limits of active Jobs.
        timings: The intervals and limits.

    Attributes:
        last_pass_at: The monotonic time of the last iteration of the controller's loop.
    """

    def __init__(
        self,
        client: KubeClient,
        informer: Informer[JobView],
        fleets: Mapping[str, Fleet],
        storage: FleetStorage,
        image: ScorerImage,
        *,
        namespaces: tuple[str, ...] = (),
        limits: JobLimits = DEFAULT_JOB_LIMITS,
        timings: Timings = DEFAULT_TIMINGS,
    ) -> None:
        self.last_pass_at = time.monotonic()
        self._client = client
        self._informer = informer
        self._timings = timings.controller
        self._jobs = JobTrackers(timings.controller.assumed_timeout)
        self._limiter = JobLimiter(limits, timings.controller.offer_delay, self._wake)
        self._services = Services(client, storage, fleets, image, self._limiter, timings)
        self._entries: dict[str, RunEntry] = {}  # by uid
        self._uids: dict[Key, str] = {}
        self._events: deque[RunEvent] = deque()
        self._event_received: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._namespaces = namespaces
        informer.on_change(self._on_job_event)

    def on_run_event(self, namespace: str, name: str, body: Mapping[str, Any] | None) -> None:
        """Enqueue an event of a ScoringRun; from any thread, at any time.

        Args:
            namespace: The namespace of the run.
            name: The name of the run.
            body: The object of the run; None if it may be deleted.
        """
        self._events.append(((namespace, name), body))
        if self._loop and self._event_received:
            self._loop.call_soon_threadsafe(self._event_received.set)

    @property
    def gathering_time(self) -> float:
        """The seconds for which the event loop gathers events: 0 with few active Jobs, or if a response is urgent."""
        few_jobs = self._limiter.used_slots < self._timings.gathering_min_jobs
        return 0.0 if few_jobs or self._client.next_response_is_urgent else self._timings.gathering_time

    def loads(self) -> Iterator[RunLoad]:
        """Yield the load of each run, for the metrics."""
        for uid, entry in self._entries.items():
            run = entry.run
            stalled = None if run.ended else true_condition(run.status, "Stalled", "Waiting")
            queued = entry.phase == "Queued" and not run.ended
            reason = stalled.reason if stalled else ""
            yield RunLoad(run.namespace, run.spec.fleet, self._limiter.active(uid), queued, reason)

    async def run(self) -> None:
        """Reconcile runs until cancelled.

        Raises:
            LeaseLost: A write was rejected because this process may not be the leader any more.
        """
        self._loop, self._event_received = asyncio.get_running_loop(), asyncio.Event()
        await self._informer.wait_for_sync()
        async with asyncio.TaskGroup() as tasks:
            observe = partial(self._on_list, tasks)
            lister = RunLister(self._client, self._namespaces, self._timings, observe)
            tasks.create_task(lister.run())
            await lister.wait_for_first_lists()
            while True:
                self._event_received.clear()
                while self._events:
                    key, body = self._events.popleft()
                    if body is None:
                        tasks.create_task(self._check(key))  # other events do not wait for its request
                    else:
                        self._upsert(body, tasks)
                self.last_pass_at = time.monotonic()
                await _wait(self._event_received, self._timings.resync_interval)

    def _on_list(self, tasks: asyncio.TaskGroup, namespace: str, bodies: Sequence[dict[str, Any]]) -> None:
        """Observe the ScoringRuns of a namespace (empty: of all namespaces)."""
        for body in bodies:  # all of them before the first pass, because the order of runs depends on all
            meta = body["metadata"]
            known = self._entries.get(meta["uid"])
            if known is None or known.run.resource_version != meta.get("resourceVersion"):
                self._upsert(body, tasks)
        found = {(body["metadata"]["namespace"], body["metadata"]["name"]) for body in bodies}
        for key in self._uids.keys() - found:
            if namespace in ("", key[0]):
                tasks.create_task(self._check(key))

    async def _check(self, key: Key) -> None:
        """Read a run that may be deleted, and remove it if it is."""
        entry = self._entries.get(self._uids.get(key, ""))
        if entry is None:
            return
        try:
            await entry.reconciler.refresh()
            entry.wakeup.set()
        except RunDeleted:
            self._remove(entry)
        except ApiError as error:
            _log.warning("run %s/%s cannot be read: %s", *key, error)

    def _upsert(self, body: Mapping[str, Any], tasks: asyncio.TaskGroup) -> None:
        """Wake an observed run, or start the passes of a new one."""
        try:
            run = parse_run(body)
        except InvalidRun as error:
            tasks.create_task(self._write_invalid_spec(body, f"the operator cannot read it: {error}"))
            return
        entry = self._entries.get(self._uids.get((run.namespace, run.name), ""))
        if entry and entry.run.uid != run.uid:
            if (run.created, run.uid) <= (entry.run.created, entry.run.uid):
                return  # a late event of an earlier run of this name
            self._remove(entry)
            entry = None
        if entry:
            starts_deletion = run.deleting and not entry.run.deleting
            needs_pass = not _is_echo(run, entry.run)
            entry.reconciler.update(run)
            if needs_pass:
                entry.wakeup.set()
            if starts_deletion:
                self._wake_runs(self._limiter.next_runs(run.uid))
            return
        entry = RunEntry(RunReconciler(run, self._jobs.get(run.namespace, run.uid), self._services))
        self._entries[run.uid] = entry
        self._uids[run.namespace, run.name] = run.uid
        tasks.create_task(self._reconcile_loop(entry), name=f"{run.namespace}/{run.name}")

    async def _write_invalid_spec(self, body: Mapping[str, Any], message: str) -> None:
        """Write into a run's status that it is invalid. The next event of the run retries."""
        meta = body["metadata"]
        patch = run_conditions.invalid_spec_patch(body, message, self._client.now())
        if patch is None:
            return
        _log.error("run %s/%s: %s", meta["namespace"], meta["name"], message)
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{meta['namespace']}/{PLURAL}/{meta['name']}"
        try:
            await self._client.patch(path, {"status": patch}, subresource="status")
        except ApiError as error:
            _log.warning("run %s/%s: its status cannot be written: %s", meta["namespace"], meta["name"], error)

    def _remove(self, entry: RunEntry) -> None:
        run = entry.run
        if self._entries.pop(run.uid, None) is None:
            return
        if self._uids.get((run.namespace, run.name)) == run.uid:
            del self._uids[run.namespace, run.name]
        waiting = self._limiter.next_runs(run.uid)
        self._limiter.remove(run.uid)
        self._jobs.remove_if_empty(run.namespace, run.uid)
        entry.wakeup.set()
        self._wake_runs(waiting)

    async def _reconcile_loop(self, entry: RunEntry) -> None:
        """Make the passes of one run until it is deleted."""
        reconciler, uid, timings = entry.reconciler, entry.run.uid, self._timings
        current_run.set(f"{entry.run.namespace}/{entry.run.name}")
        backoff = 1.0
        with closing(reconciler):
            await self._informer.wait_for_namespace(entry.run.namespace)
            while uid in self._entries:
                started, before = time.monotonic(), (entry.phase, entry.run.ended)
                entry.wakeup.clear()
                try:
                    requeue_after = await reconciler.reconcile()
                    self._limiter.offer_free_slots()
                    backoff = 1.0
                except RunDeleted as error:
                    _log.info("the run was removed: %s", error)
                    self._remove(entry)
                    return
                except LeaseLost:
                    raise
                except Exception as error:  # noqa: BLE001  # an error of one run must not stop the others
                    unexpected = not isinstance(error, ApiError)
                    _log.warning("the pass failed, retry in %.0f s: %s", backoff, error, exc_info=unexpected)
                    if isinstance(error, ApiError) and backoff >= REPORTED_BACKOFF_SECONDS:
                        with suppress(ApiError, RunDeleted):  # the next pass has the same error
                            await reconciler.write_failure(error)
                    requeue_after, backoff = backoff, min(2 * backoff, timings.max_backoff)
                if (entry.phase, entry.run.ended) != before:
                    self._on_new_phase(entry)
                    if requeue_after == 0.0:
                        continue  # the first Jobs follow the discovery of devices at once
                pause = timings.resync_interval if requeue_after is None else requeue_after
                await _wait(entry.wakeup, min(pause, timings.resync_interval))
                await asyncio.sleep(started + timings.min_reconcile_interval - time.monotonic())

    def _on_new_phase(self, entry: RunEntry) -> None:
        """Wake the runs that a new phase of a run may concern."""
        uid = entry.run.uid
        self._wake_runs(self._limiter.next_runs(uid))
        for one in self._limiter.oldest_ended_runs(uid) if entry.run.ended else ():
            self._wake(one)

    def _wake(self, uid: str) -> None:
        if entry := self._entries.get(uid):
            entry.wakeup.set()

    def _wake_runs(self, uids: Iterable[str]) -> None:
        """Wake the runs that may start or have to stop, and the runs whose share may have grown."""
        for uid in uids:
            self._wake(uid)
        self._limiter.offer_new_shares()

    def _on_job_event(self, old: JobView | None, new: JobView | None) -> None:
        if old and new and old.owner_uid != new.owner_uid:  # for the earlier run, it is deleted
            self._on_job_event(old, None)
            old = None
        job = new or old
        if job is None or not job.owner_uid:
            return
        namespace, uid = job.metadata.namespace, job.owner_uid
        entry = self._entries.get(uid)
        if entry and entry.run.namespace == namespace:
            if entry.reconciler.on_job_event(old, new):
                entry.wakeup.set()
        else:
            self._jobs.get(namespace, uid).on_event(old, new)
            self._jobs.remove_if_empty(namespace, uid)


def _is_echo(run: ScoringRun, known: ScoringRun) -> bool:
    """Return True if an event needs no pass: it repeats the last write of the status, or changes metadata only."""
    active = not run.deleting and not run.ended  # the writes of an ended run are followed by passes of its clean-up
    return active and run.status.get("observedGeneration") == run.generation and run.equals(known)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, but no longer than some seconds."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        return
