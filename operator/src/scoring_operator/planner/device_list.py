"""The device list of a run: its devices, its first progress, and its compressed parts.

The list is fixed once: the device at index i has position i until the run ends.
"""

import fnmatch
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.intervals import Position, Positions
from scoring_operator.api.names import device_list_config_map_name
from scoring_operator.api.scoringrun import RunRef, ScoringRun
from scoring_operator.contract.blob_paths import encode_id
from scoring_operator.errors import InvalidDeviceList, RunRejected
from scoring_operator.planner import canary
from scoring_operator.planner.progress import (
    MAX_DEVICES_PER_JOB,
    Progress,
    RunClock,
    RunSnapshot,
    new_progress,
)
from scoring_operator.planner.progress_document import MAX_SAMPLES
from scoring_operator.planner.quarantine import QuarantineResult

MAX_PART_BYTES = 900 * 1024  # before compression: random ids do not compress, and a ConfigMap has at most 1 MiB
MAX_AUTO_JOBS = 2000  # with `devicesPerJob: Auto`
_DIGEST = re.compile(r"[a-z2-7]{12}", re.ASCII)
_COMPRESSION_LEVEL = 1  # level 6 takes four times as long and saves 4 %


@dataclass(frozen=True, slots=True)
class DiscoveredDevices:
    """The content of a fleet's storage, as far as a run needs it.

    Attributes:
        with_model: The devices with a model, sorted.
        with_data: The devices with readings in the window; devices with a model may be left out.
        invalid_names: The number of names of blobs that do not denote a device, and some of them.
        predictions: The metadata of the window's predictions, by device.
        to_retry: The devices of the run that `retryOf` names with one of the requested outcomes.
        quarantine: The devices in quarantine.
    """

    with_model: Sequence[str] = ()
    with_data: Sequence[str] = ()
    invalid_names: tuple[int, Sequence[str]] = (0, ())
    predictions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    to_retry: Sequence[str] = ()
    quarantine: QuarantineResult = field(default_factory=QuarantineResult)


@dataclass(frozen=True, slots=True)
class InitialState:
    """The first state of a run.

    Attributes:
        progress: The first progress.
        devices: The device list.
        parts: The compressed parts of the device list, by ConfigMap name.
    """

    progress: Progress
    devices: Sequence[str]
    parts: Mapping[str, bytes]


def create_initial_state(
    run: ScoringRun,
    fleet: Fleet,
    discovered: DiscoveredDevices,
    now: datetime,
    *,
    max_auto_jobs: int = MAX_AUTO_JOBS,
) -> InitialState:
    """Create the device list and the first progress of a run.

    Args:
        run: The run.
        fleet: The run's fleet.
        discovered: The content of storage.
        now: The API server's time.
        max_auto_jobs: The largest number of batches with `devicesPerJob: Auto`.

    Raises:
        RunRejected: The run may not have these devices.
    """
    devices = _select_devices(run, discovered)
    source = run.spec.devices
    if len(devices) > run.spec.max_devices:
        message = f"{len(devices)} devices were found, and maxDevices is {run.spec.max_devices}"
        raise RunRejected("TooManyDevices", message)
    if not devices and source.retry_of is None:
        what = "matches devices.include" if source.include else "has a model"
        raise RunRejected(
            "NoDevices", f"no device of fleet {fleet.name!r} {what}; see container {fleet.storage.models!r}"
        )
    layout = fleet.storage_layout()
    settings = msgspec.json.encode(layout, order="sorted")
    parts = {device_list_config_map_name(run, settings, part): part for part in pack(devices)}
    without_model = _without_model(run, discovered)
    snapshot = RunSnapshot(
        fleet=msgspec.to_builtins(layout),
        device_list_names=tuple(parts),
        devices_per_job=_devices_per_job(run, len(devices), max_auto_jobs),
        without_model=(len(without_model), tuple(without_model[:MAX_SAMPLES])),
        invalid_names=(discovered.invalid_names[0], tuple(discovered.invalid_names[1][:MAX_SAMPLES])),
        history_problem=discovered.quarantine.problem,
        marks_suspension=True,
    )
    already_scored = Positions.from_positions(
        Position(at) for at, device in enumerate(devices) if _already_scored(run, discovered.predictions.get(device))
    )
    started = datetime.fromisoformat(run.status.get("startTime") or now.isoformat())
    quarantined = Positions.from_positions(
        Position(at) for at, device in enumerate(devices) if device in discovered.quarantine.devices
    )
    progress = new_progress(snapshot, len(devices), already_scored, quarantined - already_scored)
    progress = replace(
        progress,
        clock=RunClock(started=started, since=started),
        canary=canary.first_positions(run, progress.waiting, snapshot.devices_per_job),
    )
    return InitialState(progress, devices, parts)


