"""Plans carried out to the end in a small model of API server, Job controller and storage, over random runs."""

import random
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from scoring_operator.api.intervals import Intervals
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import JobView
from scoring_operator.contract.outcome_message import REASONS, parse_outcome_message
from scoring_operator.planner.job_results import JobResult, result_from_pods
from scoring_operator.planner.plan import make_plan, needs_inspection
from scoring_operator.planner.progress import Batch, Progress, decode, encode
from scoring_operator.planner.types import Blocker, Observation
from scoring_operator.resources.status import build_status, needs_update
from tests.operator.builders import a_job, a_message, a_pod, a_progress, a_run, later

KINDS = ("scored", "partial", "empty", "alreadyScored", "failed")


@dataclass
class World:
    """What outlives the operator: Jobs, saved progress, records in storage; and the random bad luck."""

    luck: random.Random
    run: ScoringRun
    saved: Progress
    jobs: dict[str, JobView] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    words: dict[str, JobResult] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    doubtful: frozenset[str] = frozenset()
    now: float = 0.0
    done: Intervals = field(default_factory=Intervals)

    def work(self) -> None:
        """Some of the unfinished Jobs finish, fail, vanish."""
        for name in [name for name, job in self.jobs.items() if not job.finished]:
            if self.luck.random() < 0.4:
                self._end(name)

    def _end(self, name: str) -> None:
        devices, dice = len(self.batches[name].positions), self.luck.random()
        if dice < 0.7:
            kinds = {index: self.luck.choices(KINDS, (80, 5, 5, 5, 5))[0] for index in range(devices)}
            outcomes = {kind: str(Intervals.from_positions(i for i, k in kinds.items() if k == kind)) for kind in KINDS}
            failed = outcomes["failed"]
            message = a_message(
                devices, outcomes=outcomes, reasons={self.luck.choice(REASONS): failed} if failed else {}
            )
            self.words[name] = JobResult(message=parse_outcome_message(message, devices))
            self.jobs[name] = a_job(name, complete=True)
        elif dice < 0.8:
            self.words[name] = result_from_pods([a_pod(code=137, reason="OOMKilled")], devices)
            self.jobs[name] = a_job(name, failed=True)
        elif dice < 0.9:
            message = a_message(
                devices, outcomes={}, transient={"StorageUnavailable": f"0-{devices - 1}" if devices > 1 else "0"}
            )
            self.words[name] = result_from_pods([a_pod(code=75, message=message)], devices)
            self.jobs[name] = a_job(name, failed=True)
        elif dice < 0.95:
            del self.jobs[name]
            self.words[name] = JobResult(missing=True)
        else:
            self.words[name] = JobResult(failure_reason="JobLost")
            self.jobs[name] = a_job(name, failed=True)

    def see(self, progress: Progress) -> Observation:
        """What a pass sees, with the words of what it has to look at."""
        seen = Observation(progress=progress, jobs=self.jobs, known=self.known, doubtful=self.doubtful, share=10_000)
        heard = {name: self.words.get(name, JobResult(missing=True)) for name in needs_inspection(seen)}
        self.doubtful -= heard.keys()
        return replace(seen, words=heard)


def simulate(seed: int, *, crashes: bool) -> tuple[World, Progress]:
    luck = random.Random(seed)  # noqa: S311  # a game of chance, no secret
    devices, per_job = luck.randint(1, 60), luck.choice([1, 1, 3, 7, 50])
    limits: dict[str, Any] = {"maxFailedDevices": luck.choice(["100%", "100%", 2]), "maxEmptyDevices": "100%"}
    parallelism = luck.randint(1, 12)
    run = a_run(parallelism=parallelism, **limits)
    already = luck.choice(["", "0"])
    world = World(luck, run, a_progress(devices, per_job=per_job, already=already, running=False))
    progress = world.saved
    for _ in range(3000):
        run = replace_spec(run, suspend=luck.random() < 0.1)
        seen = world.see(progress)
        decided = make_plan(run, seen, later(world.now))
        world.now += 0.2
        world.known.clear()
        assert decided.progress is not None
        check(progress, decided.progress)
        progress = decided.progress
        if decided.save or luck.random() < 0.3:
            world.saved = decode(encode(progress))
            assert world.saved == progress
        if decided.end:
            return world, progress
        for name, batch in decided.create.items():
            assert name in world.saved.open_batches, "a Job is created only for a saved mark"
            assert name not in world.jobs, "no Job is created twice"
            world.created.append(name)
            world.known.add(name)
            world.batches[name] = batch
            world.jobs[name] = a_job(name, ready=True)
        active = sum(1 for job in world.jobs.values() if not job.finished)
        assert active <= parallelism or run.spec.suspend
        world.work()
        if crashes and luck.random() < 0.05:
            progress = world.saved
            world.known.clear()
            world.doubtful = frozenset(progress.open_batches)
    pytest.fail("the run never ended")


