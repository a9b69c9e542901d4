"""The engine's thread: its event loop, the connection, the mirror of Jobs, the lease, the probes.

kopf has the main thread and ends its own tasks as it likes; what must outlive that stands here. Every operator mirrors
Jobs and answers probes; the engine runs only in the one that holds the lease, and everything it writes is fenced by it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from scoring_operator.api.conditions import true_condition
from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import JOB_SELECTOR
from scoring_operator.api.views import JobView
from scoring_operator.controller.controller import Engine
from scoring_operator.controller.reconciler import Runner
from scoring_operator.errors import SettingsInvalid
from scoring_operator.kube.client import Cluster
from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.informer import Mirror
from scoring_operator.kube.leader_election import Lease
from scoring_operator.observability.metrics import Metrics
from scoring_operator.observability.probes import probes
from scoring_operator.observability.run_metrics import RunLoad, Tally
from scoring_operator.resources.jobs import ScorerImage
from scoring_operator.runtime.settings import Settings
from scoring_operator.storage.fleet_storage import Storage

DEAD_SECONDS = 600.0  # a watch or kopf's loop that gave no sign for so long is dead; a lost API server is back before
STOP_SECONDS = 20.0
LOAD_SECONDS = 5.0  # between looks at the load for the metrics
RESTART_SECONDS = 5.0  # before an engine that failed is started again

_log = logging.getLogger(__name__)


class Service:
    """Runs the engine in a thread.

    Args:
        settings: The operator's.
        fleets: By name.
        credentials: As whom to speak to the API server.
    """

    def __init__(self, settings: Settings, fleets: Mapping[str, Fleet], credentials: Credentials) -> None:
        self.metrics = Metrics()
        self.failed = False
        self._tally = Tally(self.metrics, datetime.now(UTC))
        self._settings = settings
        self._fleets = fleets
        self._credentials = credentials
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._started: Future[None] = Future()
        self._kopf_seen = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread; return when the probes answer.

        Raises:
            SettingsInvalid: The port of the probes is taken.
        """
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """Stop the engine, release the lease and end the thread."""
        self.begin_stop()
        self._thread.join(STOP_SECONDS)

    def begin_stop(self) -> None:
        """Like `stop`, but do not wait."""
        if self._started.done() and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)

    def wake(self, namespace: str, name: str, body: Mapping[str, Any] | None) -> None:
        """Pass on a ScoringRun as it is now (None: deleted). The active engine lists them all when it starts."""
        engine = self._engine
        if engine:
            engine.wake(namespace, name, body)
        if body is not None:
            self._tally.see(body, active=engine is not None)

    def kopf_lives(self) -> None:
        """Note that kopf's loop turns."""
        self._kopf_seen = time.monotonic()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001  # the thread's outermost line: nobody else would hear of it
            self.failed = True
            if self._started.done():
                _log.exception("the engine's thread ended")
            else:
                self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        settings, metrics = self._settings, self.metrics
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(Cluster.connect(self._credentials, observer=metrics.request))
            mirror = Mirror(
                cluster,
                api="apis/batch/v1",
                plural="jobs",
                type=JobView,
                namespaces=settings.watch_namespaces,
                label_selector=JOB_SELECTOR,
            )
            lease = Lease(
                cluster, namespace=settings.pod_namespace, name=settings.lease_name, identity=settings.pod_name
            )
            metrics.watch("jobs", mirror.age)
            metrics.lease(lambda: lease.held)
            metrics.engine(self._engine_age)
            await self._open_port(stack, mirror)
            self._started.set_result(None)
            await _first_to_end(self._stopping.wait(), mirror.run(), self._terms(cluster, mirror, lease))
            await lease.release()

    async def _open_port(self, stack: AsyncExitStack, mirror: Mirror[JobView]) -> None:
        port = self._settings.metrics_port
        try:
            await stack.enter_async_context(
                probes(
                    port,
                    self.metrics,
                    alive=lambda: self._trouble(mirror),
                    ready=lambda: "" if mirror.synced else f"Jobs are not listed yet. {mirror.trouble}",
                )
            )
        except OSError as error:
            raise SettingsInvalid(f"FLEETSCORE_METRICS_PORT={port}: {error.strerror or error}") from error

    def _trouble(self, mirror: Mirror[JobView]) -> str:
        if mirror.age() > DEAD_SECONDS:
            return f"the watch of Jobs has been silent for {mirror.age():.0f} s. {mirror.trouble}"
        if time.monotonic() - self._kopf_seen > DEAD_SECONDS:
            return "the watch of ScoringRuns is dead"
        if self._engine_age() > DEAD_SECONDS:
            return "the engine is dead"
        return ""

    def _engine_age(self) -> float:
        return time.monotonic() - self._engine.passed_at if self._engine else 0.0

    async def _terms(self, cluster: Cluster, mirror: Mirror[JobView], lease: Lease) -> None:
        """Hold the lease, run an engine as long as it lasts, again and again."""
        storage = Storage(self._settings.secrets_dir)
        fenced = cluster.fenced(lambda: lease.held)
        while True:
            await mirror.wait_synced()
            await lease.acquire()
            try:
                await self._term(fenced, mirror, storage, lease)
            except Exception:  # noqa: BLE001  # whatever ended the engine, the operator goes on
                if lease.held:
                    _log.exception("the engine failed; it starts again in %s s", RESTART_SECONDS)
                    await lease.release()
                    await asyncio.sleep(RESTART_SECONDS)

    async def _term(self, cluster: Cluster, mirror: Mirror[JobView], storage: Storage, lease: Lease) -> None:
        settings = self._settings
        engine = Engine(
            cluster,
            mirror,
            self._fleets,
            storage,
            ScorerImage(settings.scorer_image, settings.scorer_image_pull_policy, settings.scorer_image_pull_secrets),
            namespaces=settings.watch_namespaces,
            most_jobs=settings.max_active_jobs,
        )
        self._engine = engine
        try:
            await _first_to_end(lease.renew(), engine.run(), self._tell_load(engine))
        finally:
            self._engine = None
            mirror.drop_listeners()

    async def _tell_load(self, engine: Engine) -> None:
        while True:
            self._tally.load(map(_load, engine.runners.values()))
            await asyncio.sleep(LOAD_SECONDS)


def _load(runner: Runner) -> RunLoad:
    run = runner.run
    stalled = None if run.ended else true_condition(run.status, "Stalled")
    queued = runner.phase == "Queued" and not run.ended
    return RunLoad(run.spec.fleet, runner.active(), queued, str(stalled.get("reason")) if stalled else "")


async def _first_to_end(*work: Coroutine[Any, Any, object]) -> None:
    """Run several things until one of them ends; then end the others, and raise what it raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