def rebuild(run: ScoringRun, initial: InitialState, now: datetime) -> InitialState:
    """Return the state of a run whose progress was lost and whose devices and fleet are unchanged.

    Each batch is inspected for an outcome record before it is scored. The times in the status are kept; the clock
    starts at zero.

    Args:
        run: The run, with its last status.
        initial: The state from a new discovery.
        now: The API server's time.
    """
    times = {key: datetime.fromisoformat(run.status[key]) for key in ("startTime", "firstPodTime") if key in run.status}
    pod = times.get("firstPodTime")
    clock = RunClock(started=times.get("startTime", now), since=now, first_pod=(pod, 0.0) if pod else None)
    snapshot = msgspec.structs.replace(initial.progress.snapshot, rebuilt=True)
    return replace(initial, progress=replace(initial.progress, snapshot=snapshot, clock=clock))


def _select_devices(run: ScoringRun, discovered: DiscoveredDevices) -> list[str]:
    source = run.spec.devices
    if source.ids:
        return sorted(source.ids)
    if source.retry_of:
        return sorted(discovered.to_retry)
    if source.include:
        return _matching(source.include, discovered.with_model)
    return list(discovered.with_model)


def _matching(globs: Iterable[str], devices: Iterable[str]) -> list[str]:
    """Return the devices that match one of the globs.

    One expression for all globs is faster than one each. `filter` would hold the interpreter's lock until its last
    match, which is seconds for 100,000 devices: no other thread could renew the lease.
    """
    matches = re.compile("|".join(map(fnmatch.translate, globs))).match
    return [device for device in devices if matches(device)]


def _without_model(run: ScoringRun, discovered: DiscoveredDevices) -> list[str]:
    """Return the devices with readings that would belong to the run if they had a model."""
    source = run.spec.devices
    if source.ids or source.retry_of:
        return []
    without_model = set(discovered.with_data).difference(discovered.with_model)
    return sorted(_matching(source.include or ("*",), without_model))


def _devices_per_job(run: ScoringRun, device_count: int, max_auto_jobs: int) -> int:
    """Return the number of devices in a batch."""
    if isinstance(run.spec.devices_per_job, int):
        return run.spec.devices_per_job
    return min(max(1, -(-device_count // max_auto_jobs)), MAX_DEVICES_PER_JOB)


def _already_scored(run: ScoringRun, metadata: Mapping[str, str] | None) -> bool:
    """Return True if complete predictions of at least the run's tags exist and stay.

    The scorer makes the same decision; this check saves the Job. If the metadata has only a hash of the tags, because
    they are too long, the scorer decides.
    """
    if run.spec.write_policy != "CreateOnly" or not metadata or metadata.get("complete") != "true":
        return False
    if metadata.get("runuid") == run.uid:  # scored by this run before its progress was lost
        return False
    if metadata.get("window") != run.spec.window.interval:
        return False
    tags = metadata.get("tags", "")
    wanted_tags = {encode_id(tag) for tag in run.spec.tags}
    return tags == "*" or (bool(wanted_tags) and wanted_tags <= set(tags.split(" ")))


def pack(devices: Sequence[str]) -> list[bytes]:
    """Return the device list in compressed parts, each small enough for a ConfigMap."""
    parts: list[list[str]] = []
    room = 0
    for device in devices:
        size = len(device.encode()) + 1
        if size > room:
            parts.append([])
            room = MAX_PART_BYTES
        parts[-1].append(device)
        room -= size
    return [zlib.compress("\n".join(part).encode(), _COMPRESSION_LEVEL) for part in parts]


def is_part_name(run: RunRef, name: str) -> bool:
    """Return True if a ConfigMap of this name may hold a part of the run's device list.

    Args:
        run: The run.
        name: The name, from a ConfigMap that users of the namespace may have edited.
    """
    return name.startswith(f"{run.name}-") and _DIGEST.fullmatch(name, len(run.name) + 1) is not None


def is_part(run: RunRef, snapshot: RunSnapshot, name: str, part: bytes) -> bool:
    """Return True if a part of the device list has the content and the fleet that its name was made from.

    Args:
        run: The run.
        snapshot: The facts that were fixed when the run began.
        name: The name of the ConfigMap.
        part: Its content.
    """
    return device_list_config_map_name(run, msgspec.json.encode(snapshot.fleet, order="sorted"), part) == name


def unpack(part: bytes) -> list[str]:
    """Return the devices of a part of the device list, in order.

    Raises:
        InvalidDeviceList: The part is damaged, or larger than `pack` writes.
    """
    inflater = zlib.decompressobj()
    try:
        devices = inflater.decompress(part, MAX_PART_BYTES).decode().split("\n")
    except (zlib.error, UnicodeDecodeError) as error:
        raise InvalidDeviceList(f"a ConfigMap of the device list is invalid: {error}") from error
    if not inflater.eof:
        raise InvalidDeviceList("a ConfigMap of the device list is invalid: it is truncated or too large")
    return devices
