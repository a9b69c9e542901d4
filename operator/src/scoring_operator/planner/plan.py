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

from scoring_operator.api.scoringrun import ScoringRun, limit_of
from scoring_operator.planner.batching import creatable
from scoring_operator.planner.evaluation import judge, record
from scoring_operator.planner.finished_runs import clean_up, surplus, to_report
from scoring_operator.planner.progress import Batch, Clock, End, Progress, close
from scoring_operator.planner.types import Observed, Plan, Trouble


def unheard(seen: Observed) -> Iterator[str]:
    """Names of open batches whose Job has to be looked at before it can be judged: finished, or gone."""
    for name, batch in seen.progress.open.items() if seen.progress else ():
        if name in seen.words or name in seen.assumed:
            continue
        job = seen.jobs.get(name)
        if job.finished if job else batch.created or name in seen.known or name in seen.doubtful:
            yield name


def plan(run: ScoringRun, seen: Observed, now: datetime) -> Plan:
    """Decide what to do next for a run; `now` is the API server's time."""
    if run.ended:
        return clean_up(run, seen, now)
    if seen.progress and seen.progress.end:
        return _ended(seen.progress, seen.progress.end)
    if seen.progress is None or seen.lost:
        return _begin(run, seen, now)
    progress = _hear(seen.progress, seen, now)
    end = _ending(run, progress, now)
    if end:
        return replace(_ended(close(progress, end), end), save=True)
    if run.spec.suspend or seen.ahead:
        return _stand_still(run, progress, seen, now)
    return _go(run, progress, seen, now)


def _ended(progress: Progress | None, end: End) -> Plan:
    phase = end.reason if end.reason in ("Cancelled", "Skipped") else end.condition
    return Plan(phase, progress, end=end, reported=to_report(progress))


def _begin(run: ScoringRun, seen: Observed, now: datetime) -> Plan:
    """Step 2."""
    end = _stillborn(run, seen, now) or _unlisted(run, seen, now)
    if end:
        return replace(_ended(close(seen.progress, end) if seen.progress else None, end), save=bool(seen.progress))
    if run.spec.suspend or seen.ahead:
        return Plan("Suspended" if run.spec.suspend else "Queued", seen.progress)
    return Plan("Pending", seen.progress, discover=True, trouble=seen.trouble)


def _stillborn(run: ScoringRun, seen: Observed, now: datetime) -> End | None:
    """How a run ends that will not begin, or not go on."""
    if seen.refusal:
        return End("Failed", seen.refusal.reason, seen.refusal.message, now)
    if run.spec.cancel:
        return End("Failed", "Cancelled", "cancelled" if seen.lost else "cancelled before it began", now)
    if seen.ahead and not (run.spec.suspend or seen.lost) and run.spec.overlap_policy == "Skip":
        return End("Failed", "Skipped", f"run {seen.ahead} was still active", now)
    return None


def _unlisted(run: ScoringRun, seen: Observed, now: datetime) -> End | None:
    """The end of a run whose devices could not be listed for too long."""
    deadline = run.spec.pending_deadline_seconds + (run.spec.active_deadline_seconds if seen.lost else 0)
    started = datetime.fromisoformat(run.status.get("startTime") or now.isoformat())
    if run.spec.suspend or seen.ahead or (now - started).total_seconds() < deadline:
        return None
    cause = f": {seen.trouble.message}" if seen.trouble else ""
    message = f"the fleet's devices could not be listed within {deadline} s{cause}"
    return End("Failed", "PendingDeadlineExceeded", message, now)


def _hear(progress: Progress, seen: Observed, now: datetime) -> Progress:
    """Step 3."""
    verdicts = {}
    opened: dict[str, Batch] = {}
    starts: list[datetime] = []
    for name, batch in progress.open.items():
        job, word = seen.jobs.get(name), seen.words.get(name)
        if job and job.pod_started:
            starts.append(word.started if word and word.started else now)
        created = batch.created or bool(job) or name in seen.known
        if word and (job.finished if job else word.said or created):
            completed = bool(job and job.true_condition("Complete"))
            verdicts[name] = judge(batch, word, completed=completed, probing=progress.probing)
        elif created and not batch.created:
            opened[name] = replace(batch, created=True)
    if opened:
        progress = replace(progress, open={**progress.open, **opened})
    if starts and progress.clock.first_pod is None:
        start = min(*starts, now)  # a node's clock may be ahead of the API server's
        clock = msgspec.structs.replace(progress.clock, first_pod=(start, progress.clock.elapsed(start)))
        progress = replace(progress, clock=clock)
    return record(progress, verdicts, now)


