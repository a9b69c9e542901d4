"""Every decision about a run: `plan(run, seen, now)` returns what to do next. Pure: no clock, no I/O, no memory.

The algorithm in words, top to bottom as the code below goes:

1. A run whose end stands in status is only reported on and cleaned up; see `cleaning`.
2. A run without a frozen device list, or that has lost it, ends if it was refused or cancelled; stands still while
   suspended or while a run ahead of it is active (or ends as Skipped, if it says so); otherwise it asks for its devices
   to be found.
3. Every finished or vanished Job that was looked at is judged, and its batch closed: outcomes are recorded, what has
   to run again joins the queue.
4. The run ends when it is cancelled, when too many devices failed or were empty, when every device has an outcome, or
   when a deadline has passed on the run's own clock.
5. A suspended run, or one that must wait for another, stands still: its clock stops and its Jobs are suspended.
6. Otherwise it runs: Jobs that stand still are resumed, and Jobs are created up to its parallelism and its share of
   the operator's limit, each for a batch that was marked before; see `marking`. After a row of failures for storage or
   identity one Job at a time probes; while the API server refuses, one per pass is tried; while pods cannot start,
   none.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import msgspec

from scoring_operator.api.scoringrun import ScoringRun, resolve_limit
from scoring_operator.planner.batching import next_jobs
from scoring_operator.planner.evaluation import apply, evaluate
from scoring_operator.planner.finished_runs import excess_jobs, initial_report_condition, plan_finished
from scoring_operator.planner.progress import Batch, Completion, Progress, RunClock, finish
from scoring_operator.planner.types import Blocker, Observation, Plan


def needs_inspection(observation: Observation) -> Iterator[str]:
    """Names of open batches whose Job has to be looked at before it can be judged: finished, or gone."""
    for name, batch in observation.progress.open_batches.items() if observation.progress else ():
        if name in observation.words or name in observation.assumed:
            continue
        job = observation.jobs.get(name)
        if job.finished if job else batch.created or name in observation.known or name in observation.doubtful:
            yield name


def make_plan(run: ScoringRun, observation: Observation, now: datetime) -> Plan:
    """Decide what to do next for a run; `now` is the API server's time."""
    if run.ended:
        return plan_finished(run, observation, now)
    if observation.progress and observation.progress.completion:
        return _finished(observation.progress, observation.progress.completion)
    if observation.progress is None or observation.lost:
        return _start(run, observation, now)
    progress = _record_results(observation.progress, observation, now)
    end = _terminal_state(run, progress, now)
    if end:
        return replace(_finished(finish(progress, end), end), save=True)
    if run.spec.suspend or observation.ahead:
        return _pause(run, progress, observation, now)
    return _run(run, progress, observation, now)


def _finished(progress: Progress | None, completion: Completion) -> Plan:
    phase = completion.reason if completion.reason in ("Cancelled", "Skipped") else completion.condition
    return Plan(phase, progress, end=completion, reported=initial_report_condition(progress))


def _start(run: ScoringRun, observation: Observation, now: datetime) -> Plan:
    """Step 2."""
    end = _rejected(run, observation, now) or _discovery_timed_out(run, observation, now)
    if end:
        return replace(
            _finished(finish(observation.progress, end) if observation.progress else None, end),
            save=bool(observation.progress),
        )
    if run.spec.suspend or observation.ahead:
        return Plan("Suspended" if run.spec.suspend else "Queued", observation.progress)
    return Plan("Pending", observation.progress, discover=True, trouble=observation.trouble)


def _rejected(run: ScoringRun, observation: Observation, now: datetime) -> Completion | None:
    """How a run ends that will not begin, or not go on."""
    if observation.refusal:
        return Completion("Failed", observation.refusal.reason, observation.refusal.message, now)
    if run.spec.cancel:
        return Completion("Failed", "Cancelled", "cancelled" if observation.lost else "cancelled before it began", now)
    if observation.ahead and not (run.spec.suspend or observation.lost) and run.spec.overlap_policy == "Skip":
        return Completion("Failed", "Skipped", f"run {observation.ahead} was still active", now)
    return None


def _discovery_timed_out(run: ScoringRun, observation: Observation, now: datetime) -> Completion | None:
    """The end of a run whose devices could not be listed for too long."""
    deadline = run.spec.pending_deadline_seconds + (run.spec.active_deadline_seconds if observation.lost else 0)
    started = datetime.fromisoformat(run.status.get("startTime") or now.isoformat())
    if run.spec.suspend or observation.ahead or (now - started).total_seconds() < deadline:
        return None
    cause = f": {observation.trouble.message}" if observation.trouble else ""
    message = f"the fleet's devices could not be listed within {deadline} s{cause}"
    return Completion("Failed", "PendingDeadlineExceeded", message, now)


