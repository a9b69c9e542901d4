"""The signals of a simulated fleet and their injected anomalies. A seed and a time determine every reading.

A normal reading is the sum of the tag's centre, a daily oscillation and noise. Centre, amplitude, noise and phase
differ by device and tag. In its first minutes a fleet is commissioned: every tag sweeps once through its whole working
band. A model that is trained on a history with the sweep knows the band, so that later normal readings stay inside it.
Without the sweep, a new hour would sometimes exceed the extremes of the past by chance. Such a reading would look like
an injected anomaly.

Injected anomalies leave the band by several times the noise, so that a one-dimensional model can detect them: `spike`
(one reading) and `shift` (a tenth of the partition at another level). `stuck` (the value freezes inside the band)
cannot be detected by such a model, and is injected only on request. Instead of these, any of KINDS can be injected by
name, in the same sensors in each partition. Readings that a kind removes have an empty text.

Random numbers come from `random.Random` with a text as seed: these streams are equal on every machine and Python
version. Each device, tag and partition has its own stream, so that more devices or hours do not change the others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

DAY_SECONDS = 86_400
MISSING_KINDS = ("dead", "sparse", "late")
KINDS = ("spike", "shift", "drift", "stuck", "out-of-range", *MISSING_KINDS, "machine-off", "hall")
"""The kinds of faults by name.

One tag: `spike` one reading outside of the band; `shift` a tenth of the partition at another level; `drift` a slow walk
out of the band over half of the partition; `stuck` half of the partition at one value; `out-of-range` a tenth at
OUT_OF_RANGE_VALUE; `dead` no reading; `sparse` one reading of SPARSE_STEP; `late` no reading in the last half.
All tags: `machine-off` zero in the last half. All devices: `hall` one tag at another level in the last half.
"""

OUT_OF_RANGE_VALUE = "32767.00"
SPARSE_STEP = 4
SWEEP_READINGS = 20
"""Number of readings of a tag's commissioning sweep."""

MAX_NOISE_MULTIPLE = 3.5
"""Multiple of the noise at which normal noise is clipped."""

BAND_NOISE_MULTIPLE = 5.0
"""Multiple of the noise between the daily oscillation's extreme and the end of the working band."""


@dataclass(frozen=True)
class SimulatedFleet:
    """The parameters of a simulated fleet.

    Attributes:
        seed: The seed of all random numbers.
        devices: The number of devices.
        tags: The number of tags of a device, which are called `1`, `2`, ...
        prefix: The prefix of the device ids; device 0 is called `{prefix}-1`.
        interval_seconds: The time between two readings of a tag. Readings lie on multiples of it since the epoch.
        start_epoch_seconds: The first second of the fleet's history, at which the commissioning sweep begins.
        anomaly_rate: The share of devices with anomalies in an anomalous partition, rounded up to whole devices.
        inject_stuck: True to inject `stuck`, too.
        kinds: The kinds of KINDS that are injected in place of spikes and shifts; empty for these.
    """

    seed: int
    devices: int
    tags: int
    prefix: str
    interval_seconds: int
    start_epoch_seconds: int
    anomaly_rate: float
    inject_stuck: bool = False
    kinds: tuple[str, ...] = ()

    def device_id(self, index: int) -> str:
        """Return the id of the device at the 0-based index."""
        return f"{self.prefix}-{index + 1}"


@dataclass(frozen=True)
class Signal:
    """The signal of one tag of one device.

    Attributes:
        centre: The centre, in the tag's unit.
        amplitude: The amplitude of the daily oscillation, in the tag's unit.
        noise: The standard deviation of the noise, in the tag's unit.
        phase: The phase of the oscillation, in radians.
    """

    centre: float
    amplitude: float
    noise: float
    phase: float

    def normal_value(self, second: int, random: Random) -> float:
        """Return the normal value at a time, in seconds since the epoch."""
        daily = self.amplitude * math.sin(2 * math.pi * (second % DAY_SECONDS) / DAY_SECONDS + self.phase)
        return (
            self.centre + daily + self.noise * max(-MAX_NOISE_MULTIPLE, min(MAX_NOISE_MULTIPLE, random.gauss(0.0, 1.0)))
        )

    def sweep_value(self, step: int) -> float:
        """Return the value at a step of the commissioning sweep; step 0 is the lower end of the band."""
        position = 2 * step / (SWEEP_READINGS - 1) - 1
        return self.centre + position * (self.amplitude + BAND_NOISE_MULTIPLE * self.noise)

    def outside_band(self, noise_multiple: float) -> float:
        """Return a level outside the band: above it if the multiple of the noise is positive, else below it."""
        return self.centre + math.copysign(
            self.amplitude + (BAND_NOISE_MULTIPLE + abs(noise_multiple)) * self.noise, noise_multiple
        )


@dataclass(frozen=True)
class Injection:
    """An anomaly of one tag in one partition.

    Attributes:
        kind: One of KINDS.
        tag: The 0-based index of the tag.
        first_row: The 0-based index of its first reading in the partition.
        row_count: The number of readings.
        noise_multiple: The distance from the band, as in `Signal.outside_band`.
    """

    kind: str
    tag: int
    first_row: int
    row_count: int
    noise_multiple: float


def build_signal(fleet: SimulatedFleet, device: int, tag: int) -> Signal:
    """Return the signal of a device's tag; device and tag are 0-based indexes."""
    random = Random(f"{fleet.seed}/signal/{device}/{tag}")  # noqa: S311  a simulation, not a secret
    centre = 10.0 + 23.0 * (tag % 5) + random.uniform(-2.0, 2.0)
    noise = random.uniform(0.2, 0.6)
    return Signal(centre, noise * random.uniform(2.0, 4.0), noise, random.uniform(0.0, 2 * math.pi))