def _ending(run: ScoringRun, progress: Progress, now: datetime) -> End | None:
    """Step 4."""
    spec, total = run.spec, progress.total
    failed, empty = progress.count("failed"), progress.count("empty")
    most_failed = limit_of(spec.max_failed_devices, total)
    most_empty = limit_of(spec.max_empty_devices, total)
    if spec.cancel:
        return End("Failed", "Cancelled", f"cancelled with {progress.recorded} of {total} devices done", now)
    if failed > most_failed:
        message = f"{failed} of {total} devices failed; maxFailedDevices allows {most_failed}"
        return End("Failed", "MaxFailedDevicesExceeded", message, now)
    if empty > most_empty:
        message = f"{empty} of {total} devices had no readings in the window; maxEmptyDevices allows {most_empty}"
        return End("Failed", "NoData", message, now)
    if progress.recorded == total:
        return End("Complete", "AllDevicesDone", f"all {total} devices have an outcome", now)
    left, reason = _time_left(run, progress.clock, now)
    if left <= 0 and progress.clock.since:
        message = f"{total - progress.recorded} of {total} devices had no outcome when the deadline passed"
        return End("Failed", reason, message, now)
    return None


def _time_left(run: ScoringRun, clock: Clock, now: datetime) -> tuple[float, str]:
    """Seconds on the run's own clock until its deadline, and the reason it would end with."""
    if clock.first_pod is None:
        return run.spec.pending_deadline_seconds - clock.elapsed(now), "PendingDeadlineExceeded"
    return run.spec.active_deadline_seconds - (clock.elapsed(now) - clock.first_pod[1]), "DeadlineExceeded"


def _stand_still(run: ScoringRun, progress: Progress, seen: Observed, now: datetime) -> Plan:
    """Step 5."""
    stopping = progress.clock.since is not None
    progress = replace(progress, clock=progress.clock.stop(now))
    phase = "Suspended" if run.spec.suspend else "Queued"
    return Plan(phase, progress, save=stopping, suspend=_turn(progress, seen, suspended=True))


def _turn(progress: Progress, seen: Observed, *, suspended: bool) -> dict[str, bool]:
    """Unfinished Jobs whose `suspend` is not as wanted."""
    jobs = ((name, seen.jobs.get(name)) for name in progress.open)
    return {
        name: suspended for name, job in jobs if job and not job.finished and bool(job.spec.suspend) is not suspended
    }


def _go(run: ScoringRun, progress: Progress, seen: Observed, now: datetime) -> Plan:
    """Step 6."""
    starting = progress.clock.since is None
    progress = replace(progress, clock=progress.clock.run(now))
    slow = not progress.warned and _too_slow(run, progress, now)
    progress = replace(progress, warned=True) if slow else progress
    trouble = seen.trouble
    if progress.probing:
        message = f"{progress.streak} Jobs in a row failed for storage or identity; one at a time probes"
        trouble = Trouble("StorageUnavailable", message)
    active = sum(1 for name in progress.open if seen.occupied(name))
    room = max(0, _limit(run, progress, seen, active) - active)
    progress, ready, marked = creatable(run, progress, seen, room)
    left, _ = _time_left(run, progress.clock, now)
    return Plan(
        "Running",
        progress,
        save=starting or marked,
        create={name: progress.open[name] for name in ready},
        suspend=_turn(progress, seen, suspended=False),
        delete=surplus(replace(seen, progress=progress)),
        trouble=trouble,
        slow=slow,
        wake=0.0 if marked and not ready else max(min(left, 5.0 if trouble else left), 0.0),
    )


def _limit(run: ScoringRun, progress: Progress, seen: Observed, active: int) -> int:
    """How many Jobs may be active now."""
    limit = min(run.spec.parallelism, seen.share)
    if progress.probing:
        limit = min(limit, 1)
    if seen.trouble:
        limit = min(limit, active + int(seen.trouble.probe))
    return limit


def _too_slow(run: ScoringRun, progress: Progress, now: datetime) -> bool:
    """Whether, at the pace seen for a minute at least, the run will take longer than its window is."""
    clock, already = progress.clock, progress.count("alreadyScored")
    if clock.first_pod is None:
        return False
    spent, done = clock.elapsed(now) - clock.first_pod[1], progress.recorded - already
    window = run.spec.window.length.total_seconds()
    return spent >= 60 and done > 0 and spent * (progress.total - already) / done > window
