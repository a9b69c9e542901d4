"""Runs the passes of all runs in one event loop: who is there, who is woken.

Events only wake a run; a pass looks at everything anew. Each run has a task of its own, so that an error or a slow
write of one stops no other. Events are gathered: a run's passes begin at least `PASS_EVERY` apart. Every minute all
ScoringRuns are listed, which finds what events did not tell.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, parse_run
from scoring_operator.api.views import JobView
from scoring_operator.controller.job_limiter import JobLimiter
from scoring_operator.controller.reconciler import RunReconciler
from scoring_operator.errors import ApiError, InvalidRun, LeaseLost, RunDeleted
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.informer import Informer
from scoring_operator.observability.logs import current_run
from scoring_operator.resources import run_conditions
from scoring_operator.resources.jobs import ScorerImage
from scoring_operator.storage.protocol import FleetStorage

MIN_RECONCILE_INTERVAL_SECONDS = 0.2  # seconds between the beginnings of a run's passes
RESYNC_INTERVAL_SECONDS = 60.0  # seconds between looks at everything
MAX_BACKOFF_SECONDS = 30.0

Key = tuple[str, str]
RunEvent = tuple[str, str, Mapping[str, Any] | None]

_log = logging.getLogger(__name__)


class Controller:
    """The engine of all runs; belongs to the event loop that runs `run`, except for `wake`.

    Args:
        cluster: where everything is; its writes must be fenced by the lease.
        jobs: the mirror of scoring Jobs, which runs beside this.
        fleets: the fleets by name.
        storage: the fleets' Blob Storage.
        image: the scorer's image.
        namespaces: those that are watched; empty: all.
        most_jobs: how many Jobs may be active over all runs.
    """

    def __init__(
        self,
        cluster: KubeClient,
        jobs: Informer[JobView],
        fleets: Mapping[str, Fleet],
        storage: FleetStorage,
        image: ScorerImage,
        *,
        namespaces: tuple[str, ...] = (),
        most_jobs: int = 1000,
    ) -> None:
        self.passed_at = time.monotonic()
        self.runners: dict[Key, RunReconciler] = {}
        self._cluster = cluster
        self._mirror = jobs
        self._fleets = fleets
        self._storage = storage
        self._image = image
        self._sharing = JobLimiter(most_jobs, self.runners.values(), self._ring)
        self._jobs: dict[str, dict[str, JobView]] = {}  # by the uid of their run
        self._by_uid: dict[str, RunReconciler] = {}
        self._bells: dict[str, asyncio.Event] = {}
        self._wakes: deque[RunEvent] = deque()
        self._called: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        base = f"/apis/{GROUP}/{VERSION}"
        self._paths = [f"{base}/namespaces/{name}/{PLURAL}" for name in namespaces] or [f"{base}/{PLURAL}"]
        jobs.on_change(self._job_changed)

    def wake(self, namespace: str, name: str, body: Mapping[str, Any] | None) -> None:
        """Tell of a change of a ScoringRun; from any thread, at any time.

        Args:
            namespace: of the run.
            name: of the run.
            body: the run as the event has it; None: it may be gone.
        """
        self._wakes.append((namespace, name, body))
        if self._loop and self._called:
            self._loop.call_soon_threadsafe(self._called.set)

    async def run(self) -> None:
        """Work until cancelled; ends with LeaseLost when a write was refused because another operator took over."""
        self._loop, self._called = asyncio.get_running_loop(), asyncio.Event()
        await self._mirror.wait_for_sync()
        async with asyncio.TaskGroup() as tasks:
            next_list = 0.0
            while True:
                if time.monotonic() >= next_list:
                    next_list = time.monotonic() + (RESYNC_INTERVAL_SECONDS if await self._list(tasks) else 5.0)
                self._called.clear()
                while self._wakes:
                    await self._answer(self._wakes.popleft(), tasks)
                self.passed_at = time.monotonic()
                await _wait(self._called, next_list - time.monotonic())

    async def _list(self, tasks: asyncio.TaskGroup) -> bool:
        """Look at all ScoringRuns; answers whether the API server gave them."""
        bodies: list[dict[str, Any]] = []
        try:
            for path in self._paths:
                bodies += (await self._cluster.list(path, type=dict[str, Any]))[0]
        except ApiError as error:
            _log.warning("ScoringRuns cannot be listed: %s", error)
            return False
        for body in bodies:  # all of them, before any makes a pass: who is first depends on who is there
            self._take(body, tasks)
        found = {(body["metadata"]["namespace"], body["metadata"]["name"]) for body in bodies}
        for key in self.runners.keys() - found:
            await self._check(key)
        return True

    async def _answer(self, wake: RunEvent, tasks: asyncio.TaskGroup) -> None:
        namespace, name, body = wake
        if body is None:
            await self._check((namespace, name))
        else:
            self._take(body, tasks)

    async def _check(self, key: Key) -> None:
        """Forget a run that is not there any more, whatever said so."""
        runner = self.runners.get(key)
        if runner is None:
            return
        try:
            await runner.refresh()
        except RunDeleted:
            self._forget(runner)
        except ApiError as error:
            _log.warning("run %s/%s cannot be read: %s", *key, error)

    def _take(self, body: Mapping[str, Any], tasks: asyncio.TaskGroup) -> None:
        """Take in a ScoringRun: a new one gets a task, a known one is woken."""
        meta = body.get("metadata") or {}
        key = (str(meta.get("namespace")), str(meta.get("name")))
        try:
            run = parse_run(body)
        except InvalidRun as error:
            tasks.create_task(self._complain(body, f"the operator cannot read it: {error}"))
            return
        known = self.runners.get(key)
        if known and known.run.uid != run.uid:
            if (run.created, run.uid) <= (known.run.created, known.run.uid):
                return  # an old event about an earlier run of this name
            self._forget(known)
            known = None
        if run.deleting:
            return
        if known:
            known.take(run)
            self._ring(known)
            return
        runner = RunReconciler(run, self._cluster, self._storage, self._fleets, self._image)
        runner.jobs = self._jobs.setdefault(run.uid, {})
        self.runners[key] = self._by_uid[run.uid] = runner
        self._bells[run.uid] = asyncio.Event()
        tasks.create_task(self._drive(runner), name=f"{run.namespace}/{run.name}")

    async def _complain(self, body: Mapping[str, Any], message: str) -> None:
        """Say in a run's status that it cannot be read; when it has changed it is tried again."""
        meta = body["metadata"]
        patch = run_conditions.invalid_spec_patch(body, message, self._cluster.now())
        if patch is None:
            return
        _log.error("run %s/%s: %s", meta["namespace"], meta["name"], message)
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{meta['namespace']}/{PLURAL}/{meta['name']}"
        try:
            await self._cluster.patch(path, {"status": patch}, subresource="status")
        except ApiError as error:
            _log.warning("that could not be said in its status: %s", error)

    def _forget(self, runner: RunReconciler) -> None:
        run = runner.run
        if self.runners.get((run.namespace, run.name)) is runner:
            del self.runners[run.namespace, run.name]
        self._by_uid.pop(run.uid, None)
        if bell := self._bells.pop(run.uid, None):
            bell.set()
        self._wake_all()

    async def _drive(self, runner: RunReconciler) -> None:
        """Make passes for one run until it is gone."""
        uid, bell = runner.run.uid, self._bells[runner.run.uid]
        current_run.set(f"{runner.run.namespace}/{runner.run.name}")
        backoff = 1.0
        with closing(runner):
            while self._by_uid.get(uid) is runner:
                began, before = time.monotonic(), (runner.phase, runner.run.ended)
                bell.clear()
                try:
                    pause = await runner.step(lambda: self._sharing.around(runner))
                    self._sharing.freed()
                    backoff = 1.0
                except RunDeleted as error:
                    _log.info("the run is gone: %s", error)
                    self._forget(runner)
                    return
                except LeaseLost:
                    raise
                except Exception as error:  # noqa: BLE001  # one run's error must not stop the others
                    _log.warning(
                        "pass failed, again in %.0f s: %s", backoff, error, exc_info=not isinstance(error, ApiError)
                    )
                    pause, backoff = backoff, min(2 * backoff, MAX_BACKOFF_SECONDS)
                if (runner.phase, runner.run.ended) != before:
                    self._wake_all(runner.run.schedule)
                await _wait(
                    bell, RESYNC_INTERVAL_SECONDS if pause is None else min(max(pause, 0.0), RESYNC_INTERVAL_SECONDS)
                )
                await asyncio.sleep(began + MIN_RECONCILE_INTERVAL_SECONDS - time.monotonic())

    def _ring(self, runner: RunReconciler) -> None:
        self._bells[runner.run.uid].set()

    def _wake_all(self, schedule: str = "") -> None:
        """Wake the runs that have not ended, and all of a schedule."""
        for runner in self._by_uid.values():
            if not runner.run.ended or (schedule and runner.run.schedule == schedule):
                self._ring(runner)

    def _job_changed(self, old: JobView | None, new: JobView | None) -> None:
        job = new or old
        uid = job.owner_uid if job else ""
        if job is None or not uid:
            return
        runner = self._by_uid.get(uid)
        if runner is None:
            mine = self._jobs.setdefault(uid, {})
            if new is not None:
                mine[job.name] = new
            else:
                mine.pop(job.name, None)
            if not mine:
                del self._jobs[uid]
        elif runner.see(old, new):
            self._ring(runner)


async def _wait(bell: asyncio.Event, seconds: float) -> None:
    """Wait until the bell rings, but no longer than so many seconds."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await bell.wait()
    except TimeoutError:
        return