def select_anomalous_devices(fleet: SimulatedFleet, partition_start: int) -> frozenset[int]:
    """Return the indexes of the devices with anomalies in the partition with this start, in seconds since the epoch.

    Devices with a fault by name are the same in each partition: such a fault lasts.
    """
    count = min(fleet.devices, math.ceil(fleet.anomaly_rate * fleet.devices))
    part = f"{fleet.seed}/anomalous/{partition_start}"
    random = Random(f"{fleet.seed}/faulty" if fleet.kinds else part)  # noqa: S311  a simulation, not a secret
    return frozenset(random.sample(range(fleet.devices), count))


def plan_injections(
    fleet: SimulatedFleet, device: int, partition_start: int, row_count: int, *, selected: bool = True
) -> list[Injection]:
    """Return the faults of one device in one partition: the fleet's kinds.

    Without kinds they are one shift, two to four spikes, and a stuck value on request.

    Args:
        fleet: The fleet.
        device: The 0-based index of the device.
        partition_start: The start of the partition, in seconds since the epoch.
        row_count: The number of readings of each tag in the partition.
        selected: False for a device that has only the faults of the whole fleet.
    """
    random = Random(f"{fleet.seed}/injection/{device}/{partition_start}")  # noqa: S311  a simulation, not a secret

    def create_injection(kind: str, length: int) -> Injection:
        noises = random.uniform(5.0, 12.0) * random.choice((-1, 1))
        return Injection(kind, random.randrange(fleet.tags), random.randrange(row_count - length + 1), length, noises)

    tenth, half = max(1, row_count // 10), max(1, row_count // 2)
    if fleet.kinds:
        lengths = {"spike": 1, "shift": tenth, "out-of-range": tenth, "stuck": half, "drift": half}
        planned = []
        for kind in (kind for kind in fleet.kinds if selected or kind == "hall"):
            lasting = Random(f"{fleet.seed}/faulty/{device}/{kind}").randrange(fleet.tags)  # noqa: S311  as above
            event = replace(create_injection(kind, lengths.get(kind, row_count)), tag=lasting)
            if kind in ("late", "hall", "machine-off"):
                event = replace(event, first_row=row_count - half, row_count=half)
            tags = range(fleet.tags) if kind == "machine-off" else [event.tag]
            planned += [replace(event, tag=tag) for tag in tags]
        return planned
    if not selected:
        return []
    events = [create_injection("shift", tenth), *(create_injection("spike", 1) for _ in range(random.randint(2, 4)))]
    return [*events, create_injection("stuck", tenth)] if fleet.inject_stuck else events


def partition_values(
    fleet: SimulatedFleet, device: int, reading_times: Sequence[int], injections: Sequence[Injection]
) -> tuple[list[list[str]], Mapping[tuple[int, int], str]]:
    """Return the readings of one device in one partition.

    Args:
        fleet: The fleet.
        device: The 0-based index of the device.
        reading_times: The times of the readings, in seconds since the epoch, all in one partition.
        injections: The anomalies. If two of them overlap, the earlier one in the list is injected.

    Returns:
        The text of each value by tag and reading (empty if the reading is missing), and the kind of each faulty
        reading by (reading, tag).
    """
    values = [_tag_values(fleet, device, tag, reading_times) for tag in range(fleet.tags)]
    kinds: dict[tuple[int, int], str] = {}
    for event in injections:
        source = build_signal(fleet, device, event.tag)
        random = Random(f"{fleet.seed}/level/{device}/{event.tag}/{reading_times[event.first_row]}")  # noqa: S311  as above
        frozen = values[event.tag][event.first_row]
        for row in range(event.first_row, event.first_row + event.row_count):
            if (row, event.tag) in kinds:
                continue
            if event.kind == "sparse" and row % SPARSE_STEP == 0:
                continue
            kinds[row, event.tag] = event.kind
            level = source.outside_band(event.noise_multiple) + source.noise * random.uniform(-1.0, 1.0)
            values[event.tag][row] = _faulty_value(event, row, level, values[event.tag][row], frozen)
    return values, kinds


def _faulty_value(event: Injection, row: int, level: float, normal: str, frozen: str) -> str:
    """Return the text of a faulty reading; empty if it is missing."""
    if event.kind == "drift":
        progress = (row - event.first_row + 1) / event.row_count
        return f"{float(normal) + progress * (level - float(normal)):.2f}"
    fixed = {
        "stuck": frozen,
        "out-of-range": OUT_OF_RANGE_VALUE,
        "machine-off": "0.00",
        **dict.fromkeys(MISSING_KINDS, ""),
    }
    return fixed.get(event.kind, f"{level:.2f}")


def _tag_values(fleet: SimulatedFleet, device: int, tag: int, reading_times: Sequence[int]) -> list[str]:
    source = build_signal(fleet, device, tag)
    random = Random(f"{fleet.seed}/noise/{device}/{tag}/{reading_times[0]}")  # noqa: S311  a simulation, not a secret
    sweep_start = -(-fleet.start_epoch_seconds // fleet.interval_seconds)  # in intervals since the epoch
    values = []
    for second in reading_times:
        step = second // fleet.interval_seconds - sweep_start
        value = source.sweep_value(step) if 0 <= step < SWEEP_READINGS else source.normal_value(second, random)
        values.append(f"{value:.2f}")
    return values
