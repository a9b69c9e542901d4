"""One run's passes: observe -> plan -> apply -> report, the same for every trigger.

Between passes it keeps only what a restart can read again: the last saved progress, the device list, what it created
and does not see yet. Nothing is created before its mark is saved, nothing is deleted and no status written that saved
progress does not bear out.
"""

import logging
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from scoring_operator import finding, freezing, status
from scoring_operator.applying import CREATE_AT_ONCE, Hands
from scoring_operator.cleaning import awaits_report, report_unheard
from scoring_operator.cluster import Cluster
from scoring_operator.decision import Observed, Plan, Trouble
from scoring_operator.errors import Conflict, NotFound, StorageError
from scoring_operator.finding import FleetStorage
from scoring_operator.fleets import Fleet, parse_fleet
from scoring_operator.jobs import ScorerImage
from scoring_operator.looking import Look
from scoring_operator.names import report_name
from scoring_operator.plan import plan, unheard
from scoring_operator.progress import Progress, ProgressInvalidError
from scoring_operator.records import Records, Saved, TakenError
from scoring_operator.scoringrun import GROUP, PLURAL, VERSION, ScoringRun, parse
from scoring_operator.views import JobView

SAVE_EVERY = 2.0  # seconds between writes of progress that nothing waits for
STATUS_EVERY = 1.0  # seconds between writes of status
ASSUMED_SECONDS = 30.0  # after which a created Job that the mirror does not show is asked for
STUCK_SECONDS = 20.0  # without any outcome and any running pod, after which pods are asked why
LOOK_AGAIN_SECONDS = 10.0
STORAGE_RETRY = 5.0

_log = logging.getLogger(__name__)


class RunGoneError(Exception):
    """The run was deleted; its children go with it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the engine tells a run about the others: who is ahead of it, and its share of the limit."""

    ahead: str = ""
    share: int = 1_000_000


