"""A simulated fleet's signals and the anomalies put into them. Pure: a seed and a time give the same readings for ever.

A normal reading is the tag's centre + a daily swing + noise; centre, swing, noise and phase differ from device to
device and from tag to tag. In its first minutes a fleet is *commissioned*: every tag sweeps once through its whole
working band. A model trained on a history that includes the sweep knows the band, so that later normal readings stay
inside it; without the sweep any fresh hour would exceed the extremes of the past now and then, by chance alone, and
nobody could tell such a reading from an injected one.

Injected anomalies leave the band by several times the noise, so that a one-dimensional model can see them: `spike`
(one reading) and `shift` (a tenth of the hour at another level). `stuck` (the value freezes inside the band) is one it
cannot see, and is injected only where asked for.

Randomness is `random.Random` seeded with text: its streams are the same on every machine and Python version, and each
device, tag and partition has its own, so that more devices or more hours change nothing of the others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

DAY_SECONDS = 86_400
SWEEP_READINGS = 20  # readings of the commissioning sweep, per tag
BAND_NOISE_MULTIPLE = 5.0  # the working band ends this many noises beyond the swing; normal noise is clipped at 3.5


@dataclass(frozen=True)
class SimulatedFleet:
    """What makes a simulated fleet: counts, the seed, and how its anomalies are strewn.

    Attributes:
        seed: everything random derives from it.
        devices: how many devices; device 0 is called `{prefix}-1`.
        tags: how many tags a device has, called `1`, `2`, ...
        prefix: first part of every device's id.
        interval: seconds between two readings of a tag; readings lie on whole multiples of it since the epoch.
        start: first second of the fleet's history (epoch seconds): the commissioning sweep begins here.
        anomaly_rate: share of the devices that get anomalies in an anomalous partition, rounded up.
        subtle: also inject `stuck`.
    """

    seed: int
    devices: int
    tags: int
    prefix: str
    interval_seconds: int
    start_epoch_seconds: int
    anomaly_rate: float
    inject_stuck: bool = False

    def device_id(self, index: int) -> str:
        """The id of the device at `index` (0-based)."""
        return f"{self.prefix}-{index + 1}"


@dataclass(frozen=True)
class Signal:
    """One tag of one device: `centre`, `swing` and `noise` in the tag's own unit, `phase` in radians."""

    centre: float
    amplitude: float
    noise: float
    phase: float

    def normal_value(self, second: int, random: Random) -> float:
        """The normal reading at `second` (epoch)."""
        daily = self.amplitude * math.sin(2 * math.pi * (second % DAY_SECONDS) / DAY_SECONDS + self.phase)
        return self.centre + daily + self.noise * max(-3.5, min(3.5, random.gauss(0.0, 1.0)))

    def sweep_value(self, step: int) -> float:
        """The reading at `step` of the commissioning sweep: from the band's lower end to its upper."""
        position = 2 * step / (SWEEP_READINGS - 1) - 1
        return self.centre + position * (self.amplitude + BAND_NOISE_MULTIPLE * self.noise)

    def outside_band(self, noise_multiple: float) -> float:
        """A level beyond the band: by |noises| noises, above it where positive, below it where negative."""
        return self.centre + math.copysign(
            self.amplitude + (BAND_NOISE_MULTIPLE + abs(noise_multiple)) * self.noise, noise_multiple
        )


@dataclass(frozen=True)
class Injection:
    """An anomaly of one tag: `rows` readings from index `first` of the partition on; `noises` as Signal.outside."""

    kind: str
    tag: int
    first_row: int
    row_count: int
    noise_multiple: float


def build_signal(fleet: SimulatedFleet, device: int, tag: int) -> Signal:
    """The signal of a device's tag (both 0-based)."""
    random = Random(f"{fleet.seed}/signal/{device}/{tag}")  # noqa: S311 (a simulation, not a secret)
    centre = 10.0 + 23.0 * (tag % 5) + random.uniform(-2.0, 2.0)
    noise = random.uniform(0.2, 0.6)
    return Signal(centre, noise * random.uniform(2.0, 4.0), noise, random.uniform(0.0, 2 * math.pi))


def select_anomalous_devices(fleet: SimulatedFleet, partition_start: int) -> frozenset[int]:
    """The devices that get anomalies in the partition that begins at `partition` (epoch seconds)."""
    count = min(fleet.devices, math.ceil(fleet.anomaly_rate * fleet.devices))
    random = Random(f"{fleet.seed}/anomalous/{partition_start}")  # noqa: S311 (a simulation, not a secret)
    return frozenset(random.sample(range(fleet.devices), count))


def plan_injections(fleet: SimulatedFleet, device: int, partition_start: int, row_count: int) -> list[Injection]:
    """The anomalies of one device in one partition that holds `rows` readings of each tag: one shift, some spikes."""
    random = Random(f"{fleet.seed}/injection/{device}/{partition_start}")  # noqa: S311 (a simulation, not a secret)

    def create_injection(kind: str, length: int) -> Injection:
        noises = random.uniform(5.0, 12.0) * random.choice((-1, 1))
        return Injection(kind, random.randrange(fleet.tags), random.randrange(row_count - length + 1), length, noises)

    tenth = max(1, row_count // 10)
    events = [create_injection("shift", tenth), *(create_injection("spike", 1) for _ in range(random.randint(2, 4)))]
    return [*events, create_injection("stuck", tenth)] if fleet.inject_stuck else events


def partition_values(
    fleet: SimulatedFleet, device: int, reading_times: Sequence[int], injections: Sequence[Injection]
) -> tuple[list[list[str]], Mapping[tuple[int, int], str]]:
    """The readings of one device in one partition.

    Args:
        fleet: the fleet.
        device: 0-based.
        seconds: when it reads its tags (epoch seconds), all in one partition.
        injected: the anomalies, as `injections` gives them; where two meet, the earlier one in the list wins.

    Returns:
        The text of each value by tag and reading; the kind of each anomalous one by (reading, tag).
    """
    values = [_tag_values(fleet, device, tag, reading_times) for tag in range(fleet.tags)]
    kinds: dict[tuple[int, int], str] = {}
    for event in injections:
        source = build_signal(fleet, device, event.tag)
        random = Random(f"{fleet.seed}/level/{device}/{event.tag}/{reading_times[event.first_row]}")  # noqa: S311 (as above)
        frozen = values[event.tag][event.first_row]
        for row in range(event.first_row, event.first_row + event.row_count):
            if (row, event.tag) in kinds:
                continue
            kinds[row, event.tag] = event.kind
            level = source.outside_band(event.noise_multiple) + source.noise * random.uniform(-1.0, 1.0)
            values[event.tag][row] = frozen if event.kind == "stuck" else f"{level:.2f}"
    return values, kinds


def _tag_values(fleet: SimulatedFleet, device: int, tag: int, reading_times: Sequence[int]) -> list[str]:
    source = build_signal(fleet, device, tag)
    random = Random(f"{fleet.seed}/noise/{device}/{tag}/{reading_times[0]}")  # noqa: S311 (a simulation, not a secret)
    first = -(
        -fleet.start_epoch_seconds // fleet.interval_seconds
    )  # the reading's number since the epoch at which the sweep begins
    values = []
    for second in reading_times:
        step = second // fleet.interval_seconds - first
        value = source.sweep_value(step) if 0 <= step < SWEEP_READINGS else source.normal_value(second, random)
        values.append(f"{value:.2f}")
    return values
