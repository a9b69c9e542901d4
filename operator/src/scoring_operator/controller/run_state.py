"""What a run has saved of itself, and how it comes to it: read, frozen when it begins, or made again where it was lost.

What a run's ConfigMaps say of its fleet is compared with the administrator's file and never believed: they lie in the
run's namespace.

Two things may be lost while no operator looks. The device list is listed anew, with the settings frozen in progress;
parts of the very same names are the very same list. Progress is frozen anew, if the names of its list are those of
ConfigMaps that exist: then devices and fleet are as they were, Jobs have the names they had, and each is looked at,
with its outcome record, before it would be run. Where the names differ, what is lost cannot be had again.
"""

import time
from asyncio import to_thread
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.controller import device_discovery
from scoring_operator.controller.progress_store import ProgressStore, StoredProgress
from scoring_operator.errors import InvalidDeviceList, InvalidProgress, NameConflict, NotFound, StorageError
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner import admission, device_list
from scoring_operator.planner.device_list import InitialState
from scoring_operator.planner.types import Blocker
from scoring_operator.storage.protocol import FleetStorage

if TYPE_CHECKING:
    from scoring_operator.planner.progress import Progress

HOW_TO_CONTINUE = "create a run with devices.retryOf, or of the same window, to go on"
PROGRESS_LOST = f"its progress ConfigMap is gone, and its fleet or devices have changed since; {HOW_TO_CONTINUE}"
LIST_DIFFERS = f"its device list and its progress are not of one run; {HOW_TO_CONTINUE}"
FLEET_CHANGED = f"its fleet's storage or layout is not what it was when the run began; {HOW_TO_CONTINUE}"
LIST_LOST = f"a ConfigMap of its device list is gone, and its fleet's devices have changed since; {HOW_TO_CONTINUE}"

CLOCK_JUMP_SECONDS = 5.0  # seconds by which the API server's clock has to jump to count as set


class RunState:
    """The saved state of one run.

    Attributes:
        progress: as read or last decided; None before the run is frozen, or once nobody needs it any more.
        fleet: the administrator's; None before the run is frozen, and where it is not what it was then.
        devices: the frozen device list; empty while it is lost.
        doubtful: marked batches of which nobody knows yet whether they were run.
        refusal: why the run may not begin, or not go on.
        lost: whether progress or the device list is gone.
    """

    def __init__(
        self, run: ScoringRun, cluster: KubeClient, storage: FleetStorage, fleets: Mapping[str, Fleet]
    ) -> None:
        self.progress: Progress | None = None
        self.fleet: Fleet | None = None
        self.devices: list[str] = []
        self.doubtful: frozenset[str] = frozenset()
        self.refusal: Blocker | None = None
        self.lost = False
        self._cluster = cluster
        self._storage = storage
        self._fleets = fleets
        self._records = ProgressStore(cluster, run)
        self._saved: StoredProgress | None = None
        self._loaded = False
        self._offset: float | None = None  # the API server's time less our monotonic clock's, when last seen
        self._set_by = 0.0  # seconds by which that was set since progress was last saved

    @property
    def unsaved(self) -> bool:
        """Whether progress is another than that in its ConfigMap."""
        return self.progress is not None and not (self._saved and self._saved.progress == self.progress)

    async def load(self, run: ScoringRun) -> None:
        """Read what is saved, unless that is known."""
        if not self._loaded:
            try:
                saved = await self._records.load()
            except InvalidProgress as error:
                self.refusal, saved = Blocker("ProgressInvalid", str(error)), None
            except NameConflict as error:
                self.refusal, saved = Blocker("NameConflict", str(error)), None
            self.lost = saved is None and bool(run.status.get("devices"))
            if saved is not None:
                arrived = self.progress is not None and self.progress.clock == saved.progress.clock
                await self._adopt(run, saved)
                if not arrived:
                    self._move_clock(self._set_by)
                self.doubtful = frozenset(saved.progress.open_batches)
            self._loaded = True
        if self.progress is None and self.refusal is None:
            self.refusal = admission.rejection(run, self._fleets)

    def mind_clock(self, now: datetime) -> None:
        """Let the run's own clock go on evenly where the API server's was set while we looked.

        Args:
            now: the API server's time.
        """
        offset = now.timestamp() - time.monotonic()
        set_by = offset - self._offset if self._offset is not None else 0.0
        self._offset = offset
        if abs(set_by) > CLOCK_JUMP_SECONDS and self.progress is not None:
            self._set_by += set_by
            self._move_clock(set_by)

    def _move_clock(self, seconds: float) -> None:
        if self.progress is not None:
            self.progress = replace(self.progress, clock=self.progress.clock.shifted(seconds))

    async def _adopt(self, run: ScoringRun, saved: StoredProgress) -> None:
        frozen = saved.progress.snapshot
        self._saved, self.progress = saved, saved.progress
        self.fleet = admission.fleet_if_unchanged(run, frozen.fleet, self._fleets)
        if self.fleet is None:
            self.refusal, self.lost = Blocker("FleetChanged", FLEET_CHANGED), True
            return
        try:
            self.devices = self.devices or await self._records.devices(frozen.device_list_names)
            self.lost = False
        except (NotFound, InvalidDeviceList):
            self.lost = True
            return
        if len(self.devices) != self.progress.total:
            self.refusal, self.lost = Blocker("ProgressInvalid", LIST_DIFFERS), True

    async def find(self, run: ScoringRun) -> Blocker | None:
        """Freeze the run's devices, or make again what was lost; answers what keeps it from that for now."""
        fleet = self.fleet or self._fleets[run.spec.fleet]
        try:
            found = await device_discovery.discover_devices(run, fleet, self._storage, self._cluster)
            now = self._cluster.now()
            # In a thread: hostile globs over many devices take seconds, in which the lease has to be renewed.
            start = (
                found
                if isinstance(found, Blocker)
                else await to_thread(device_list.create_initial_state, run, fleet, found, now)
            )
            if self.lost:
                await self._recover(run, start)
            elif isinstance(start, Blocker):
                self.refusal = start
            else:
                await self._begin(run, start)
        except StorageError as error:
            return Blocker(type(error).__name__, str(error))
        except NameConflict as error:
            self.refusal = Blocker("NameConflict", str(error))
        return None

    async def _begin(self, run: ScoringRun, start: InitialState) -> None:
        saved = await self._records.begin(start)
        self.devices = list(start.devices) if saved.progress is start.progress else []
        await self._adopt(run, saved)

    async def _recover(self, run: ScoringRun, start: InitialState | Blocker) -> None:
        if self.progress is None:
            if isinstance(start, Blocker) or not await self._records.has(start.parts):
                self.refusal = Blocker("ProgressLost", PROGRESS_LOST)
            else:
                await self._begin(run, device_list.rebuild(run, start, self._cluster.now()))
        elif isinstance(start, Blocker) or tuple(start.parts) != self.progress.snapshot.device_list_names:
            self.refusal = Blocker("DeviceListLost", LIST_LOST)
        else:
            await self._records.restore(start.parts)
            self.devices, self.lost = list(start.devices), False

    async def save(self) -> None:
        """Write progress.

        Raises:
            ApiError: it could not be written; whatever happened to it is read before anything else is decided.
        """
        if self.progress is None:
            return
        try:
            self._saved = await self._records.save(self.progress, self._saved.version if self._saved else "")
            self._set_by = 0.0
        except Exception:
            self._loaded = False
            raise

    def forget(self) -> None:
        """Let go of what nothing is decided by any more, for it is large."""
        self._saved = self.progress = None
        self.devices = []
