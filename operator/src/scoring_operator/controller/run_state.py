"""The persisted state of a run: loading it, creating it, saving it, and rebuilding it after a loss.

The ConfigMaps of a run are in the namespace of the run, where others may write. The fleet that is stored in them is
therefore only compared with the administrator's fleets, and never used.

Two things may be deleted while no operator runs. A missing device list is listed again, with the settings that are
stored in progress. It is accepted if the names of its ConfigMaps are the same, because a name depends on the content.
Missing progress is created again if all ConfigMaps of the new device list exist already. Then the devices and the
fleet have not changed, and Jobs get the names that they had. Each Job and its outcome record are inspected before the
batch is run again. In all other cases the loss is permanent and the run is rejected.
"""

import time
from asyncio import to_thread
from collections.abc import Collection, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, ScoringRun, parse_run
from scoring_operator.controller import device_discovery
from scoring_operator.controller.discovery_gate import DiscoveryGate
from scoring_operator.controller.progress_store import ProgressStore, StoredProgress
from scoring_operator.controller.timings import DEFAULT_TIMINGS, Timings
from scoring_operator.errors import (
    ConfigurationInvalid,
    InvalidDeviceList,
    InvalidProgress,
    NotFound,
    RunBlocked,
    RunDeleted,
    RunRejected,
    StorageError,
)
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner import admission, device_list
from scoring_operator.planner.admission import HOW_TO_CONTINUE
from scoring_operator.planner.device_list import InitialState
from scoring_operator.planner.finished_runs import report_pending
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import Blocker, RunState
from scoring_operator.storage.protocol import FleetStorage

PROGRESS_LOST = (
    "the progress ConfigMap was deleted and cannot be rebuilt because the fleet or its devices changed; "
    f"{HOW_TO_CONTINUE}"
)
LIST_DIFFERS = f"the device list and the progress do not belong to the same run; {HOW_TO_CONTINUE}"
LIST_LOST = (
    "a ConfigMap of the device list was deleted and cannot be rebuilt because the fleet's devices changed; "
    f"{HOW_TO_CONTINUE}"
)

CLOCK_JUMP_SECONDS = 5.0  # a larger jump of the API server's clock is not network delay

NEW_STATE = RunState(progress=None, devices=(), fleet=None, unverified=frozenset(), rejection=None, missing=False)


