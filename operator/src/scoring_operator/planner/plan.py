"""Every decision about a run: `make_plan` maps an observation to a plan, without a clock, I/O or memory.

The algorithm, in the order of the code:

1. A run whose status has a terminal condition is only reported on and cleaned up; see `finished_runs`.
2. A run without a device list ends if it is rejected or cancelled; results of its Jobs are recorded before. While it
   is suspended, or its window is not over, or another run blocks it, it waits; with `overlapPolicy: Skip` it ends as
   Skipped instead of waiting for a run that has precedence. Otherwise its devices are discovered.
3. Each inspected Job is evaluated and its batch is closed: outcomes are recorded, retries join the queue. A Job whose
   scorer has ended, and whose pod does not end because of another container, is deleted.
4. The run ends when it is cancelled, its canary has failed, a failure budget is exceeded, every device has an outcome,
   or a deadline has passed on the run's own clock. Budgets apply after the canary; see `canary`.
5. A run that is suspended or blocked by another run pauses: its clock stops and its Jobs are suspended. So does a run
   whose window is not over: users may create the progress of a run, or the API server's clock was set back.
6. Otherwise it runs. Jobs that the operator suspended are resumed. Jobs are created up to the run's parallelism and
   slots, each for a batch that was reserved before; see `batching`. After 20 consecutive failures of storage, identity
   or the image, only one Job is active at a time. While the API server rejects Jobs, each pass creates one; not if it
   rejects single Jobs and others are created. While pods cannot start, none is created. While another controller
   suspends every Job, the run's clock stops; see `job_changes`.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import msgspec

from scoring_operator.api.formatting import plural
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner import canary
from scoring_operator.planner.batching import next_jobs
from scoring_operator.planner.evaluation import apply, evaluate
from scoring_operator.planner.failure_budget import exceeded_budget
from scoring_operator.planner.finished_runs import excess_jobs, initial_report_condition, plan_finished
from scoring_operator.planner.job_changes import (
    held_blocker,
    mark_replaced,
    outdated_jobs,
    resumed_elsewhere,
    suspend_changes,
)
from scoring_operator.planner.progress import Batch, Completion, Progress, RunClock, finish
from scoring_operator.planner.types import (
    DEFAULT_LIMITS,
    Blocker,
    JobSnapshot,
    Observation,
    Plan,
    PlannerLimits,
    RunState,
)
from scoring_operator.planner.waiting import (
    SLOTS_WARNING_SECONDS,
    blocked_too_long,
    wait_for_window,
    waits_for_run,
    waits_for_slots,
)

BLOCKED_REQUEUE_SECONDS = 5.0
MIN_PACE_SECONDS = 60.0  # a shorter observation does not predict the duration of a run


def needs_inspection(state: RunState, jobs: JobSnapshot) -> Iterator[str]:
    """Yield the open batches whose Job must be inspected: it has finished, or it may exist and is not visible.

    Args:
        state: The state of the run.
        jobs: The Jobs of the run.
    """
    for name, batch in state.progress.open_batches.items() if state.progress else ():
        if name in jobs.assumed:
            continue
        job = jobs.visible.get(name)
        if job.finished if job else batch.created or name in jobs.seen or name in state.unverified:
            yield name


def make_plan(run: ScoringRun, observation: Observation, now: datetime, limits: PlannerLimits = DEFAULT_LIMITS) -> Plan:
    """Decide the next actions for a run.

    Args:
        run: The run.
        observation: The observed state of the run.
        now: The API server's time.
        limits: The limits of the planner.
    """
    if run.ended:
        return plan_finished(run, observation, now, limits)
    progress = observation.state.progress
    if progress and progress.completion:
        return _completed(progress.completion, progress)
    if progress is None or observation.state.missing:
        return _start(run, observation, now)
    progress = _record_results(progress, observation, now)
    completion = _terminal_state(run, progress, observation.blocker, now)
    if completion:
        return _end(completion, progress)
    if canary_passed := bool(progress.canary) and not canary.unfinished(progress):
        progress = canary.passed(progress)
    early = wait_for_window(run, None, now)
    if run.spec.suspend or observation.allocation.blocked_by or early:
        plan = _pause(run, progress, observation, now, early)
    else:
        plan = _run(run, progress, observation, now, limits)
    if canary_passed:  # the allocation of this pass was that of the canary
        plan = replace(plan, requeue_after=0.0)
    ended = tuple(name for name, result in observation.results.items() if result.ended)
    return replace(plan, delete=(*plan.delete, *ended), save=True) if ended else plan


def _end(completion: Completion, progress: Progress | None) -> Plan:
    """End the run in this pass."""
    finished = finish(progress, completion) if progress else None
    return replace(_completed(completion, finished), progress=finished, save=finished is not None)


def _completed(completion: Completion, progress: Progress | None) -> Plan:
    """Report an end that is in progress already, or that needs no progress."""
    phase = completion.reason if completion.reason in ("Cancelled", "Skipped") else completion.condition
    return Plan(phase, completion=completion, report_condition=initial_report_condition(progress))


def _start(run: ScoringRun, observation: Observation, now: datetime) -> Plan:
    """Return the plan of a run without a device list (step 2)."""
    completion = _rejected(run, observation, now) or _discovery_timed_out(run, observation, now)
    if completion:
        progress = observation.state.progress
        return _end(completion, _record_results(progress, observation, now) if progress else None)
    if run.spec.suspend:
        return Plan("Suspended")
    if not observation.state.missing and (waiting := wait_for_window(run, observation.current_fleet, now)):
        cause, seconds = waiting
        return Plan("Queued", queued_for=cause, requeue_after=seconds)
    if observation.allocation.blocked_by:
        return Plan("Queued", queued_for=waits_for_run(observation), blocker=blocked_too_long(observation))
    return Plan("Pending", discover_devices=True, blocker=observation.blocker)


def _rejected(run: ScoringRun, observation: Observation, now: datetime) -> Completion | None:
    """Return the end of a run that may not begin or continue."""
    state, allocation = observation.state, observation.allocation
    if state.rejection:
        return Completion("Failed", state.rejection.reason, state.rejection.message, now)
    if run.spec.cancel:
        return Completion("Failed", "Cancelled", "cancelled" if state.missing else "cancelled before it began", now)
    has_to_end = allocation.blocked_by and not allocation.blocker_pauses
    if has_to_end and not (run.spec.suspend or state.missing) and run.spec.overlap_policy == "Skip":
        return Completion("Failed", "Skipped", f"run {allocation.blocked_by} was still active", now)
    return None


def _discovery_timed_out(run: ScoringRun, observation: Observation, now: datetime) -> Completion | None:
    """Return the end of a run whose devices could not be listed before the deadline."""
    deadline = run.spec.pending_deadline_seconds
    if observation.state.missing:
        deadline += run.spec.active_deadline_seconds
    started = datetime.fromisoformat(run.status.get("startTime") or now.isoformat())
    waiting = (
        run.spec.suspend or observation.allocation.blocked_by or wait_for_window(run, observation.current_fleet, now)
    )
    if waiting or (now - started).total_seconds() < deadline:
        return None
    cause = f": {observation.blocker.message}" if observation.blocker else ""
    message = f"the fleet's devices could not be listed within {deadline} s{cause}"
    return Completion("Failed", "PendingDeadlineExceeded", message, now)


def _record_results(progress: Progress, observation: Observation, now: datetime) -> Progress:
    """Return the progress with the results of the inspected Jobs (step 3)."""
    evaluations = {}
    opened: dict[str, Batch] = {}
    starts: list[datetime] = []
    for name, batch in progress.open_batches.items():
        job, result = observation.jobs.visible.get(name), observation.results.get(name)
        if job and (job.pod_started or result):
            starts.append(result.started_at if result and result.started_at else now)
        created = batch.created or bool(job) or name in observation.jobs.seen
        known = result if result and not result.provisional else None
        if known and (job.finished or known.ended if job else known.message or created):
            completed = bool(job and job.complete)
            evaluations[name] = evaluate(batch, known, completed=completed, circuit_open=progress.circuit_open)
        elif created and not batch.created:
            opened[name] = replace(batch, created=True)
    if opened:
        progress = replace(progress, open_batches={**progress.open_batches, **opened})
    if starts and progress.clock.first_pod is None:
        earliest = progress.clock.started or now
        start = min(max(earliest, min(starts)), now)  # a node's clock may differ from the API server's
        clock = msgspec.structs.replace(progress.clock, first_pod=(start, progress.clock.elapsed(start)))
        progress = replace(progress, clock=clock)
    return apply(progress, evaluations, now)


def _terminal_state(run: ScoringRun, progress: Progress, blocker: Blocker | None, now: datetime) -> Completion | None:
    """Return the end of a run whose devices are known, if it has ended (step 4)."""
    spec, total = run.spec, progress.total
    devices = plural(total, "device")
    if spec.cancel:
        return Completion("Failed", "Cancelled", f"cancelled with {progress.recorded} of {devices} done", now)
    if not canary.unfinished(progress) and (exceeded := exceeded_budget(run, progress)):
        return Completion("Failed", *exceeded, now)
    if progress.recorded == total:
        return Completion("Complete", "AllDevicesDone", _all_done(progress), now)
    left, reason = _time_left(run, progress.clock, now)
    if left <= 0 and progress.clock.since:
        cause = f": {blocker.message}" if blocker else ""
        message = f"{total - progress.recorded} of {devices} had no outcome when the deadline passed{cause}"
        return Completion("Failed", reason, message, now)
    return None


def _all_done(progress: Progress) -> str:
    """Return the message of a run whose devices all have an outcome."""
    done = "the only device has" if progress.total == 1 else f"all {progress.total} devices have"
    before, quarantined = progress.count("alreadyScored"), progress.count("quarantined")
    text = f"{done} an outcome" + (f"; {before} had complete predictions before" if before else "")
    return text + (f"; {quarantined} in quarantine" if quarantined else "")


def _time_left(run: ScoringRun, clock: RunClock, now: datetime) -> tuple[float, str]:
    """Return the seconds on the run's own clock until its deadline, and the reason of the end at the deadline."""
    if clock.first_pod is None:
        return run.spec.pending_deadline_seconds - clock.elapsed(now), "PendingDeadlineExceeded"
    return run.spec.active_deadline_seconds - (clock.elapsed(now) - clock.first_pod[1]), "DeadlineExceeded"


