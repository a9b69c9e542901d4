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
from scoring_operator.api.formatting import time_text
from scoring_operator.api.intervals import Intervals
from scoring_operator.api.names import device_list_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.contract.blob_paths import segment
from scoring_operator.errors import DeviceListInvalidError
from scoring_operator.planner.admission import _layout
from scoring_operator.planner.progress import Clock, Frozen, Progress, begin
from scoring_operator.planner.types import Trouble

PART_BYTES = 900 * 1024  # of ids before compression, so that a part fits a ConfigMap (1 MiB) whatever they are
MOST_JOBS = 2000  # that `devicesPerJob: Auto` makes
MOST_PER_JOB = 500
SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in storage for a run.

    Attributes:
        models: devices that have a model, sorted.
        with_data: devices that have readings in the window; those with a model may be left out.
        unreadable: blob names that denote no device.
        predictions: metadata of the window's predictions, by device.
        retried: devices of the run that `retryOf` names, with one of the outcomes asked for.
    """

    models: Sequence[str] = ()
    with_data: Sequence[str] = ()
    unreadable: Sequence[str] = ()
    predictions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    retried: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """The first progress of a run, its devices, and the parts of its device list by ConfigMap name."""

    progress: Progress
    devices: Sequence[str]
    parts: Mapping[str, bytes]


def freeze(run: ScoringRun, fleet: Fleet, found: Found, now: datetime) -> Start | Trouble:
    """Fix the run's devices, or say why it cannot have them."""
    devices = _choose(run, found)
    source = run.spec.devices
    if len(devices) > run.spec.max_devices:
        message = f"{len(devices)} devices were found, and maxDevices is {run.spec.max_devices}"
        return Trouble("TooManyDevices", message)
    if not devices and source.retry_of is None:
        what = "matches devices.include" if source.include else "has a model"
        return Trouble("NoDevices", f"no device of fleet {fleet.name!r} {what}; see container {fleet.storage.models!r}")
    layout = _layout(fleet)
    settings = msgspec.json.encode(layout, order="sorted")
    parts = {device_list_name(run, settings, part): part for part in pack(devices)}
    lacking = _without_model(run, found)
    frozen = Frozen(
        fleet=msgspec.to_builtins(layout),
        lists=tuple(parts),
        devices_per_job=_per_job(run, len(devices)),
        without_model=(len(lacking), tuple(lacking[:SAMPLES])),
        unreadable=(len(found.unreadable), tuple(found.unreadable[:SAMPLES])),
    )
    done = Intervals.of(at for at, device in enumerate(devices) if _scored(run, found.predictions.get(device)))
    started = datetime.fromisoformat(run.status.get("startTime") or now.isoformat())
    progress = replace(begin(frozen, len(devices), done), clock=Clock(started=started, since=started))
    return Start(progress, devices, parts)


def again(run: ScoringRun, start: Start, now: datetime) -> Start:
    """The start of a run whose progress was lost and whose devices and fleet are proved to be the same.

    What was done is found again by looking at each batch before it is run; only the clock begins anew.
    """
    times = {key: datetime.fromisoformat(run.status[key]) for key in ("startTime", "firstPodTime") if key in run.status}
    pod = times.get("firstPodTime")
    clock = Clock(started=times.get("startTime", now), since=now, first_pod=(pod, 0.0) if pod else None)
    frozen = msgspec.structs.replace(start.progress.frozen, rebuilt=True)
    return replace(start, progress=replace(start.progress, frozen=frozen, clock=clock))


def _choose(run: ScoringRun, found: Found) -> list[str]:
    source = run.spec.devices
    if source.ids:
        return sorted(source.ids)
    if source.retry_of:
        return sorted(found.retried)
    if source.include:
        return list(filter(_any_of(source.include).match, found.models))
    return list(found.models)


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    """One expression for all globs: a hundred of them over a hundred thousand devices must not hold the operator up."""
    return re.compile("|".join(map(fnmatch.translate, globs)))


def _without_model(run: ScoringRun, found: Found) -> list[str]:
    """Devices that send data and would be of the run, had they a model."""
    source = run.spec.devices
    if source.ids or source.retry_of:
        return []
    lacking = set(found.with_data).difference(found.models)
    return sorted(filter(_any_of(source.include or ("*",)).match, lacking))


def _per_job(run: ScoringRun, devices: int) -> int:
    """Devices per Job, Auto resolved."""
    if isinstance(run.spec.devices_per_job, int):
        return run.spec.devices_per_job
    return min(max(1, -(-devices // MOST_JOBS)), MOST_PER_JOB)


def _scored(run: ScoringRun, metadata: Mapping[str, str] | None) -> bool:
    """Whether complete predictions of at least the run's tags stand there already, and are to stay.

    The scorer would find the same; this only saves it the start. A blob whose tags are given by their hash alone
    (they were many) is left for the scorer to judge.
    """
    if run.spec.write_policy != "CreateOnly" or not metadata or metadata.get("complete") != "true":
        return False
    if metadata.get("runuid") == run.uid:  # the run's own work, whose progress was lost: to be counted as such
        return False
    window = run.spec.window
    if metadata.get("window") != f"{time_text(window.start)}/{time_text(window.end)}":
        return False
    tags = metadata.get("tags", "")
    asked = {segment(tag) for tag in run.spec.tags}
    return tags == "*" or (bool(asked) and asked <= set(tags.split(" ")))


def pack(devices: Sequence[str]) -> list[bytes]:
    """The device list in compressed parts, each small enough for a ConfigMap."""
    parts: list[list[str]] = []
    room = 0
    for device in devices:
        size = len(device.encode()) + 1
        if size > room:
            parts.append([])
            room = PART_BYTES
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
            text = inflater.decompress(part, PART_BYTES)
            devices += text.decode().split("\n")
        except (zlib.error, UnicodeDecodeError) as error:
            raise DeviceListInvalidError(f"a ConfigMap of the device list cannot be read: {error}") from error
        if not inflater.eof:
            raise DeviceListInvalidError("a ConfigMap of the device list is cut short, or holds more than one may")
    return devices
