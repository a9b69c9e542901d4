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
BAND_NOISES = 5.0  # the working band ends this many noises beyond the swing; normal noise is clipped at 3.5


@dataclass(frozen=True)
class Fleet:
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
    interval: int
    start: int
    anomaly_rate: float
    subtle: bool = False

    def device_id(self, index: int) -> str:
        """The id of the device at `index` (0-based)."""
        return f"{self.prefix}-{index + 1}"


@dataclass(frozen=True)
class Signal:
    """One tag of one device: `centre`, `swing` and `noise` in the tag's own unit, `phase` in radians."""

    centre: float
    swing: float
    noise: float
    phase: float

    def normal(self, second: int, random: Random) -> float:
        """The normal reading at `second` (epoch)."""
        daily = self.swing * math.sin(2 * math.pi * (second % DAY_SECONDS) / DAY_SECONDS + self.phase)
        return self.centre + daily + self.noise * max(-3.5, min(3.5, random.gauss(0.0, 1.0)))

    def sweep(self, step: int) -> float:
        """The reading at `step` of the commissioning sweep: from the band's lower end to its upper."""
        position = 2 * step / (SWEEP_READINGS - 1) - 1
        return self.centre + position * (self.swing + BAND_NOISES * self.noise)

    def outside(self, noises: float) -> float:
        """A level beyond the band: by |noises| noises, above it where positive, below it where negative."""
        return self.centre + math.copysign(self.swing + (BAND_NOISES + abs(noises)) * self.noise, noises)


@dataclass(frozen=True)
class Injection:
    """An anomaly of one tag: `rows` readings from index `first` of the partition on; `noises` as Signal.outside."""

    kind: str
    tag: int
    first: int
    rows: int
    noises: float


def signal(fleet: Fleet, device: int, tag: int) -> Signal:
    """The signal of a device's tag (both 0-based)."""
    random = Random(f"{fleet.seed}/signal/{device}/{tag}")  # noqa: S311 (a simulation, not a secret)
    centre = 10.0 + 23.0 * (tag % 5) + random.uniform(-2.0, 2.0)
    noise = random.uniform(0.2, 0.6)
    return Signal(centre, noise * random.uniform(2.0, 4.0), noise, random.uniform(0.0, 2 * math.pi))


def anomalous_devices(fleet: Fleet, partition: int) -> frozenset[int]:
    """The devices that get anomalies in the partition that begins at `partition` (epoch seconds)."""
    count = min(fleet.devices, math.ceil(fleet.anomaly_rate * fleet.devices))
    random = Random(f"{fleet.seed}/anomalous/{partition}")  # noqa: S311 (a simulation, not a secret)
    return frozenset(random.sample(range(fleet.devices), count))


def injections(fleet: Fleet, device: int, partition: int, rows: int) -> list[Injection]:
    """The anomalies of one device in one partition that holds `rows` readings of each tag: one shift, some spikes."""
    random = Random(f"{fleet.seed}/injection/{device}/{partition}")  # noqa: S311 (a simulation, not a secret)

    def event(kind: str, length: int) -> Injection:
        noises = random.uniform(5.0, 12.0) * random.choice((-1, 1))
        return Injection(kind, random.randrange(fleet.tags), random.randrange(rows - length + 1), length, noises)

    tenth = max(1, rows // 10)
    events = [event("shift", tenth), *(event("spike", 1) for _ in range(random.randint(2, 4)))]
    return [*events, event("stuck", tenth)] if fleet.subtle else events


def partition_values(
    fleet: Fleet, device: int, seconds: Sequence[int], injected: Sequence[Injection]
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
    values = [_tag_values(fleet, device, tag, seconds) for tag in range(fleet.tags)]
    kinds: dict[tuple[int, int], str] = {}
    for event in injected:
        source = signal(fleet, device, event.tag)
        random = Random(f"{fleet.seed}/level/{device}/{event.tag}/{seconds[event.first]}")  # noqa: S311 (as above)
        frozen = values[event.tag][event.first]
        for row in range(event.first, event.first + event.rows):
            if (row, event.tag) in kinds:
                continue
            kinds[row, event.tag] = event.kind
            level = source.outside(event.noises) + source.noise * random.uniform(-1.0, 1.0)
            values[event.tag][row] = frozen if event.kind == "stuck" else f"{level:.2f}"
    return values, kinds


def _tag_values(fleet: Fleet, device: int, tag: int, seconds: Sequence[int]) -> list[str]:
    source = signal(fleet, device, tag)
    random = Random(f"{fleet.seed}/noise/{device}/{tag}/{seconds[0]}")  # noqa: S311 (a simulation, not a secret)
    first = -(-fleet.start // fleet.interval)  # the reading's number since the epoch at which the sweep begins
    values = []
    for second in seconds:
        step = second // fleet.interval - first
        value = source.sweep(step) if 0 <= step < SWEEP_READINGS else source.normal(second, random)
        values.append(f"{value:.2f}")
    return values
