"""Parser of the file of mutes: devices whose incidents are listed as muted for a time.

The file `_mutes.csv` has the columns Devices,From,Until,Why,Who. Devices is a glob. From and Until are instants; an
empty one has no bound. A bad line is reported, and the good lines apply.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from device_scorer.csv_lines import split_line
from device_scorer.errors import UsageInvalid
from device_scorer.health.globs import MAX_GLOB_CHARS, DeviceGlob
from device_scorer.plurals import counted
from device_scorer.window import Window, parse_instant

COLUMNS = ("Devices", "From", "Until", "Why", "Who")
MAX_MUTES_BYTES = 2**20
MAX_MUTES = 500
MAX_REPORTED_LINES = 20
MAX_WHY_CHARS = 200


@dataclass(frozen=True, slots=True)
class Mute:
    """Devices whose incidents are muted.

    Attributes:
        devices: The glob of the device ids.
        start: The first muted instant; None without a bound.
        end: The first instant that is not muted; None without a bound.
        why: The reason, for people.
    """

    devices: DeviceGlob
    start: datetime | None
    end: datetime | None
    why: str

    def applies(self, window: Window) -> bool:
        """Return True if a part of the window is muted."""
        return (self.start is None or self.start < window.end) and (self.end is None or self.end > window.start)


@dataclass(frozen=True, slots=True)
class Mutes:
    """The mutes of a window.

    Attributes:
        mutes: The mutes that apply in the window.
        problems: A sentence for each bad line, at most MAX_REPORTED_LINES.
    """

    mutes: Sequence[Mute] = ()
    problems: Sequence[str] = ()

    def reason(self, device: str) -> str | None:
        """Return the reason why a device is muted; None if it is not."""
        return next((mute.why for mute in self.mutes if mute.devices.matches(device)), None)


def parse_mutes(content: bytes, window: Window) -> Mutes:
    """Return the mutes of a file that apply in a window.

    Args:
        content: The file, which any client with write access may have changed.
        window: The window.
    """
    if len(content) > MAX_MUTES_BYTES:
        return Mutes((), [f"_mutes.csv has more than {MAX_MUTES_BYTES:,} bytes; no device is muted"])
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines()
    mutes: list[Mute] = []
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and line.split(b",")[0].strip() == COLUMNS[0].encode()):
            continue
        try:
            mute = _parse_line(line, left=MAX_MUTES - len(mutes))
            if mute.applies(window):
                mutes.append(mute)
        except (ValueError, UsageInvalid, csv.Error) as error:
            if len(problems) < MAX_REPORTED_LINES:
                problems.append(f"line {number} of _mutes.csv is ignored: {str(error)[:200]}")
    return Mutes(mutes, problems)


def _parse_line(line: bytes, *, left: int) -> Mute:
    if left <= 0:
        raise ValueError(f"there are more than {MAX_MUTES} mutes")
    fields = [field.strip() for field in split_line(line)]
    if len(fields) != len(COLUMNS):
        raise ValueError(f"it has {counted(len(fields), 'field', 'fields')} in place of {len(COLUMNS)}")
    devices, start, end, why, who = fields
    if not 0 < len(devices) <= MAX_GLOB_CHARS:
        raise ValueError(f"Devices must have 1 to {MAX_GLOB_CHARS} characters")
    text = f"{why} ({who})" if who else why
    first, after = (parse_instant(bound) if bound else None for bound in (start, end))
    if first and after and after <= first:
        raise ValueError("Until is not after From")
    return Mute(DeviceGlob(devices), first, after, "".join(filter(str.isprintable, text))[:MAX_WHY_CHARS])
