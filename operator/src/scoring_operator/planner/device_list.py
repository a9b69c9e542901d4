"""May this run begin, and with which devices? Pure.

The list is frozen once: position i is device i for ever. What storage lists is brought here as a value; the answer is
the first progress of the run and the parts of its device list, or why the run may not begin.
"""

import fnmatch
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.formatting import format_time
from scoring_operator.api.intervals import Intervals
from scoring_operator.api.names import device_list_config_map_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.contract.blob_paths import encode_id
from scoring_operator.errors import InvalidDeviceList
from scoring_operator.planner.admission import _storage_layout
from scoring_operator.planner.progress import Progress, RunClock, RunSnapshot, new_progress
from scoring_operator.planner.types import Blocker

MAX_PART_BYTES = 900 * 1024  # of ids before compression, so that a part fits a ConfigMap (1 MiB) whatever they are
MAX_AUTO_JOBS = 2000  # that `devicesPerJob: Auto` makes
MAX_DEVICES_PER_JOB = 500
MAX_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class DiscoveredDevices:
    """What was found in storage for a run.

    Attributes:
        models: devices that have a model, sorted.
        with_data: devices that have readings in the window; those with a model may be left out.
        unreadable: blob names that denote no device.
        predictions: metadata of the window's predictions, by device.
        retried: devices of the run that `retryOf` names, with one of the outcomes asked for.
    """

    with_model: Sequence[str] = ()
    with_data: Sequence[str] = ()
    invalid_names: Sequence[str] = ()
    predictions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    to_retry: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class InitialState:
    """The first progress of a run, its devices, and the parts of its device list by ConfigMap name."""

    progress: Progress
    devices: Sequence[str]
    parts: Mapping[str, bytes]


def create_initial_state(
    run: ScoringRun, fleet: Fleet, discovered: DiscoveredDevices, now: datetime
) -> InitialState | Blocker:
    """Fix the run's devices, or say why it cannot have them."""
    devices = _select_devices(run, discovered)
    source = run.spec.devices
    if len(devices) > run.spec.max_devices:
        message = f"{len(devices)} devices were found, and maxDevices is {run.spec.max_devices}"
        return Blocker("TooManyDevices", message)
    if not devices and source.retry_of is None:
        what = "matches devices.include" if source.include else "has a model"
        return Blocker("NoDevices", f"no device of fleet {fleet.name!r} {what}; see container {fleet.storage.models!r}")
    layout = _storage_layout(fleet)
    settings = msgspec.json.encode(layout, order="sorted")
    parts = {device_list_config_map_name(run, settings, part): part for part in pack(devices)}
    without_model = _without_model(run, discovered)
    frozen = RunSnapshot(
        fleet=msgspec.to_builtins(layout),
        device_list_names=tuple(parts),
        devices_per_job=_devices_per_job(run, len(devices)),
        without_model=(len(without_model), tuple(without_model[:MAX_SAMPLES])),
        invalid_names=(len(discovered.invalid_names), tuple(discovered.invalid_names[:MAX_SAMPLES])),
    )
    done = Intervals.from_positions(
        at for at, device in enumerate(devices) if _already_scored(run, discovered.predictions.get(device))
    )
    started = datetime.fromisoformat(run.status.get("startTime") or now.isoformat())
    progress = replace(new_progress(frozen, len(devices), done), clock=RunClock(started=started, since=started))
    return InitialState(progress, devices, parts)


def rebuild(run: ScoringRun, initial: InitialState, now: datetime) -> InitialState:
    """The start of a run whose progress was lost and whose devices and fleet are proved to be the same.

    What was done is found again by looking at each batch before it is run; only the clock begins anew.
    """
    times = {key: datetime.fromisoformat(run.status[key]) for key in ("startTime", "firstPodTime") if key in run.status}
    pod = times.get("firstPodTime")
    clock = RunClock(started=times.get("startTime", now), since=now, first_pod=(pod, 0.0) if pod else None)
    frozen = msgspec.structs.replace(initial.progress.snapshot, rebuilt=True)
    return replace(initial, progress=replace(initial.progress, snapshot=frozen, clock=clock))


def _select_devices(run: ScoringRun, discovered: DiscoveredDevices) -> list[str]:
    source = run.spec.devices
    if source.ids:
        return sorted(source.ids)
    if source.retry_of:
        return sorted(discovered.to_retry)
    if source.include:
        return list(filter(_glob_pattern(source.include).match, discovered.with_model))
    return list(discovered.with_model)


def _glob_pattern(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression for all globs: a hundred of them over a hundred thousand devices must not hold the operator up."""
    return re.compile("|".join(map(fnmatch.translate, globs)))


def _without_model(run: ScoringRun, discovered: DiscoveredDevices) -> list[str]:
    """Devices that send data and would be of the run, had they a model."""
    source = run.spec.devices
    if source.ids or source.retry_of:
        return []
    without_model = set(discovered.with_data).difference(discovered.with_model)
    return sorted(filter(_glob_pattern(source.include or ("*",)).match, without_model))


def _devices_per_job(run: ScoringRun, device_count: int) -> int:
    """Devices per Job, Auto resolved."""
    if isinstance(run.spec.devices_per_job, int):
        return run.spec.devices_per_job
    return min(max(1, -(-device_count // MAX_AUTO_JOBS)), MAX_DEVICES_PER_JOB)


def _already_scored(run: ScoringRun, metadata: Mapping[str, str] | None) -> bool:
    """Whether complete predictions of at least the run's tags stand there already, and are to stay.

    The scorer would find the same; this only saves it the start. A blob whose tags are given by their hash alone
    (they were many) is left for the scorer to judge.
    """
    if run.spec.write_policy != "CreateOnly" or not metadata or metadata.get("complete") != "true":
        return False
    if metadata.get("runuid") == run.uid:  # the run's own work, whose progress was lost: to be counted as such
        return False
    window = run.spec.window
    if metadata.get("window") != f"{format_time(window.start)}/{format_time(window.end)}":
        return False
    tags = metadata.get("tags", "")
    wanted_tags = {encode_id(tag) for tag in run.spec.tags}
    return tags == "*" or (bool(wanted_tags) and wanted_tags <= set(tags.split(" ")))


def pack(devices: Sequence[str]) -> list[bytes]:
    """The device list in compressed parts, each small enough for a ConfigMap."""
    parts: list[list[str]] = []
    room = 0
    for device in devices:
        size = len(device.encode()) + 1
        if size > room:
            parts.append([])
            room = MAX_PART_BYTES
        parts[-1].append(device)
        room -= size
    return [zlib.compress("\n".join(part).encode(), 1) for part in parts]  # level 6 takes four times as long for 4 %


def unpack(parts: Iterable[bytes]) -> list[str]:
    """The device list from its parts, in order.

    Raises:
        DeviceListInvalidError: a part is damaged, or larger than any that is written.
    """
    devices: list[str] = []
    for part in parts:
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(part, MAX_PART_BYTES)
            devices += text.decode().split("\n")
        except (zlib.error, UnicodeDecodeError) as error:
            raise InvalidDeviceList(f"a ConfigMap of the device list cannot be read: {error}") from error
        if not inflater.eof:
            raise InvalidDeviceList("a ConfigMap of the device list is cut short, or holds more than one may")
    return devices
