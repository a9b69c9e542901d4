"""A reconciler with its API server, its storage and its tracker, in memory."""

from typing import Any

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import progress_config_map_name
from scoring_operator.api.scoringrun import parse_run
from scoring_operator.controller.job_limiter import JobLimiter
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.controller.reconciler import RunReconciler
from scoring_operator.controller.services import Services
from scoring_operator.controller.timings import ControllerTimings, Timings
from scoring_operator.planner.types import JobLimits
from scoring_operator.resources.jobs import ScorerImage
from tests.testkit.builders import a_body, a_job, a_message, a_run
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import a_fleet
from tests.unit.operator.controller.in_memory_client import InMemoryClient

RUN_PATH = "/apis/fleetscore.dev/v1alpha1/namespaces/scoring/scoringruns/hourly"
JOBS = "/apis/batch/v1/namespaces/scoring/jobs"
PODS = "/api/v1/namespaces/scoring/pods"
PROGRESS = f"/api/v1/namespaces/scoring/configmaps/{progress_config_map_name(a_run())}"
IMMEDIATE = ControllerTimings(save_interval=0, status_interval=0, collect_interval=0, discovery_retry_interval=5)


class OneRun:
    """A reconciler with its API server, its storage and its tracker."""

    def __init__(self, timings: ControllerTimings = IMMEDIATE, **spec: Any) -> None:
        self.client = InMemoryClient()
        self.client.objects[RUN_PATH] = a_body(**spec)
        self.storage = InMemoryStorage(["fan-1", "press-1"])
        self._timings = Timings(controller=timings)
        self.restart(a_fleet("scoring"))

    def restart(self, *fleets: Fleet) -> None:
        """Start an operator process with these fleets, in place of an earlier one."""
        self.limiter = JobLimiter(JobLimits(1000), 1.0, lambda _uid: None)
        self.jobs = JobTracker(30.0)
        by_name = {fleet.name: fleet for fleet in fleets}
        image = ScorerImage("scorer:test")
        services = Services(self.client, self.storage, by_name, image, self.limiter, self._timings)
        self.reconciler = RunReconciler(parse_run(self.client.objects[RUN_PATH]), self.jobs, services)

    async def reconcile(self, times: int = 1) -> float | None:
        """Run passes, and return the result of the last one."""
        requeue_after = None
        for _ in range(times):
            requeue_after = await self.reconciler.reconcile()
        return requeue_after

    def job_names(self) -> list[str]:
        return [path.rpartition("/")[2] for path in self.client.objects if path.startswith(JOBS)]

    def show(self, name: str, **state: Any) -> bool:
        """Let the informer show a Job, and return whether the change requires a pass."""
        return self.reconciler.on_job_event(None, a_job(name, **state))

    def complete(self, name: str) -> None:
        """Complete a Job with one scored device."""
        self.show(name, complete=True)
        self.storage.records[name] = a_message(1).encode()

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.client.objects[RUN_PATH].get("status", {})
        return status
