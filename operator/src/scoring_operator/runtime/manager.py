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
from scoring_operator.controller.controller import Controller
from scoring_operator.controller.reconciler import RunReconciler
from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.informer import Informer
from scoring_operator.kube.leader_election import LeaderElector
from scoring_operator.observability.metrics import Metrics
from scoring_operator.observability.probes import serve_probes
from scoring_operator.observability.run_metrics import RunLoad, RunMetrics
from scoring_operator.resources.jobs import ScorerImage
from scoring_operator.runtime.settings import Settings
from scoring_operator.storage.fleet_storage import BlobFleetStorage

LIVENESS_TIMEOUT_SECONDS = (
    600.0  # a watch or kopf's loop that gave no sign for so long is dead; a lost API server is back before
)
STOP_TIMEOUT_SECONDS = 20.0
LOAD_INTERVAL_SECONDS = 5.0  # between looks at the load for the metrics
RESTART_DELAY_SECONDS = 5.0  # before an engine that failed is started again

_log = logging.getLogger(__name__)


class Manager:
    """Runs the engine in a thread.

    Args:
        settings: The operator's.
        fleets: By name.
        credentials: As whom to speak to the API server.
    """

    def __init__(self, settings: Settings, fleets: Mapping[str, Fleet], credentials: Credentials) -> None:
        self.metrics = Metrics()
        self.failed = False
        self._run_metrics = RunMetrics(self.metrics, datetime.now(UTC))
        self._settings = settings
        self._fleets = fleets
        self._credentials = credentials
        self._controller: Controller | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._started: Future[None] = Future()
        self._last_heartbeat = time.monotonic()
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
        self.request_stop()
        self._thread.join(STOP_TIMEOUT_SECONDS)

    def request_stop(self) -> None:
        """Like `stop`, but do not wait."""
        if self._started.done() and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)

    def on_run_event(self, namespace: str, name: str, body: Mapping[str, Any] | None) -> None:
        """Pass on a ScoringRun as it is now (None: deleted). The active engine lists them all when it starts."""
        controller = self._controller
        if controller:
            controller.wake(namespace, name, body)
        if body is not None:
            self._run_metrics.observe_run(body, active=controller is not None)

    def heartbeat(self) -> None:
        """Note that kopf's loop turns."""
        self._last_heartbeat = time.monotonic()

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
            client = await stack.enter_async_context(
                KubeClient.connect(self._credentials, observer=metrics.count_request)
            )
            informer = Informer(
                client,
                api="apis/batch/v1",
                plural="jobs",
                type=JobView,
                namespaces=settings.watch_namespaces,
                label_selector=JOB_SELECTOR,
            )
            elector = LeaderElector(
                client, namespace=settings.pod_namespace, name=settings.lease_name, identity=settings.pod_name
            )
            metrics.track_watch_age("jobs", informer.age)
            metrics.track_leadership(lambda: elector.is_leader)
            metrics.track_engine_age(self._engine_age)
            await self._start_probes(stack, informer)
            self._started.set_result(None)
            await _run_until_first_ends(
                self._stopping.wait(), informer.run(), self._lead_repeatedly(client, informer, elector)
            )
            await elector.release()

    async def _start_probes(self, stack: AsyncExitStack, informer: Informer[JobView]) -> None:
        port = self._settings.metrics_port
        try:
            await stack.enter_async_context(
                serve_probes(
                    port,
                    self.metrics,
                    liveness=lambda: self._liveness_problem(informer),
                    readiness=lambda: "" if informer.has_synced else f"Jobs are not listed yet. {informer.last_error}",
                )
            )
        except OSError as error:
            raise InvalidSettings(f"FLEETSCORE_METRICS_PORT={port}: {error.strerror or error}") from error

    def _liveness_problem(self, informer: Informer[JobView]) -> str:
        if informer.age() > LIVENESS_TIMEOUT_SECONDS:
            return f"the watch of Jobs has been silent for {informer.age():.0f} s. {informer.last_error}"
        if time.monotonic() - self._last_heartbeat > LIVENESS_TIMEOUT_SECONDS:
            return "the watch of ScoringRuns is dead"
        if self._engine_age() > LIVENESS_TIMEOUT_SECONDS:
            return "the engine is dead"
        return ""

    def _engine_age(self) -> float:
        return time.monotonic() - self._controller.passed_at if self._controller else 0.0

    async def _lead_repeatedly(self, client: KubeClient, informer: Informer[JobView], elector: LeaderElector) -> None:
        """Hold the lease, run an engine as long as it lasts, again and again."""
        storage = BlobFleetStorage(self._settings.secrets_dir)
        fenced_client = client.with_fence(lambda: elector.is_leader)
        while True:
            await informer.wait_for_sync()
            await elector.acquire()
            try:
                await self._lead(fenced_client, informer, storage, elector)
            except Exception:  # noqa: BLE001  # whatever ended the engine, the operator goes on
                if elector.is_leader:
                    _log.exception("the engine failed; it starts again in %s s", RESTART_DELAY_SECONDS)
                    await elector.release()
                    await asyncio.sleep(RESTART_DELAY_SECONDS)

    async def _lead(
        self, client: KubeClient, informer: Informer[JobView], storage: BlobFleetStorage, elector: LeaderElector
    ) -> None:
        settings = self._settings
        controller = Controller(
            client,
            informer,
            self._fleets,
            storage,
            ScorerImage(settings.scorer_image, settings.scorer_image_pull_policy, settings.scorer_image_pull_secrets),
            namespaces=settings.watch_namespaces,
            most_jobs=settings.max_active_jobs,
        )
        self._controller = controller
        try:
            await _run_until_first_ends(elector.renew(), controller.run(), self._publish_load(controller))
        finally:
            self._controller = None
            informer.remove_listeners()

    async def _publish_load(self, controller: Controller) -> None:
        while True:
            self._run_metrics.set_load(map(_load, controller.runners.values()))
            await asyncio.sleep(LOAD_INTERVAL_SECONDS)


def _load(runner: RunReconciler) -> RunLoad:
    run = runner.run
    stalled = None if run.ended else true_condition(run.status, "Stalled")
    queued = runner.phase == "Queued" and not run.ended
    return RunLoad(run.spec.fleet, runner.active(), queued, str(stalled.get("reason")) if stalled else "")


async def _run_until_first_ends(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run several things until one of them ends; then end the others, and raise what it raised."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