def _pause(
    run: ScoringRun, progress: Progress, observation: Observation, now: datetime, early: tuple[Blocker, float] | None
) -> Plan:
    """Return the plan of a run that is suspended, blocked or early (step 5)."""
    jobs = observation.jobs
    cause, seconds = early or (waits_for_run(observation), None)
    stopping = progress.clock.since is not None
    progress = replace(progress, clock=progress.clock.stopped(now))
    phase = "Suspended" if run.spec.suspend else "Queued"
    resumed = resumed_elsewhere(progress, jobs)
    progress = mark_replaced(progress, resumed)
    suspend = {name: True for name in suspend_changes(progress, jobs, suspended=True) if name not in resumed}
    return Plan(
        phase,
        progress,
        save=stopping or bool(resumed),
        suspend=suspend,
        replace=resumed,
        queued_for=None if run.spec.suspend else cause,
        blocker=None if run.spec.suspend else blocked_too_long(observation),
        # A Job that was created just before is suspended as soon as it is visible; no event announces that.
        requeue_after=BLOCKED_REQUEUE_SECONDS if suspend or resumed or jobs.assumed else seconds,
    )


def _run(run: ScoringRun, progress: Progress, observation: Observation, now: datetime, limits: PlannerLimits) -> Plan:
    """Return the plan of a run whose Jobs may run (step 6)."""
    held = held_blocker(progress, observation.jobs)
    clock = progress.clock.stopped(now) if held else progress.clock.resumed(now)
    save = (clock.since is None) != (progress.clock.since is None)
    outdated = outdated_jobs(progress, observation, now, limits)
    progress = mark_replaced(replace(progress, clock=clock), outdated)
    slow = not progress.slow_warning_sent and _is_too_slow(run, progress, now)
    progress = replace(progress, slow_warning_sent=True) if slow else progress
    blocker = observation.blocker or held or waits_for_slots(observation.allocation)
    if progress.circuit_open:
        reason = progress.transient_reason or "StorageUnavailable"
        message = f"{progress.consecutive_failures} Jobs in a row failed, the last one with {reason}"
        cause = "the pods of the failed Jobs have the cause"
        blocker = Blocker(reason, f"{message}; {cause}; one Job at a time is created until it has ended")
    active = sum(1 for name in progress.open_batches if observation.jobs.is_active(name))
    free_slots = max(0, _job_limit(run, progress, observation, active) - active)
    progress, ready, reserved = next_jobs(run, progress, observation, free_slots)
    left, _ = _time_left(run, progress.clock, now)
    requeue_after = max(min(left, BLOCKED_REQUEUE_SECONDS if observation.blocker or held else left), 0.0)
    if not observation.allocation.slots:
        requeue_after = min(requeue_after, SLOTS_WARNING_SECONDS)
    return Plan(
        "Running",
        progress,
        save=save or reserved or bool(outdated),
        create={name: progress.open_batches[name] for name in ready},
        suspend=suspend_changes(progress, observation.jobs, suspended=False),
        delete=excess_jobs(progress, observation.jobs, limits, observation.blocker),
        replace=outdated,
        blocker=blocker,
        warn_slow=slow,
        requeue_after=0.0 if reserved and not ready else requeue_after,
    )


def _job_limit(run: ScoringRun, progress: Progress, observation: Observation, active: int) -> int:
    """Return the number of Jobs that may be active now."""
    limit = min(run.spec.parallelism, observation.allocation.slots)
    if progress.circuit_open:
        limit = min(limit, 1)
    if observation.blocker and observation.blocker.limits_jobs:
        limit = min(limit, active + int(observation.blocker.allows_probe))
    return limit


def _is_too_slow(run: ScoringRun, progress: Progress, now: datetime) -> bool:
    """Return True if, at the pace of at least the last minute, the run takes longer than its window."""
    clock, already = progress.clock, progress.count("alreadyScored") + progress.count("quarantined")
    if clock.first_pod is None:
        return False
    spent, done = clock.elapsed(now) - clock.first_pod[1], progress.recorded - already
    window = run.spec.window.length.total_seconds()
    return spent >= MIN_PACE_SECONDS and done > 0 and spent * (progress.total - already) / done > window
