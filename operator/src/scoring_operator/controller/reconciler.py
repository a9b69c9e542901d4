"""One pass over one run: observe, plan, apply, write status. Every trigger starts the same pass.

Between passes, only state is cached that can be reloaded after a restart. The order of the writes is fixed: a Job is
created after its reservation is saved; Jobs are deleted and status is written after the progress they depend on.
"""

from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import JobView
from scoring_operator.controller.job_inspector import JobInspector
from scoring_operator.controller.job_observer import JobObserver
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.controller.job_writer import JobWriter, request_blocker
from scoring_operator.controller.plan_applier import PlanApplier
from scoring_operator.controller.result_collector import ResultCollector
from scoring_operator.controller.run_state import RunStateStore
from scoring_operator.controller.services import Services
from scoring_operator.controller.stall_detector import StallDetector
from scoring_operator.controller.status_writer import StatusWriter
from scoring_operator.errors import ApiError
from scoring_operator.planner.finished_runs import concerns_report, job_quota_is_full
from scoring_operator.planner.plan import make_plan
from scoring_operator.planner.queueing import Demand
from scoring_operator.planner.types import Observation, RunState


class RunReconciler:
    """The passes of one run, from its first event to its deletion.

    Args:
        run: The run as first observed.
        jobs: The tracker of the run's Jobs.
        services: What the reconcilers of all runs share.

    Attributes:
        run: The run as last read or written.
        phase: The phase after the last pass; before the first one, the phase in the status.
    """

    def __init__(self, run: ScoringRun, jobs: JobTracker, services: Services) -> None:
        client, timings = services.client, services.timings.controller
        inspector = JobInspector(run.ref, client, services.storage, timings.storage_backoff)
        self.run = run
        self.phase = str(run.status.get("phase", ""))
        self._jobs = jobs
        self._client = client
        self._limiter = services.limiter
        self._limits = services.timings.planner
        self._states = RunStateStore(
            run, client, services.storage, services.fleets, services.timings, services.discoveries
        )
        self._collector = ResultCollector(inspector, timings)
        self._stalls = StallDetector(inspector, timings)
        self._status = StatusWriter(run.ref, client, timings.status_interval)
        self._writer = JobWriter(client, services.image, jobs)
        self._observer = JobObserver(self._states, jobs, inspector, self._collector, self._stalls, self._writer)
        self._applier = PlanApplier(self._states, self._stalls, jobs, self._writer, self._status, timings)
        self._fleet = services.fleets.get(run.spec.fleet)
        self._limiter.add(Demand(run, self.phase, None, self._fleet), jobs)

    def update(self, run: ScoringRun) -> None:
        """Take over a newer state of the run's object; ignore an older one."""
        if run.generation > self.run.generation or run.is_newer_than(self.run) or run.deleting:
            self._set_run(run)

    def on_job_event(self, old: JobView | None, new: JobView | None) -> bool:
        """Record a change of one of the run's Jobs, and return True if it requires a pass."""
        requires_pass = self._jobs.on_event(old, new, await_first_pod=self._states.awaits_first_pod)
        if self.run.deleting:
            return requires_pass or old is None
        return requires_pass and (not self.run.ended or concerns_report(self.run, old, new))

    async def refresh(self) -> None:
        """Read the run's object again; events may have a newer state of it by then.

        Raises:
            RunDeleted: The run does not exist any more.
            ApiError: The request failed.
        """
        self.update(await self._status.fetch_run())

    async def reconcile(self) -> float | None:
        """Make one pass, and return the seconds until the next one (None: wait for an event).

        Raises:
            RunDeleted: The run does not exist any more.
            ApiError: A request failed; the pass has to be repeated.
        """
        if self.run.deleting:
            return await self._observer.stop_jobs(self.run)
        state = await self._states.load(self.run)
        self._publish(state)
        observed = await self._observer.observe(self.run, state, self.phase)
        collected = observed.collected
        # No await from here to `reserve`: the allocation must match the Jobs that are created.
        now = self._client.now()  # the responses of this pass may have shown a jump of the server's clock
        state = self._states.adjust_clock(now)
        allocation = self._limiter.allocate(self.run.uid)
        template = self._writer.template(self.run, state.fleet)
        jobs = self._jobs.snapshot()
        blocker, fleet, rejected = observed.blocker, self._fleet, self._stalls.rejected
        observation = Observation(state, jobs, collected.by_job, allocation, blocker, template, fleet, rejected)
        plan = make_plan(self.run, observation, now, self._limits)
        self._limiter.record_quota(self.run.uid, waiting=job_quota_is_full(blocker) and not plan.delete)
        if plan.completion and (
            collected.pending or await self._collector.collect_last(state, observation.jobs, collected.by_job)
        ):
            self._collector.collect_now()
            return 0.0
        self.phase = plan.phase
        state = self._states.advance(plan.progress)
        self._publish(state)
        shortfall = 0 if plan.blocker else allocation.shortfall
        run = self.run
        with self._limiter.reserve(run.uid, plan.create.keys(), shortfall):
            applied = await self._applier.apply(run, plan, observation, state)
        if self.run is run or applied.run.is_newer_than(self.run):  # else an event has a newer state
            self._set_run(applied.run)
        self._publish(applied.state)
        if plan.discover_devices:
            return applied.requeue_after
        next_check = self._stalls.next_check_in if plan.phase == "Running" else None
        due = (applied.requeue_after, collected.retry_in, next_check)
        return min((seconds for seconds in due if seconds is not None), default=None)

    async def write_failure(self, error: ApiError) -> None:
        """Write into the status why the passes of an active run fail, if the API server rejects a request.

        Args:
            error: The error of the last pass.

        Raises:
            RunDeleted: The run does not exist any more.
            ApiError: The request failed.
        """
        blocker = request_blocker(error)
        if blocker and not (self.run.ended or self.run.deleting):
            self._set_run(await self._status.write_blocker(self.run, blocker))

    def close(self) -> None:
        """Cancel the request that runs concurrently with the passes."""
        self._collector.close()

    def _set_run(self, run: ScoringRun) -> None:
        self.run = run
        self._limiter.update_run(run)

    def _publish(self, state: RunState) -> None:
        self._limiter.update(Demand(self.run, self.phase, state.progress, self._fleet))