def replace_spec(run: ScoringRun, **changes: bool) -> ScoringRun:
    return msgspec.structs.replace(run, spec=msgspec.structs.replace(run.spec, **changes))


def check(before: Progress, after: Progress) -> None:
    """A position is in one place only, and an outcome stays."""
    places = [
        *after.outcomes.values(),
        after.waiting,
        *(b.positions for b in (*after.queued_batches, *after.open_batches.values())),
    ]
    assert sum(map(len, places)) == after.total
    union = Intervals.from_spans(span for place in places for span in place.spans)
    assert union == Intervals.range_to(after.total)
    for outcome, positions in before.outcomes.items():
        assert not positions - after.outcomes.get(outcome, Intervals())
    assert sum(map(len, after.reasons.values())) == after.count("failed")


@pytest.mark.parametrize("seed", range(300))
def test_every_run_ends_with_one_outcome_for_every_device(seed: int) -> None:
    world, progress = simulate(seed, crashes=False)
    assert progress.completion is not None
    assert progress.recorded == progress.total
    assert len(set(world.created)) == len(world.created)
    status = build_status(
        world.run,
        make_plan(world.run, Observation(progress=progress), later(world.now)),
        Observation(),
        later(world.now),
    )
    counts = dict(status["devices"])
    assert counts.pop("total") == sum(counts.values())


@pytest.mark.parametrize("seed", range(300, 500))
def test_a_run_whose_operator_crashes_ends_with_one_outcome_for_every_device(seed: int) -> None:
    _, progress = simulate(seed, crashes=True)
    assert progress.recorded == progress.total


@pytest.mark.walk
def test_so_do_the_rest_of_ten_thousand_runs() -> None:
    for seed in range(500, 10_000):
        world, progress = simulate(seed, crashes=seed % 2 == 0)
        assert progress.recorded == progress.total, seed
        assert seed % 2 == 0 or len(set(world.created)) == len(world.created), seed


def test_a_plan_without_news_asks_for_nothing() -> None:
    run, progress = a_run(), a_progress(3)
    first = make_plan(run, Observation(progress=progress), later(0))
    jobs = {name: a_job(name) for name in first.create}
    second = make_plan(run, Observation(progress=first.progress, jobs=jobs), later(1))
    third = make_plan(run, Observation(progress=second.progress, jobs=jobs), later(2))
    assert (third.create, third.suspend, third.delete, third.save) == ({}, {}, (), False)
    assert third.progress == second.progress
    status = build_status(run, second, Observation(progress=second.progress, jobs=jobs), later(1))
    assert not needs_update(
        status,
        build_status(run, third, Observation(progress=third.progress, jobs=jobs), later(2))
        | {"conditions": status["conditions"]},
    )


def test_an_outage_of_storage_burns_nothing_and_probes_one_at_a_time() -> None:
    run = a_run(parallelism=50)
    progress, jobs = a_progress(200), dict[str, JobView]()
    now, out = 0.0, True
    active_in_outage: list[int] = []
    for step in range(400):
        seen = Observation(progress=progress, jobs=jobs)
        words = {}
        for name in needs_inspection(seen):
            message = (
                a_message(1, outcomes={}, transient={"StorageUnavailable": "0"})
                if jobs[name].true_condition("Failed")
                else a_message(1)
            )
            words[name] = JobResult(message=parse_outcome_message(message, 1))
        decided = make_plan(run, replace(seen, words=words), later(now))
        assert decided.progress is not None
        progress = decided.progress
        if decided.end:
            break
        jobs |= {name: a_job(name) for name in decided.create}
        waiting = [name for name, job in jobs.items() if not job.finished]
        out = step < 60
        if progress.circuit_open:
            active_in_outage.append(len(waiting))
            assert decided.trouble == Blocker("StorageUnavailable", decided.trouble.message if decided.trouble else "")
        for name in waiting:
            jobs[name] = a_job(name, failed=out, complete=not out)
        now += 1
    assert progress.count("scored") == 200
    assert set(active_in_outage[1:]) == {1}