def _record_results(progress: Progress, observation: Observation, now: datetime) -> Progress:
    """Step 3."""
    evaluations = {}
    opened: dict[str, Batch] = {}
    starts: list[datetime] = []
    for name, batch in progress.open_batches.items():
        job, result = observation.jobs.get(name), observation.words.get(name)
        if job and job.pod_started:
            starts.append(result.started_at if result and result.started_at else now)
        created = batch.created or bool(job) or name in observation.known
        if result and (job.finished if job else result.message or created):
            completed = bool(job and job.true_condition("Complete"))
            evaluations[name] = evaluate(batch, result, completed=completed, circuit_open=progress.circuit_open)
        elif created and not batch.created:
            opened[name] = replace(batch, created=True)
    if opened:
        progress = replace(progress, open_batches={**progress.open_batches, **opened})
    if starts and progress.clock.first_pod is None:
        start = min(*starts, now)  # a node's clock may be ahead of the API server's
        clock = msgspec.structs.replace(progress.clock, first_pod=(start, progress.clock.elapsed(start)))
        progress = replace(progress, clock=clock)
    return apply(progress, evaluations, now)


def _terminal_state(run: ScoringRun, progress: Progress, now: datetime) -> Completion | None:
    """Step 4."""
    spec, total = run.spec, progress.total
    failed, empty = progress.count("failed"), progress.count("empty")
    most_failed = resolve_limit(spec.max_failed_devices, total)
    most_empty = resolve_limit(spec.max_empty_devices, total)
    if spec.cancel:
        return Completion("Failed", "Cancelled", f"cancelled with {progress.recorded} of {total} devices done", now)
    if failed > most_failed:
        message = f"{failed} of {total} devices failed; maxFailedDevices allows {most_failed}"
        return Completion("Failed", "MaxFailedDevicesExceeded", message, now)
    if empty > most_empty:
        message = f"{empty} of {total} devices had no readings in the window; maxEmptyDevices allows {most_empty}"
        return Completion("Failed", "NoData", message, now)
    if progress.recorded == total:
        return Completion("Complete", "AllDevicesDone", f"all {total} devices have an outcome", now)
    left, reason = _time_left(run, progress.clock, now)
    if left <= 0 and progress.clock.since:
        message = f"{total - progress.recorded} of {total} devices had no outcome when the deadline passed"
        return Completion("Failed", reason, message, now)
    return None


def _time_left(run: ScoringRun, clock: RunClock, now: datetime) -> tuple[float, str]:
    """Seconds on the run's own clock until its deadline, and the reason it would end with."""
    if clock.first_pod is None:
        return run.spec.pending_deadline_seconds - clock.elapsed(now), "PendingDeadlineExceeded"
    return run.spec.active_deadline_seconds - (clock.elapsed(now) - clock.first_pod[1]), "DeadlineExceeded"


def _pause(run: ScoringRun, progress: Progress, observation: Observation, now: datetime) -> Plan:
    """Step 5."""
    stopping = progress.clock.since is not None
    progress = replace(progress, clock=progress.clock.stopped(now))
    phase = "Suspended" if run.spec.suspend else "Queued"
    return Plan(phase, progress, save=stopping, suspend=_suspend_changes(progress, observation, suspended=True))


def _suspend_changes(progress: Progress, observation: Observation, *, suspended: bool) -> dict[str, bool]:
    """Unfinished Jobs whose `suspend` is not as wanted."""
    jobs = ((name, observation.jobs.get(name)) for name in progress.open_batches)
    return {
        name: suspended for name, job in jobs if job and not job.finished and bool(job.spec.suspend) is not suspended
    }


def _run(run: ScoringRun, progress: Progress, observation: Observation, now: datetime) -> Plan:
    """Step 6."""
    starting = progress.clock.since is None
    progress = replace(progress, clock=progress.clock.resumed(now))
    slow = not progress.slow_warning_sent and _is_too_slow(run, progress, now)
    progress = replace(progress, slow_warning_sent=True) if slow else progress
    trouble = observation.trouble
    if progress.circuit_open:
        message = f"{progress.consecutive_failures} Jobs in a row failed for storage or identity; one at a time probes"
        trouble = Blocker("StorageUnavailable", message)
    active = sum(1 for name in progress.open_batches if observation.occupied(name))
    free_slots = max(0, _job_limit(run, progress, observation, active) - active)
    progress, ready, marked = next_jobs(run, progress, observation, free_slots)
    left, _ = _time_left(run, progress.clock, now)
    return Plan(
        "Running",
        progress,
        save=starting or marked,
        create={name: progress.open_batches[name] for name in ready},
        suspend=_suspend_changes(progress, observation, suspended=False),
        delete=excess_jobs(replace(observation, progress=progress)),
        trouble=trouble,
        slow=slow,
        wake=0.0 if marked and not ready else max(min(left, 5.0 if trouble else left), 0.0),
    )


def _job_limit(run: ScoringRun, progress: Progress, observation: Observation, active: int) -> int:
    """How many Jobs may be active now."""
    limit = min(run.spec.parallelism, observation.share)
    if progress.circuit_open:
        limit = min(limit, 1)
    if observation.trouble:
        limit = min(limit, active + int(observation.trouble.allows_probe))
    return limit


def _is_too_slow(run: ScoringRun, progress: Progress, now: datetime) -> bool:
    """Whether, at the pace seen for a minute at least, the run will take longer than its window is."""
    clock, already = progress.clock, progress.count("alreadyScored")
    if clock.first_pod is None:
        return False
    spent, done = clock.elapsed(now) - clock.first_pod[1], progress.recorded - already
    window = run.spec.window.length.total_seconds()
    return spent >= 60 and done > 0 and spent * (progress.total - already) / done > window