class RunStateStore:
    """The owner of one run's state. Each method returns the new state.

    Args:
        run: The run.
        client: The client of the API server.
        storage: The Blob Storage of the fleets.
        fleets: The administrator's fleets, by name.
        timings: The intervals and limits.
        discoveries: The limit of concurrent discoveries, which all runs share.
    """

    def __init__(
        self,
        run: ScoringRun,
        client: KubeClient,
        storage: FleetStorage,
        fleets: Mapping[str, Fleet],
        timings: Timings = DEFAULT_TIMINGS,
        discoveries: DiscoveryGate | None = None,
    ) -> None:
        self._client = client
        self._storage = storage
        self._fleets = fleets
        self._discoveries = discoveries or DiscoveryGate()
        self._save_interval = timings.controller.save_interval
        self._max_auto_jobs = timings.planner.max_auto_jobs
        self._config_maps = ProgressStore(client, run.ref)
        self._state = NEW_STATE
        self._stored: StoredProgress | None = None
        self._loaded = False
        self._saved_at = 0.0
        self._clock_offset: float | None = None  # the API server's time minus the monotonic clock
        self._unsaved_jump = 0.0  # seconds by which the API server's clock jumped since the last save

    @property
    def unsaved(self) -> bool:
        """Whether progress differs from its ConfigMap."""
        progress, stored = self._state.progress, self._stored
        return progress is not None and not (stored and stored.progress == progress)

    @property
    def awaits_first_pod(self) -> bool:
        """Whether the run has begun and none of its pods has started."""
        progress = self._state.progress
        return progress is not None and progress.clock.first_pod is None

    @property
    def seconds_until_save(self) -> float:
        """The seconds until progress is saved that no other write depends on; 0 or less if it is due."""
        return self._saved_at + self._save_interval - time.monotonic()

    async def load(self, run: ScoringRun) -> RunState:
        """Read the state, unless it is known. An ended run with a finished report needs none.

        Args:
            run: The run as last observed.

        Raises:
            ApiError: A request failed.
        """
        if run.ended and not report_pending(run):
            self._stored = None
            self._state = replace(self._state, progress=None, devices=())  # they are large
            return self._state
        with self._rejection_recorded():
            if not self._loaded:
                await self._load(run)
            if self._state.progress is None and self._state.rejection is None:
                admission.check_admission(run, self._fleets)
        self._loaded = True
        return self._state

    async def discover(self, run: ScoringRun) -> RunState:
        """Create the device list and the first progress, or rebuild the missing ones.

        Args:
            run: The run as last observed.

        Raises:
            RunBlocked: Storage cannot be listed now.
            RunDeleted: The run does not exist any more.
            ApiError: A request failed.
        """
        with self._rejection_recorded():
            try:
                await self._discover(await self._whole(run) if run.abridged else run)
            except StorageError as error:
                permanent = isinstance(error, ConfigurationInvalid)
                raise RunBlocked(type(error).__name__, str(error), permanent=permanent) from error
        return self._state

    def adjust_clock(self, now: datetime) -> RunState:
        """Move the run's own clock by a jump of the API server's clock, so that no time passes for the run.

        Args:
            now: The API server's time.
        """
        offset = now.timestamp() - time.monotonic()
        jump = offset - self._clock_offset if self._clock_offset is not None else 0.0
        self._clock_offset = offset
        if abs(jump) > CLOCK_JUMP_SECONDS and self._state.progress is not None:
            self._unsaved_jump += jump
            self._state = replace(self._state, progress=_shifted(self._state.progress, jump))
        return self._state

    def add_unverified(self, names: Collection[str]) -> RunState:
        """Record that it is unknown whether the Jobs of these batches were ever created.

        Args:
            names: The names of the batches.
        """
        self._state = replace(self._state, unverified=self._state.unverified.union(names))
        return self._state

    def remove_verified(self, *verified: Container[str]) -> RunState:
        """Record that Jobs were inspected or observed.

        Args:
            verified: Names of Jobs.
        """
        left = frozenset(name for name in self._state.unverified if not any(name in names for names in verified))
        self._state = replace(self._state, unverified=left)
        return self._state

    def advance(self, progress: Progress | None) -> RunState:
        """Replace the progress, without saving it.

        Args:
            progress: The decided progress; None if it does not change.
        """
        if progress is None:
            return self._state
        old, unverified = self._state.progress, self._state.unverified
        if old and progress.snapshot.rebuilt:  # a batch that is reserved now may have been run before the loss
            unverified = unverified.union(progress.open_batches.keys() - old.open_batches.keys())
        self._state = replace(self._state, progress=progress, unverified=unverified)
        return self._state

    async def save(self) -> RunState:
        """Write the progress to its ConfigMap, if it differs.

        Raises:
            ApiError: The request failed. The next `load` reads the ConfigMap again, because the write may have been
                applied.
        """
        progress = self._state.progress
        if progress is None or not self.unsaved:
            return self._state
        try:
            self._stored = await self._config_maps.save(progress, self._stored.version if self._stored else "")
        except Exception:
            self._loaded = False
            raise
        self._unsaved_jump = 0.0
        self._saved_at = time.monotonic()
        return self._state

    async def _whole(self, run: ScoringRun) -> ScoringRun:
        """Read a run with all its devices."""
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{run.namespace}/{PLURAL}/{run.name}"
        try:
            whole = parse_run(await self._client.get(path))
        except NotFound as error:
            raise RunDeleted("it was deleted") from error
        if whole.uid != run.uid:
            raise RunDeleted("it was deleted")
        return whole

    @contextmanager
    def _rejection_recorded(self) -> Iterator[None]:
        try:
            yield
        except RunRejected as error:
            self._state = replace(self._state, rejection=Blocker(error.reason, error.message))

    async def _load(self, run: ScoringRun) -> None:
        decided = self._state.progress
        self._state = replace(self._state, missing=bool(run.status.get("devices")))
        try:
            stored = await self._config_maps.load()
        except (InvalidProgress, RunRejected) as error:
            self._state = replace(self._state, progress=None)  # this version of it can never be saved
            if isinstance(error, RunRejected):
                raise
            raise RunRejected("ProgressInvalid", str(error)) from error
        if stored is None:
            return
        self._state = replace(self._state, unverified=frozenset(stored.progress.open_batches))
        applied = decided is not None and decided.clock == stored.progress.clock  # the last save, though it failed
        await self._adopt(run, stored, jump=0.0 if applied else self._unsaved_jump)

    async def _adopt(self, run: ScoringRun, stored: StoredProgress, *, jump: float = 0.0) -> None:
        """Continue with stored progress; read the device list if it is not known.

        Args:
            run: The run.
            stored: The stored progress.
            jump: Seconds by which the API server's clock jumped since it was stored.
        """
        progress = _shifted(stored.progress, jump)
        self._stored = stored
        self._state = replace(self._state, progress=progress, fleet=None, missing=True)
        fleet = admission.unchanged_fleet(run, progress.snapshot.fleet, self._fleets)
        self._state = replace(self._state, fleet=fleet)
        if progress.total > run.spec.max_devices:
            raise RunRejected("ProgressInvalid", LIST_DIFFERS)
        try:
            devices = self._state.devices or await self._config_maps.devices(progress)
        except (NotFound, InvalidDeviceList):
            return
        matches = len(devices) == progress.total
        self._state = replace(self._state, devices=devices, missing=not matches)
        if not matches:
            raise RunRejected("ProgressInvalid", LIST_DIFFERS)

    async def _discover(self, run: ScoringRun) -> None:
        state = self._state
        fleet = state.fleet or self._fleets[run.spec.fleet]
        try:
            async with self._discoveries.slot(run.namespace):
                discovered = await device_discovery.discover_devices(run, fleet, self._storage, self._client)
            now = self._client.now()
            # In a thread: malicious globs over many devices take seconds, and the lease has to be renewed meanwhile.
            initial = await to_thread(
                device_list.create_initial_state, run, fleet, discovered, now, max_auto_jobs=self._max_auto_jobs
            )
        except RunRejected as error:
            if not state.missing:
                raise
            raise self._permanent_loss() from error
        if not state.missing:
            await self._create(run, initial)
        elif state.progress is None:
            await self._rebuild_progress(run, initial)
        else:
            await self._rebuild_device_list(initial, state.progress)

    async def _create(self, run: ScoringRun, initial: InitialState) -> None:
        stored = await self._config_maps.create(initial)
        created = stored.progress is initial.progress
        self._state = replace(self._state, devices=list(initial.devices) if created else ())
        await self._adopt(run, stored)

    async def _rebuild_progress(self, run: ScoringRun, initial: InitialState) -> None:
        if not await self._config_maps.device_list_exists(initial.parts):
            raise self._permanent_loss()
        await self._create(run, device_list.rebuild(run, initial, self._client.now()))

    async def _rebuild_device_list(self, initial: InitialState, progress: Progress) -> None:
        if tuple(initial.parts) != progress.snapshot.device_list_names:
            raise self._permanent_loss()
        await self._config_maps.recreate_missing(initial.parts)
        self._state = replace(self._state, devices=list(initial.devices), missing=False)

    def _permanent_loss(self) -> RunRejected:
        if self._state.progress is None:
            return RunRejected("ProgressLost", PROGRESS_LOST)
        return RunRejected("DeviceListLost", LIST_LOST)


def _shifted(progress: Progress, seconds: float) -> Progress:
    return replace(progress, clock=progress.clock.shifted(seconds)) if seconds else progress
