"""The observation of a run's Jobs in a pass: results of ended ones, missing ones, and the cause of a stall."""

from dataclasses import dataclass, replace

from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.controller.job_inspector import JobInspector
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.controller.job_writer import JobWriter
from scoring_operator.controller.result_collector import CollectedResults, ResultCollector
from scoring_operator.controller.run_state import RunStateStore
from scoring_operator.controller.stall_detector import StallDetector
from scoring_operator.planner.finished_runs import CLEANUP_INTERVAL_SECONDS, jobs_to_stop, report_needs_inspection
from scoring_operator.planner.types import Blocker, RunState


@dataclass(frozen=True, slots=True)
class ObservedJobs:
    """The result of an observation.

    Attributes:
        state: The state of the run, with the Jobs that were verified.
        collected: The results of ended Jobs.
        blocker: The cause of a stall.
    """

    state: RunState
    collected: CollectedResults
    blocker: Blocker | None


class JobObserver:
    """The observation of one run's Jobs.

    Args:
        states: The store of the run's state.
        jobs: The tracker of the run's Jobs.
        inspector: The reader of Jobs and pods.
        collector: The collector of results.
        stalls: The detector of stalls.
        writer: The writer of Jobs.
    """

    def __init__(
        self,
        states: RunStateStore,
        jobs: JobTracker,
        inspector: JobInspector,
        collector: ResultCollector,
        stalls: StallDetector,
        writer: JobWriter,
    ) -> None:
        self._states = states
        self._jobs = jobs
        self._inspector = inspector
        self._collector = collector
        self._stalls = stalls
        self._writer = writer

    async def observe(self, run: ScoringRun, state: RunState, phase: str) -> ObservedJobs:
        """Return the new state, the results of ended Jobs, and the cause of a stall.

        Args:
            run: The run.
            state: Its state.
            phase: Its phase after the last pass.
        """
        return await (self._observe_report(run, state) if run.ended else self._observe_jobs(state, phase))

    async def stop_jobs(self, run: ScoringRun) -> float | None:
        """Delete the unfinished Jobs of a run that is being deleted; a finalizer may keep the run for any time.

        Returns:
            The seconds until the next pass; None if no Job is left.
        """
        overdue = self._jobs.overdue()
        jobs = self._jobs.confirm(overdue, await self._inspector.existing(overdue))
        await self._writer.delete(run, jobs_to_stop(jobs), jobs)
        unfinished = any(not job.finished for job in jobs.visible.values())
        return CLEANUP_INTERVAL_SECONDS if unfinished or jobs.assumed else None

    async def _observe_report(self, run: ScoringRun, state: RunState) -> ObservedJobs:
        overdue = self._jobs.overdue()
        self._jobs.confirm(overdue, await self._inspector.existing(overdue))
        result, blocker, jobs = None, None, self._jobs.snapshot()
        if report_needs_inspection(run, jobs):
            result, blocker = await self._inspector.inspect_report(jobs)
        collected = CollectedResults({report_job_name(run): result} if result else {})
        return ObservedJobs(state, collected, blocker or self._stalls.blocker)

    async def _observe_jobs(self, state: RunState, phase: str) -> ObservedJobs:
        overdue = self._jobs.overdue()
        visible = self._jobs.snapshot().visible
        unknown = {name for name in overdue if not ((job := visible.get(name)) and job.finished)}
        state = self._states.add_unverified(unknown)
        collected = await self._collector.collect(state, self._jobs.snapshot(without=unknown))
        missing = {name for name, result in collected.by_job.items() if result.missing}
        jobs = self._jobs.confirm(missing | collected.existing.keys(), collected.existing)
        if collected.by_job or collected.existing:
            state = self._states.remove_verified(collected.by_job, jobs.visible)
        open_batches = state.progress.open_batches if state.progress else {}
        if recorded := overdue.difference(open_batches):
            jobs = self._jobs.confirm(recorded, await self._inspector.existing(recorded))
        progressing = bool(collected.by_job) or phase != "Running"
        stall = await self._stalls.check(open_batches, jobs, state.fleet, progressing=progressing)
        return ObservedJobs(state, replace(collected, by_job={**stall.results, **collected.by_job}), stall.blocker)
