"""A model of API server, Job controller and storage around the planner: random runs are planned to their end.

The model knows the outcome of each device, because it draws the results of Jobs. It has no requests, no time and no
informer, so that ten thousand runs take two minutes; `world` has these, with the whole operator.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from scoring_operator.api.intervals import EMPTY, Intervals, Position, Positions
from scoring_operator.api.scoringrun import ScoringRun, resolve_limit
from scoring_operator.api.views import JobView
from scoring_operator.contract.outcome_message import REASONS, parse_outcome_message
from scoring_operator.planner.canary import first_positions
from scoring_operator.planner.job_results import JobResult, result_from_pods
from scoring_operator.planner.plan import make_plan, needs_inspection
from scoring_operator.planner.progress import Batch, Progress
from scoring_operator.planner.progress_codec import decode_progress, encode_progress
from scoring_operator.planner.types import Observation, Plan
from tests.testkit.builders import a_job, a_message, a_pod, a_progress, a_run, an_observation, later

KINDS = ("scored", "partial", "empty", "alreadyScored", "failed")
MAX_PASSES = 3000


@dataclass
class PlannerWorld:
    """Everything that outlives an operator process: Jobs, saved progress, outcome records.

    Attributes:
        rng: The source of all random decisions.
        run: The run.
        saved: The saved progress.
        outcomes: The true outcome of each device, by position.
        reasons: The true reason of each failed device, by position.
        created: The names of all created Jobs, in order.
        canary: The positions that run alone at first.
    """

    rng: random.Random
    run: ScoringRun
    saved: Progress
    outcomes: dict[int, str] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    canary: Positions = EMPTY
    _jobs: dict[str, JobView] = field(default_factory=dict)
    _batches: dict[str, Batch] = field(default_factory=dict)
    _results: dict[str, JobResult] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _unverified: frozenset[str] = frozenset()
    _now: float = 0.0

    def run_to_end(self, *, crashes: bool) -> Progress:
        """Make passes until the run ends, and return its progress."""
        progress = self.saved
        for _ in range(MAX_PASSES):
            suspend = self.rng.random() < 0.1
            run = msgspec.structs.replace(self.run, spec=msgspec.structs.replace(self.run.spec, suspend=suspend))
            plan = make_plan(run, self._observe(progress), later(self._now))
            self._now += 0.2
            self._seen.clear()
            assert plan.progress is not None
            check_transition(progress, plan.progress)
            progress = plan.progress
            if plan.save or self.rng.random() < 0.3:
                self.saved = decode_progress(encode_progress(progress))
                assert self.saved == progress
            if plan.completion:
                return progress
            self._create(plan)
            unfinished = [name for name, job in self._jobs.items() if not job.finished]
            assert len(unfinished) <= run.spec.parallelism or suspend
            for name in unfinished:
                if self.rng.random() < 0.4:
                    self._end(name)
            if crashes and self.rng.random() < 0.05:
                progress = self.saved
                self._seen.clear()
                self._unverified = frozenset(progress.open_batches)
        raise AssertionError("the run never ends")

    def _observe(self, progress: Progress) -> Observation:
        """Return what a pass observes, with the results of the Jobs that need inspection."""

        def observe(results: Mapping[str, JobResult]) -> Observation:
            return an_observation(
                progress, jobs=self._jobs, seen=self._seen, unverified=self._unverified, results=results
            )

        first = observe({})
        names = list(needs_inspection(first.state, first.jobs))
        observation = observe({name: self._results.get(name, JobResult(missing=True)) for name in names})
        self._unverified -= frozenset(names)
        return observation

    def _create(self, plan: Plan) -> None:
        recorded = _by_position(plan.progress.outcomes if plan.progress else {})
        for name, batch in plan.create.items():
            assert name in self.saved.open_batches, "a Job is created only after its reservation is saved"
            assert name not in self._jobs, "a Job is created only once"
            repeated = self.outcomes.keys() & set(batch.positions)
            assert not repeated, f"devices {repeated} have an outcome and are scored again"
            alone = self.canary - Positions.from_positions(map(Position, recorded))
            assert not alone or not batch.positions - self.canary, "only the canary runs"
            self.created.append(name)
            self._seen.add(name)
            self._batches[name] = batch
            self._jobs[name] = a_job(name, ready=True)

    def _end(self, name: str) -> None:
        """End a Job: it completes, is killed, has a transient error, is deleted, or loses its message."""
        size, dice = len(self._batches[name].positions), self.rng.random()
        if dice < 0.7:
            self._complete(name)
        elif dice < 0.8:
            self._fail(name, "OOMKilled", result_from_pods([a_pod(code=137, reason="OOMKilled")], size))
        elif dice < 0.9:
            every = str(Intervals.range_to(size))
            message = a_message(size, outcomes={}, transient={"StorageUnavailable": every})
            self._fail(name, "StorageUnavailable", result_from_pods([a_pod(code=75, message=message)], size))
        elif dice < 0.95:
            self._fail(name, "JobLost", JobResult(missing=True))
            del self._jobs[name]
        else:
            self._fail(name, "JobLost", JobResult(failure_reason="JobLost"))

    def _complete(self, name: str) -> None:
        positions = list(self._batches[name].positions)
        kinds = [self.rng.choices(KINDS, (80, 5, 5, 5, 5))[0] for _ in positions]
        reason = self.rng.choice(REASONS)
        outcomes = {
            kind: str(Intervals.from_positions(at for at, drawn in enumerate(kinds) if drawn == kind))
            for kind in {*kinds}
        }
        reasons = {reason: outcomes["failed"]} if "failed" in outcomes else {}
        message = a_message(len(positions), outcomes=outcomes, reasons=reasons)
        self._results[name] = JobResult(message=parse_outcome_message(message, len(positions)))
        self._jobs[name] = a_job(name, complete=True)
        self.outcomes |= dict(zip(positions, kinds, strict=True))
        self.reasons |= dict.fromkeys(positions, reason)

    def _fail(self, name: str, reason: str, result: JobResult) -> None:
        self._results[name] = result
        self._jobs[name] = a_job(name, failed=True)
        self.reasons |= dict.fromkeys(self._batches[name].positions, reason)

    def check_end(self, progress: Progress) -> None:
        """Check that an ended run has the true outcome of each device."""
        completion = progress.completion
        assert completion is not None
        max_failed = resolve_limit(self.run.spec.max_failed_devices, progress.total)
        failed_first = len(progress.outcomes.get("failed", EMPTY) & self.canary)
        canary_failed = failed_first * 2 > len(self.canary)
        expected = "CanaryFailed" if canary_failed else "MaxFailedDevicesExceeded"
        failed_run = canary_failed or progress.count("failed") > max_failed
        assert completion.reason == (expected if failed_run else "AllDevicesDone")
        recorded = _by_position(progress.outcomes)
        assert len(recorded) == progress.total
        if completion.condition == "Complete":
            assert progress.count("notRun") == 0
        for position, outcome in recorded.items():
            if outcome != "notRun":
                assert outcome == self.outcomes.get(position, "failed"), position
        failed = {position: self.reasons[position] for position, outcome in recorded.items() if outcome == "failed"}
        assert _by_position(progress.reasons) == failed


def a_world(seed: int) -> PlannerWorld:
    """Return a random run: its number of devices, its batch size, its limits."""
    rng = random.Random(seed)  # noqa: S311  # a game of chance, no secret
    devices, per_job = rng.randint(1, 60), rng.choice([1, 1, 3, 7, 50])
    limits: dict[str, Any] = {"maxFailedDevices": rng.choice(["100%", "100%", 2]), "maxEmptyDevices": "100%"}
    if rng.random() < 0.5:
        limits["canary"] = {"jobs": rng.randint(1, 4)}
    run = a_run(parallelism=rng.randint(1, 12), **limits)
    already = rng.choice(["", "0"])
    progress = a_progress(devices, per_job=per_job, already=already, running=False)
    progress = replace(progress, canary=first_positions(run, progress.waiting, per_job))
    world = PlannerWorld(rng, run, progress, canary=progress.canary)
    world.outcomes |= dict.fromkeys(Positions.parse(already), "alreadyScored")
    return world


def check_transition(before: Progress, after: Progress) -> None:
    """Check that each position is in one place, and that each recorded outcome stays."""
    batches = (*after.queued_batches, *after.open_batches.values())
    places = [*after.outcomes.values(), after.waiting, *(batch.positions for batch in batches)]
    assert sum(map(len, places)) == after.total
    union: Positions = Intervals.from_spans(span for place in places for span in place.spans)
    assert union == Intervals.range_to(after.total)
    for outcome, positions in before.outcomes.items():
        assert not positions - after.outcomes.get(outcome, EMPTY)
    assert sum(map(len, after.reasons.values())) == after.count("failed")


def _by_position(sets: Mapping[str, Positions]) -> dict[int, str]:
    return {position: key for key, positions in sets.items() for position in positions}
