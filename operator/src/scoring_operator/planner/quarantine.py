"""The devices that are left out of a run because each of their last windows failed, as the fleet's `quarantine` says.

The last windows are those of the history before the run's window, without windows in which the device was not run or
is unknown. So a quarantined device stays in quarantine until one of its windows has another state than failed. In one
of each `retryEvery` windows it runs nevertheless, in another one each time. So the devices take turns, and a schedule
that runs only some windows, such as one hour of each day, reaches each device.

A cause that many devices share, such as an image, is not a reason to leave them out: then none is in quarantine.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scoring_operator.api.fleets import Quarantine
from scoring_operator.contract.history import FAILED, NOT_RUN, UNKNOWN
from scoring_operator.errors import InvalidHistory

MIN_COMMON_DEVICES = 10  # a smaller number of failing devices is never taken for a common cause
MAX_SHARE = 0.5  # of the fleet's devices; with more failing ones, the cause is not theirs
MIN_TILES = 2  # the tile of a window at the start of a week may not exist yet
_PASSED_OVER = str.maketrans("", "", NOT_RUN + UNKNOWN)


@dataclass(frozen=True, slots=True)
class QuarantineResult:
    """The devices in quarantine, and why the history could not be used.

    Attributes:
        devices: The devices that are left out.
        problem: The reason why no device is left out although the fleet has a quarantine; empty without one.
    """

    devices: frozenset[str] = frozenset()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Suspects:
    """The devices whose last windows all failed, as far as the history has been read.

    Attributes:
        rule: The fleet's rule.
        open: The number of failed windows of each device that older tiles decide.
        found: The devices whose last `after` windows failed.
        tiles: The number of tiles that have been read.
    """

    rule: Quarantine
    open: Mapping[str, int]
    found: frozenset[str] = field(default_factory=frozenset)
    tiles: int = 0

    @property
    def settled(self) -> bool:
        """Whether older tiles change nothing."""
        return not self.open

    def with_tile(self, states: Iterable[tuple[str, str]], end: int) -> "Suspects":
        """Return the suspects after the next older tile.

        Args:
            states: Each device with its states.
            end: The number of windows of the tile that count, from its first.

        Raises:
            InvalidHistory: A device is listed twice.
        """
        left, found, seen = dict(self.open), set(self.found), set[str]()
        for device, letters in states:
            if device not in self.open:
                continue
            if device in seen:
                raise InvalidHistory("a tile of the history lists a device twice")
            seen.add(device)
            known = letters[:end].translate(_PASSED_OVER)
            failed = len(known) - len(known.rstrip(FAILED))
            left[device] += failed
            if left[device] >= self.rule.after:
                found.add(device)
            if left[device] >= self.rule.after or failed < len(known):
                del left[device]
        tiles = self.tiles + 1
        if tiles >= MIN_TILES:
            left = {device: failed for device, failed in left.items() if failed}
        return Suspects(self.rule, left, frozenset(found), tiles)

    def decide(self, window_number: int, fleet_size: int) -> QuarantineResult:
        """Return the devices that are left out of a window.

        Args:
            window_number: The number of the window since 1970-01-01T00:00:00Z.
            fleet_size: The number of devices of the fleet that have a model.
        """
        count = len(self.found)
        if count >= MIN_COMMON_DEVICES and count > fleet_size * MAX_SHARE:
            problem = (
                f"{count} of {fleet_size} devices failed in each of their last {self.rule.after} windows; "
                "the cause is common, so none of them is in quarantine"
            )
            return QuarantineResult(problem=problem)
        turn, place = divmod(window_number, self.rule.retry_every)
        return QuarantineResult(
            frozenset(
                device
                for device in self.found
                if zlib.crc32(f"{device}/{turn}".encode()) % self.rule.retry_every != place
            )
        )