class Runner:
    """One run, from its first event to its deletion.

    Attributes:
        run: the run as last read or written.
        jobs: its Jobs by name; kept by the engine from the mirror.
        phase: as of the last pass, or as status said it.
    """

    def __init__(
        self, run: ScoringRun, cluster: Cluster, storage: FleetStorage, fleets: Mapping[str, Fleet], image: ScorerImage
    ) -> None:
        self.run = run
        self.jobs: dict[str, JobView] = {}
        self.phase = str(run.status.get("phase", ""))
        self._cluster = cluster
        self._storage = storage
        self._fleets = fleets
        self._records = Records(cluster, run)
        self._look = Look(cluster, storage, run)
        self._hands = Hands(cluster, image)
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{run.namespace}/{PLURAL}/{run.name}"
        self._loaded = False
        self._saved: Saved | None = None
        self._progress: Progress | None = None
        self._fleet: Fleet | None = None
        self._devices: list[str] = []
        self._doubtful: frozenset[str] = frozenset()
        self._claimed: AbstractSet[str] = frozenset()
        self._refusal: Trouble | None = None
        self._trouble: Trouble | None = None
        self._saved_at = self._status_at = self._looked_at = 0.0
        self._moved_at = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether the run is going, so that others have to wait for it."""
        return self.phase == "Running" and not self.run.ended

    def demand(self) -> int:
        """How many Jobs the run could use now."""
        progress = self._progress
        if self.run.ended or self.phase in ("Queued", "Suspended") or progress is None:
            return 0
        left = len(progress.open) + len(progress.queue) + -(-len(progress.waiting) // progress.frozen.devices_per_job)
        return min(self.run.spec.parallelism, left)

    def active(self) -> int:
        """How many Jobs of the run exist and are not judged, or are about to be created."""
        names = self._progress.open.keys() if self._progress else frozenset()
        return sum(
            1
            for name in names | self._claimed
            if name in self.jobs or name in self._hands.assumed or name in self._claimed
        )

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
        first_pod = self._progress is not None and self._progress.clock.first_pod is None
        return new is None or (new.finished and not (old and old.finished)) or (first_pod and new.pod_started)

    async def step(self, around: Callable[[], Surroundings]) -> float | None:
        """Make one pass; answers after how many seconds the next is due (None: when something happens).

        Raises:
            RunGoneError: the run is not there any more.
            ApiError: the API server did not answer; the pass is to be made again later.
        """
        if self.run.ended and not awaits_report(self.run):
            self._saved = self._progress = None  # nothing is decided by it any more, and it is large
            self._devices = []
        elif not self._loaded:
            await self._load()
        seen = await self._observe()
        others = around()  # only now: nothing may come between who else is active and what this run claims
        seen = replace(seen, ahead=others.ahead, share=others.share)
        decided = plan(self.run, seen, self._cluster.now())
        self._claimed = decided.create.keys()
        try:
            return await self._apply(decided, seen)
        finally:
            self._claimed = frozenset()

    async def _load(self) -> None:
        try:
            saved = await self._records.load()
        except (ProgressInvalidError, TakenError) as error:
            self._refusal, saved = Trouble("ProgressInvalid", str(error)), None
        if saved is None and self.run.status.get("devices"):
            message = "its progress ConfigMap is gone; create a run with retryOf or of the same window to go on"
            self._refusal = self._refusal or Trouble("ProgressLost", message)
        if saved is not None:
            await self._adopt(saved)
            self._doubtful = frozenset(saved.progress.open)
        self._loaded = True

    async def _adopt(self, saved: Saved) -> None:
        frozen = saved.progress.frozen
        self._fleet = parse_fleet(frozen.fleet)
        try:
            self._devices = self._devices or await self._records.devices(frozen.lists)
        except NotFound:
            message = "a ConfigMap of its device list was deleted; create a run of the same window to go on"
            self._refusal = Trouble("DeviceListLost", message)
            return
        self._saved, self._progress = saved, saved.progress

    async def _observe(self) -> Observed:
        now = time.monotonic()
        late = {name for name, at in self._hands.assumed.items() if now - at > ASSUMED_SECONDS}
        for name in late:
            del self._hands.assumed[name]
        self._doubtful |= late
        if self._progress is None and self._refusal is None:
            self._refusal = freezing.refusal(self.run, self._fleets)
        seen = Observed(
            progress=self._progress,
            devices=self._devices,
            jobs=self.jobs,
            assumed=self._hands.assumed.keys(),
            known=self._hands.known,
            doubtful=self._doubtful,
            refusal=self._refusal,
        )
        if self.run.ended:
            return await self._observe_ended(seen)
        names = list(unheard(seen))
        if names and self._fleet:
            words, there = await self._look.words(seen, names, self._fleet)
            self._doubtful -= words.keys() | self.jobs.keys()
            self._hands.assumed |= dict.fromkeys(there, now)
            seen = replace(seen, words=words)
        await self._mind_trouble(seen)
        return replace(seen, trouble=self._trouble)

    async def _observe_ended(self, seen: Observed) -> Observed:
        word = await self._look.report(seen) if report_unheard(self.run, seen) else None
        return replace(seen, words={report_name(self.run): word} if word else {}, trouble=self._trouble)

    async def _mind_trouble(self, seen: Observed) -> None:
        """Ask why nothing moves, now and then; and forget a trouble once something does."""
        now = time.monotonic()
        pods_trouble = self._trouble is not None and not self._trouble.probe
        if seen.words or self.phase != "Running" or self._some_pod_runs(seen):
            self._moved_at = now
            self._trouble = None if pods_trouble else self._trouble
        if now - self._moved_at > STUCK_SECONDS and now - self._looked_at > LOOK_AGAIN_SECONDS:
            self._looked_at = now
            self._trouble = await self._look.why_waiting(seen) or self._trouble

    def _some_pod_runs(self, seen: Observed) -> bool:
        jobs = (self.jobs.get(name) for name in (seen.progress.open if seen.progress else ()))
        return any(job is not None and job.status.ready for job in jobs)

    async def _apply(self, decided: Plan, seen: Observed) -> float | None:
        self.phase = decided.phase
        if decided.delete_run:
            await self._delete_run()
        if decided.discover:
            return await self._discover(decided, seen)
        due = [] if decided.wake is None else [decided.wake]
        self._progress = decided.progress
        self._hands.known.clear()  # the plan has called these batches created
        unsaved = decided.progress is not None and not (self._saved and self._saved.progress == decided.progress)
        wait = 0.0 if decided.save else self._saved_at + SAVE_EVERY - time.monotonic()
        if decided.progress is not None and unsaved and wait <= 0:
            await self._save(decided.progress)
            unsaved = False
        if unsaved:
            due.append(wait)
        else:
            due += await self._report(decided, seen)
            await self._hands.delete(self.run, decided.delete, self.jobs)
        due += await self._create(decided)
        await self._hands.suspend(self.run, decided.suspend)
        return min(due, default=None)

    async def _create(self, decided: Plan) -> list[float]:
        """Create the plan's Jobs, whose marks are saved by now; answers when the next pass is due because of it."""
        trouble = None
        if decided.create and self._fleet:
            trouble = await self._hands.create(self.run, self._fleet, self._devices, decided.create, self.jobs)
        if decided.make_report and self._fleet and decided.progress:
            lists = decided.progress.frozen.lists
            trouble = await self._hands.create_report(self.run, self._fleet, lists, self.jobs)
        if trouble or (self._trouble and self._trouble.probe):
            self._trouble = trouble
        more = len(decided.create) > CREATE_AT_ONCE and not trouble
        return [0.0] if more else [STATUS_EVERY] if decided.create or decided.make_report else []

    async def _save(self, new: Progress) -> None:
        try:
            self._saved = await self._records.save(new, self._saved.version if self._saved else "")
        except Exception:
            self._loaded = False  # whatever happened to it is read before anything else is decided
            raise
        self._saved_at = time.monotonic()

    async def _discover(self, decided: Plan, seen: Observed) -> float | None:
        """Find and freeze the devices; the next pass goes on from there."""
        await self._report(decided, seen)
        fleet = self._fleets[self.run.spec.fleet]
        try:
            found = await finding.find(self.run, fleet, self._storage, self._cluster)
            start = (
                found if isinstance(found, Trouble) else freezing.freeze(self.run, fleet, found, self._cluster.now())
            )
            if isinstance(start, Trouble):
                self._refusal = start
                return 0.0
            saved = await self._records.begin(start)
        except StorageError as error:
            self._trouble = Trouble(type(error).__name__, str(error))
            return STORAGE_RETRY
        except TakenError as error:
            self._refusal = Trouble("NameTaken", str(error))
            return 0.0
        self._trouble = None
        self._devices = list(start.devices) if saved.progress is start.progress else []
        await self._adopt(saved)
        return 0.0

    async def _report(self, decided: Plan, seen: Observed) -> list[float]:
        """Write status if it changed and may be written; answers in how many seconds it may, where it may not yet."""
        now = self._cluster.now()
        old = self.run.status
        new = status.report(self.run, decided, replace(seen, devices=self._devices), now)
        if not status.differs(old, new):
            return []
        wait = self._status_at + STATUS_EVERY - time.monotonic()
        if wait > 0:
            return [wait]
        self._status_at = time.monotonic()
        try:
            body = await self._cluster.patch(
                self._path,
                {"status": status.merge_patch(old, new)},
                resource_version=self.run.resource_version,
                subresource="status",
            )
        except Conflict:
            await self.refresh()
            return [0.0]
        except NotFound as error:
            raise RunGoneError("it was deleted") from error
        self.run = parse(body)
        await self._hands.tell(self.run, status.events(old, decided, new), now)
        return []

    async def refresh(self) -> None:
        """Read the run's object again.

        Raises:
            RunGoneError: it is not there, or another of the same name.
        """
        try:
            body: dict[str, Any] = await self._cluster.get(self._path)
        except NotFound as error:
            raise RunGoneError("it was deleted") from error
        run = parse(body)
        if run.uid != self.run.uid or run.deleting:
            raise RunGoneError("it was deleted")
        self.run = run

    async def _delete_run(self) -> None:
        _log.info("deleting the run: its time to live has passed")
        try:
            await self._cluster.delete(self._path, uid=self.run.uid)
        except (NotFound, Conflict):
            _log.debug("it was deleted already")
        raise RunGoneError("its time to live has passed")


def _newer(one: ScoringRun, other: ScoringRun) -> bool:
    """Whether an object is a later state; resource versions are opaque, but where they are numbers they grow."""
    versions = one.resource_version, other.resource_version
    return all(version.isdecimal() for version in versions) and int(versions[0]) > int(versions[1])
