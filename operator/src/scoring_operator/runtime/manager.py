"""The manager: a thread with its own event loop for the informer, leader election, the probes and the controller.

kopf owns the main thread and cancels its own tasks. Everything that has to survive kopf is here. Every operator process
runs the informer and the probes. The controller runs only in the leader, and a fence checks each of its writes.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Any

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import JOB_SELECTOR
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION
from scoring_operator.api.views import JobView
from scoring_operator.controller.controller import Controller
from scoring_operator.controller.timings import Timings
from scoring_operator.errors import ApiError, Forbidden, InvalidSettings, NotFound
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.informer import Informer
from scoring_operator.kube.leader_election import LeaderElector
from scoring_operator.kube.transport import Transport
from scoring_operator.observability.loop_lag import measure_lag
from scoring_operator.observability.metrics import Metrics
from scoring_operator.observability.probes import serve_probes
from scoring_operator.observability.run_metrics import RunMetrics
from scoring_operator.planner.types import JobLimits
from scoring_operator.resources.jobs import ScorerImage
from scoring_operator.runtime.event_loop import new_event_loop
from scoring_operator.runtime.settings import Settings
from scoring_operator.storage.fleet_storage import BlobFleetStorage
from scoring_operator.storage.protocol import FleetStorage

NAMESPACE_CHECK_SECONDS = 10.0  # the time limit of the check whether a namespace can be listed

_log = logging.getLogger(__name__)


class Manager:
    """Runs the informer, the leader election, the probes and the controller in a thread.

    Args:
        settings: The settings of the operator.
        fleets: The administrator's fleets, by name.
        credentials: The credentials of the API server.
        storage: The Blob Storage of the fleets; None: that of the settings.
        timings: The intervals and limits; None: the defaults.
        transport_type: The type of the connections to the API server; None: the default.

    Attributes:
        metrics: The metrics of the process.
        failed: Whether the thread ended with an error.
        timings: The intervals and limits.
    """

    def __init__(
        self,
        settings: Settings,
        fleets: Mapping[str, Fleet],
        credentials: Credentials,
        *,
        storage: FleetStorage | None = None,
        timings: Timings | None = None,
        transport_type: type[Transport] | None = None,
    ) -> None:
        self.metrics = Metrics()
        self.failed = False
        self.timings = timings or Timings()
        self._run_metrics = RunMetrics(self.metrics, datetime.fromtimestamp(time.time(), UTC), fleets)
        self._settings = settings
        self._fleets = fleets
        self._credentials = credentials
        self._storage = storage or BlobFleetStorage(settings.secrets_dir)
        self._transport_type = transport_type or Transport
        self._controller: Controller | None = None
        self._unreadable: dict[str, str] = {}  # by namespace, why its ScoringRuns cannot be listed
        self._client: KubeClient
        self._informer: Informer[JobView]
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._started: Future[None] = Future()
        self._last_heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread, and return when the probes respond.

        Raises:
            InvalidSettings: The port of the probes is taken.
        """
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """Stop the controller, release the Lease and end the thread."""
        self.request_stop()
        self._thread.join(self.timings.process.stop_timeout)

    def request_stop(self) -> None:
        """Request what `stop` does, without waiting for it."""
        if self._started.done() and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)

    def on_run_event(self, namespace: str, name: str, body: Mapping[str, Any] | None) -> None:
        """Pass an event of a ScoringRun to the controller, which lists all runs when it starts.

        Args:
            namespace: The namespace of the run.
            name: The name of the run.
            body: The object of the run; None if it was deleted.
        """
        controller = self._controller
        if controller:
            controller.on_run_event(namespace, name, body)
        if body is not None:
            self._run_metrics.observe_run(body, active=controller is not None)

    def readable_namespaces(self) -> tuple[str, ...]:
        """Return the watched namespaces whose ScoringRuns this account may list; called from another thread.

        A namespace that does not respond is included: its watch retries by itself.
        """
        found = asyncio.run_coroutine_threadsafe(self._find_readable_namespaces(), self._loop)
        return found.result(3 * NAMESPACE_CHECK_SECONDS)

    async def _find_readable_namespaces(self) -> tuple[str, ...]:
        problems = await asyncio.gather(*map(self._listing_problem, self._settings.watch_namespaces))
        found = {name: text for name, text in zip(self._settings.watch_namespaces, problems, strict=True) if text}
        for name in found.keys() - self._unreadable.keys():
            _log.warning("namespace %s is not watched, and is checked again later: %s", name, found[name])
        for name in self._unreadable.keys() - found.keys():
            _log.info("namespace %s is watched again", name)
        self._unreadable = found
        return tuple(name for name in self._settings.watch_namespaces if name not in found)

    async def _listing_problem(self, namespace: str) -> str:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
        try:
            async with asyncio.timeout(NAMESPACE_CHECK_SECONDS), aclosing(self._client.pages(path)) as pages:
                await anext(pages)
        except (Forbidden, NotFound) as error:
            return f"{type(error).__name__}: {error}"
        except (ApiError, TimeoutError):
            return ""
        return ""

    def _is_available(self, namespace: str) -> bool:
        return namespace not in self._unreadable and namespace not in self._informer.problems()

    def _namespace_problems(self) -> str:
        """Return the watched namespaces that cannot be listed or watched, with the reasons."""
        problems = self._informer.problems() | self._unreadable
        return "; ".join(f"namespace {name or '(all)'}: {problem}" for name, problem in sorted(problems.items()))

    def heartbeat(self) -> None:
        """Record that kopf's event loop is alive."""
        self._last_heartbeat = time.monotonic()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=partial(new_event_loop, self._gathering_time)) as runner:
                runner.run(self._serve())
        except Exception as error:  # noqa: BLE001  # the outermost function of the thread
            self.failed = True
            if self._started.done():
                _log.exception("the thread of the controller ended")
            else:
                self._started.set_exception(error)

    def _gathering_time(self) -> float:
        """Return the seconds for which the loop gathers events."""
        return self._controller.gathering_time if self._controller else 0.0

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        settings, metrics, timings = self._settings, self.metrics.process, self.timings
        async with AsyncExitStack() as stack:
            connecting = KubeClient.connect(
                self._credentials,
                observer=metrics.count_request,
                timeouts=timings.client,
                transport_type=self._transport_type,
            )
            client = await stack.enter_async_context(connecting)
            informer = Informer(
                client,
                api="apis/batch/v1",
                plural="jobs",
                type=JobView,
                namespaces=settings.watch_namespaces,
                label_selector=JOB_SELECTOR,
                relist_interval=timings.relist_interval,
            )
            elector = LeaderElector(
                client,
                namespace=settings.pod_namespace,
                name=settings.lease_name,
                identity=settings.pod_name,
                timings=timings.election,
            )
            self._client, self._informer = client, informer
            metrics.track_watch_age("jobs", informer.age)
            for namespace in settings.watch_namespaces or ("",):
                metrics.track_namespace(namespace, partial(self._is_available, namespace))
            metrics.track_leadership(lambda: elector.is_leader)
            metrics.track_controller_age(self._controller_age)
            await self._start_probes(stack, informer)
            self._started.set_result(None)
            await _run_until_first_ends(
                self._stopping.wait(),
                informer.run(),
                measure_lag(metrics.record_loop_lag, gathering_time=self._gathering_time),
                self._lead_repeatedly(client, informer, elector),
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
                    notes=self._namespace_problems,
                )
            )
        except OSError as error:
            raise InvalidSettings(f"FLEETSCORE_METRICS_PORT={port}: {error.strerror or error}") from error

    def _liveness_problem(self, informer: Informer[JobView]) -> str:
        timeout = self.timings.process.liveness_timeout
        if informer.silence() > timeout:
            return f"the watch of Jobs has been silent for {informer.silence():.0f} s. {informer.last_error}"
        if time.monotonic() - self._last_heartbeat > timeout:
            return "the watch of ScoringRuns is dead"
        if self._controller_age() > timeout:
            return "the controller is dead"
        return ""

    def _controller_age(self) -> float:
        return time.monotonic() - self._controller.last_pass_at if self._controller else 0.0

    async def _lead_repeatedly(self, client: KubeClient, informer: Informer[JobView], elector: LeaderElector) -> None:
        """Acquire the Lease and run a controller while it is held, again and again."""
        fenced_client = client.with_fence(lambda: elector.is_leader)
        restart_delay = self.timings.process.restart_delay
        while True:
            await informer.wait_for_sync()
            await elector.acquire()
            try:
                await self._lead(fenced_client, informer, elector)
            except Exception:  # noqa: BLE001  # the operator continues after any error of the controller
                if elector.is_leader:
                    _log.exception("the controller failed; it restarts in %s s", restart_delay)
                    await elector.release()
                    await asyncio.sleep(restart_delay)

    async def _lead(self, client: KubeClient, informer: Informer[JobView], elector: LeaderElector) -> None:
        settings = self._settings
        controller = Controller(
            client,
            informer,
            self._fleets,
            self._storage,
            ScorerImage(settings.scorer_image, settings.scorer_image_pull_policy, settings.scorer_image_pull_secrets),
            namespaces=settings.watch_namespaces,
            limits=_job_limits(settings),
            timings=self.timings,
        )
        self._controller = controller
        try:
            await _run_until_first_ends(elector.renew(), controller.run(), self._publish_load(controller))
        finally:
            self._controller = None
            informer.remove_listeners()

    async def _publish_load(self, controller: Controller) -> None:
        while True:
            self._run_metrics.set_load(controller.loads())
            await asyncio.sleep(self.timings.process.load_interval)


def _job_limits(settings: Settings) -> JobLimits:
    """Return the limits of active Jobs. By default, one of several namespaces can take half of the slots."""
    total, namespace = settings.max_active_jobs, settings.max_active_jobs_per_namespace
    if not namespace and len(settings.watch_namespaces) != 1:
        namespace = -(-total // 2)
    return JobLimits(total, namespace or None)


async def _run_until_first_ends(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run coroutines until one of them ends; then cancel the others, and raise the error of the first."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
