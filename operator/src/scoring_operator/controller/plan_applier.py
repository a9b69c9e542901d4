"""The execution of a plan: the order of its writes.

A Job is created after its reservation is saved. Jobs are deleted and status is written after the progress that they
depend on is saved. Jobs are suspended and resumed before the status says so.
"""

import asyncio
from dataclasses import dataclass

from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.controller.job_writer import MAX_CREATES_PER_PASS, Creation, JobWriter, request_blocker
from scoring_operator.controller.run_state import RunStateStore
from scoring_operator.controller.stall_detector import StallDetector
from scoring_operator.controller.status_writer import StatusWriter
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.errors import ApiError, RunBlocked
from scoring_operator.planner.types import Blocker, Observation, Plan, RunState


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of an execution.

    Attributes:
        run: The run as last read or written.
        state: The state of the run.
        requeue_after: Seconds until the next pass without an event; None: the resync interval.
    """

    run: ScoringRun
    state: RunState
    requeue_after: float | None


class PlanApplier:
    """Executes the plans of one run.

    Args:
        states: The store of the run's state.
        stalls: The stall detector, which records rejected Jobs and failed discoveries.
        jobs: The tracker of the run's Jobs.
        writer: The writer of the run's Jobs.
        status: The writer of the run's status.
        timings: The intervals.
    """

    def __init__(
        self,
        states: RunStateStore,
        stalls: StallDetector,
        jobs: JobTracker,
        writer: JobWriter,
        status: StatusWriter,
        timings: ControllerTimings,
    ) -> None:
        self._states = states
        self._stalls = stalls
        self._jobs = jobs
        self._writer = writer
        self._status = status
        self._timings = timings

    async def apply(self, run: ScoringRun, plan: Plan, observation: Observation, state: RunState) -> Applied:
        """Execute a plan.

        Args:
            run: The run as last observed.
            plan: The plan.
            observation: The observation that the plan was made from.
            state: The state of the run, with the progress of the plan.

        Raises:
            RunDeleted: The run does not exist any more.
            ApiError: A request failed; the pass has to be repeated.
        """
        if plan.delete_run:
            await self._status.delete_run()
        if plan.discover_devices:
            return await self._discover(run, plan, observation)
        if plan.save:
            await self._states.save()
        await self._writer.suspend(run, plan.suspend)
        # The Jobs do not wait for the other writes: their reservations are saved by now.
        creation, status = await asyncio.gather(
            self._create(run, plan, state), self._save_and_write_status(run, plan, observation), return_exceptions=True
        )
        if isinstance(creation, BaseException):
            raise creation
        if isinstance(status, BaseException):
            raise status
        written, next_write = status
        due = [plan.requeue_after, creation, next_write]
        return Applied(written, state, min((seconds for seconds in due if seconds is not None), default=None))

    async def _discover(self, run: ScoringRun, plan: Plan, observation: Observation) -> Applied:
        run, _ = await self._status.write(run, plan, observation)
        try:
            state = await self._states.discover(run)
        except RunBlocked as error:
            blocker: Blocker | None = Blocker(error.reason, error.message, permanent=error.permanent)
        except ApiError as error:
            blocker = request_blocker(error)
            if blocker is None:
                raise
        else:
            self._stalls.record_discovery(None)
            return Applied(run, state, 0.0)
        self._stalls.record_discovery(blocker)
        return Applied(run, observation.state, self._timings.discovery_retry_interval)

    async def _create(self, run: ScoringRun, plan: Plan, state: RunState) -> float | None:
        """Create the plan's Jobs, and return the seconds until the pass that creates or reports more."""
        creation = Creation()
        if plan.create and state.fleet:
            creation = await self._writer.create(run, state.fleet, state.devices, plan.create)
        if plan.create_report and state.fleet and state.progress:
            names = state.progress.snapshot.device_list_names
            creation = Creation(await self._writer.create_report(run, state.fleet, names))
        self._stalls.record_creation(creation, running=plan.phase == "Running")
        stopped = creation.rejection or (creation.rejected and not creation.created)
        if len(plan.create) > MAX_CREATES_PER_PASS and not stopped:
            return 0.0
        return self._timings.status_interval if plan.create or plan.create_report else None

    async def _save_and_write_status(
        self, run: ScoringRun, plan: Plan, observation: Observation
    ) -> tuple[ScoringRun, float | None]:
        """Save, write status and delete Jobs; return the run, and the seconds until a write that is not due yet."""
        new_phase = plan.phase != run.status.get("phase")  # is reported, and therefore saved, at once
        wait = 0.0 if new_phase else self._states.seconds_until_save
        if self._states.unsaved and wait > 0:
            return run, wait
        await self._states.save()
        self._jobs.acknowledge(observation.jobs.seen)
        written = await self._status.write(run, plan, observation)
        await self._writer.delete(run, plan.delete, observation.jobs)
        await self._writer.delete(run, plan.replace, observation.jobs, unchanged=True)
        return written
