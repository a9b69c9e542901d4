"""One run's passes: observe -> plan -> apply -> report, the same for every trigger.

Between passes it keeps only what a restart can read again: the last saved progress, the device list, what it created
and does not see yet, the question to completed Jobs that is not answered yet. Nothing is created before its mark is
saved, nothing is deleted and no status written that saved progress does not bear out.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import JobView
from scoring_operator.controller.job_inspector import JobInspector
from scoring_operator.controller.job_writer import MAX_CREATES_PER_PASS, JobWriter
from scoring_operator.controller.result_collector import CollectedResults, ResultCollector
from scoring_operator.controller.run_state import RunState
from scoring_operator.controller.status_writer import STATUS_INTERVAL_SECONDS, StatusWriter
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.finished_runs import report_needs_inspection, report_pending
from scoring_operator.planner.plan import make_plan
from scoring_operator.planner.queueing import Allocation
from scoring_operator.planner.types import Blocker, Observation, Plan
from scoring_operator.resources.jobs import ScorerImage
from scoring_operator.storage.protocol import FleetStorage

SAVE_INTERVAL_SECONDS = 2.0  # seconds between writes of progress that nothing waits for
ASSUMED_TIMEOUT_SECONDS = 30.0  # after which a created Job that the mirror does not show is asked for
STALL_TIMEOUT_SECONDS = 20.0  # without any outcome and any running pod, after which pods are asked why
INSPECTION_INTERVAL_SECONDS = 10.0
STORAGE_RETRY_SECONDS = 5.0


class RunReconciler:
    """One run, from its first event to its deletion.

    Attributes:
        run: the run as last read or written.
        jobs: its Jobs by name; kept by the engine from the mirror.
        phase: as of the last pass, or as status said it.
        short: how many places it would take at once, were they free; until it runs it lacks some.
        offered_at: when it was last told of some, on the monotonic clock.
    """

    def __init__(
        self,
        run: ScoringRun,
        cluster: KubeClient,
        storage: FleetStorage,
        fleets: Mapping[str, Fleet],
        image: ScorerImage,
    ) -> None:
        self.run = run
        self.jobs: dict[str, JobView] = {}
        self.phase = str(run.status.get("phase", ""))
        self.short = 1
        self.offered_at = 0.0
        self._cluster = cluster
        self._ledger = RunState(run, cluster, storage, fleets)
        self._look = JobInspector(cluster, storage, run)
        self._ears = ResultCollector(self._look)
        self._hands = JobWriter(cluster, image)
        self._voice = StatusWriter(cluster, run, self._hands)
        self._claimed: AbstractSet[str] = frozenset()
        self._trouble: Blocker | None = None
        self._quiet = False  # the run has ended, and so have its Jobs
        self._saved_at = self._looked_at = 0.0
        self._moved_at = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether the run is going, so that others have to wait for it."""
        return self.phase == "Running" and not self.run.ended

    def demand(self) -> int:
        """How many Jobs the run could use now."""
        progress = self._ledger.progress
        if self.run.ended or self.phase in ("Queued", "Suspended") or progress is None:
            return 0
        left = (
            len(progress.open_batches)
            + len(progress.queued_batches)
            + -(-len(progress.waiting) // progress.snapshot.devices_per_job)
        )
        return min(self.run.spec.parallelism, left)

    def active(self) -> int:
        """How many Jobs of the run exist and have neither completed nor been judged, or are about to be created.

        Of a run whose end is decided it is how many still run, or may; its report is none of them.
        """
        progress = self._ledger.progress
        if self.run.ended or (progress and progress.completion):
            return self._lingering()
        self._quiet = False
        names = progress.open_batches.keys() if progress else frozenset()
        seen = Observation(jobs=self.jobs, assumed=self._hands.assumed.keys())
        return sum(1 for name in names | self._claimed if name in self._claimed or seen.occupied(name))

    def _lingering(self) -> int:
        if self._quiet:  # it may keep thousands of finished Jobs, which need not be looked through for ever
            return 0
        going = {name for name, job in self.jobs.items() if not job.finished} | self._hands.assumed.keys()
        going.discard(report_job_name(self.run))
        self._quiet = not going
        return len(going)

    def take(self, run: ScoringRun) -> None:
        """Take in a newer state of the run's object."""
        if run.generation > self.run.generation or _newer(run, self.run):
            self.run = run

    def see(self, old: JobView | None, new: JobView | None) -> bool:
        """Take in a change of one of the run's Jobs; answers whether it calls for a pass."""
        job = new or old
        if job is None:
            return False
        if new is None:
            self.jobs.pop(job.name, None)
        else:
            self.jobs[job.name] = new
            self._hands.assumed.pop(job.name, None)
            if old is None:  # it may be gone again before a pass can see it, its creation's answer lost
                self._hands.known.add(job.name)
                self._quiet = False
        if self.run.ended and not report_pending(self.run):  # its Jobs are deleted by the clock
            return False
        first_pod = self._ledger.progress is not None and self._ledger.progress.clock.first_pod is None
        return new is None or (new.finished and not (old and old.finished)) or (first_pod and new.pod_started)

    async def refresh(self) -> None:
        """Read the run's object again.

        Raises:
            RunGoneError: it is not there, or another of the same name.
        """
        self.run = await self._voice.read()

    async def step(self, around: Callable[[], Allocation]) -> float | None:
        """Make one pass; answers after how many seconds the next is due (None: when something happens).

        Raises:
            RunGoneError: the run is not there any more.
            ApiError: the API server did not answer; the pass is to be made again later.
        """
        if self.run.ended and not report_pending(self.run):
            self._ledger.forget()
        else:
            await self._ledger.load(self.run)
        seen, heard = await self._observe()
        others = around()  # only now: nothing may come between who else is active and what this run claims
        now = self._cluster.now()
        self._ledger.mind_clock(now)  # only now: an answer to this very pass may have told of the new time
        seen = replace(
            seen, progress=self._ledger.progress, ahead=others.blocked_by, share=others.slots, newer=others.later_runs
        )
        decided = make_plan(self.run, seen, now)
        if decided.end and heard.behind:
            self._ears.hurry()
            return 0.0
        self.short = 1 if decided.phase != "Running" else 0 if decided.trouble else others.shortfall
        self._claimed = decided.create.keys()
        try:
            return await self._apply(decided, seen, heard)
        finally:
            self._claimed = frozenset()

    def close(self) -> None:
        """Let go of what goes on beside the passes."""
        self._ears.close()

    async def _observe(self) -> tuple[Observation, CollectedResults]:
        now, ledger = time.monotonic(), self._ledger
        late = {name for name, at in self._hands.assumed.items() if now - at > ASSUMED_TIMEOUT_SECONDS}
        if self.run.ended:
            self._settle(late, await self._look.there(late))
            seen = self._seen()
            word = await self._look.report(seen) if report_needs_inspection(self.run, seen) else None
            words = {report_job_name(self.run): word} if word else {}
            return replace(seen, words=words, trouble=self._trouble), CollectedResults()
        ledger.doubtful |= late
        heard = await self._ears.listen(self._seen(late), ledger.fleet) if ledger.fleet else CollectedResults()
        if heard.words or heard.there:
            ledger.doubtful -= heard.words.keys() | self.jobs.keys()
            self._settle(heard.words, heard.there)
        seen = replace(self._seen(), words=heard.words)
        await self._mind_trouble(seen)
        return replace(seen, trouble=self._trouble), heard

    def _seen(self, late: AbstractSet[str] = frozenset()) -> Observation:
        """What is known without asking; `late` Jobs are not assumed to be there any more."""
        ledger = self._ledger
        return Observation(
            progress=ledger.progress,
            devices=ledger.devices,
            jobs=self.jobs,
            assumed=self._hands.assumed.keys() - late,
            known=self._hands.known,
            doubtful=ledger.doubtful,
            refusal=ledger.refusal,
            lost=ledger.lost,
        )

    def _settle(self, asked: Iterable[str], there: Collection[str]) -> None:
        """Keep in mind which Jobs that the mirror did not show are there; until they were asked they counted so."""
        for name in asked:
            self._hands.assumed.pop(name, None)
        self._hands.assumed |= {name: time.monotonic() for name in there if name not in self.jobs}

    async def _mind_trouble(self, seen: Observation) -> None:
        """Ask why nothing moves, now and then; and forget a trouble once something does."""
        now = time.monotonic()
        pods_trouble = self._trouble is not None and not self._trouble.allows_probe
        if seen.words or self.phase != "Running" or self._some_pod_runs(seen):
            self._moved_at = now
            self._trouble = None if pods_trouble else self._trouble
        if now - self._moved_at > STALL_TIMEOUT_SECONDS and now - self._looked_at > INSPECTION_INTERVAL_SECONDS:
            self._looked_at = now
            self._trouble = await self._look.why_waiting(seen) or self._trouble

    def _some_pod_runs(self, seen: Observation) -> bool:
        jobs = (self.jobs.get(name) for name in (seen.progress.open_batches if seen.progress else ()))
        return any(job is not None and job.status.ready for job in jobs)

    async def _apply(self, decided: Plan, seen: Observation, heard: CollectedResults) -> float | None:
        self.phase = decided.phase
        if decided.delete_run:
            await self._voice.delete()
        if decided.discover:
            await self._tell(decided, seen)
            self._trouble = await self._ledger.find(self.run)
            return STORAGE_RETRY_SECONDS if self._trouble else 0.0
        self._take_progress(decided)
        called_created = frozenset(self._hands.known)
        if decided.save:
            await self._save()
        # No Job waits for what is written of others: its own mark is saved by now.
        due = await _together(self._create(decided), self._keep(decided, seen, called_created))
        await self._hands.suspend(self.run, decided.suspend)
        due += [seconds for seconds in (decided.wake, heard.again) if seconds is not None]
        if decided.phase == "Running":  # where nothing happens no event comes, and a pass has to ask why
            look_at = max(self._moved_at + STALL_TIMEOUT_SECONDS, self._looked_at + INSPECTION_INTERVAL_SECONDS)
            due.append(max(look_at - time.monotonic(), 0.0) + 0.1)
        return min(due, default=None)

    async def _keep(self, decided: Plan, seen: Observation, called_created: AbstractSet[str]) -> float | None:
        """Save progress, tell of it, delete what it bears out; answers in how many seconds what may not be done yet."""
        another_phase = decided.phase != self.run.status.get("phase")  # to be told now, so to be saved now
        wait = 0.0 if another_phase else self._saved_at + SAVE_INTERVAL_SECONDS - time.monotonic()
        if self._ledger.unsaved and wait > 0:
            return wait
        await self._save()
        self._hands.known -= called_created  # saved progress says so now
        again = await self._tell(decided, seen)
        await self._hands.delete(self.run, decided.delete, self.jobs)
        return again

    async def _save(self) -> None:
        if self._ledger.unsaved:
            await self._ledger.save()
            self._saved_at = time.monotonic()

    def _take_progress(self, decided: Plan) -> None:
        old, new = self._ledger.progress, decided.progress
        if old and new and new.snapshot.rebuilt:  # any of the batches marked now may have been run before
            self._ledger.doubtful |= new.open_batches.keys() - old.open_batches.keys()
        self._ledger.progress = new

    async def _tell(self, decided: Plan, seen: Observation) -> float | None:
        """Write status; answers in how many seconds it may be, where it may not yet."""
        self.run, wait = await self._voice.report(self.run, decided, replace(seen, devices=self._ledger.devices))
        return wait

    async def _create(self, decided: Plan) -> float | None:
        """Create the plan's Jobs, whose marks are saved by now; answers when the next pass is due because of it."""
        fleet, devices, trouble = self._ledger.fleet, self._ledger.devices, None
        if decided.create and fleet:
            trouble = await self._hands.create(self.run, fleet, devices, decided.create, self.jobs)
        if decided.make_report and fleet and decided.progress:
            lists = decided.progress.snapshot.device_list_names
            trouble = await self._hands.create_report(self.run, fleet, lists, self.jobs)
        if trouble or (self._trouble and self._trouble.allows_probe):
            self._trouble = trouble
        more = len(decided.create) > MAX_CREATES_PER_PASS and not trouble
        return 0.0 if more else STATUS_INTERVAL_SECONDS if decided.create or decided.make_report else None


async def _together(*works: Awaitable[float | None]) -> list[float]:
    """Do things beside each other, each to its end whatever becomes of the others; answers what they answer."""
    answers = await asyncio.gather(*works, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if isinstance(answer, float)]


def _newer(one: ScoringRun, other: ScoringRun) -> bool:
    """Whether an object is a later state; resource versions are opaque, but where they are numbers they grow."""
    versions = one.resource_version, other.resource_version
    return all(version.isdecimal() for version in versions) and int(versions[0]) > int(versions[1])
