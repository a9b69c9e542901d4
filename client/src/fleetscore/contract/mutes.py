"""The file of mutes: devices whose incidents are listed as muted for a time.

The file has the columns Devices,From,Until,Why,Who. Devices is a glob; an empty time has no bound. Lines of other
writers are kept byte for byte, also those that the scorer ignores.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from fleetscore.contract.windows import format_time, parse_time
from fleetscore.errors import UsageInvalid

COLUMNS = ("Devices", "From", "Until", "Why", "Who")
MAX_MUTES_BYTES = 2**20
MAX_MUTES = 500
MAX_GLOB_CHARS = 256
MAX_TEXT_CHARS = 200
_HEADER = ",".join(COLUMNS).encode() + b"\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Mute:
    """A line of the file.

    Attributes:
        line: The number of the line, from 1 on.
        devices: The glob.
        start: The first muted instant; None without a bound.
        end: The first instant that is not muted; None without a bound.
        why: The reason.
        who: The person.
        problem: The reason for which the scorer ignores the line; empty for a good one.
    """

    line: int
    devices: str
    start: datetime | None = None
    end: datetime | None = None
    why: str = ""
    who: str = ""
    problem: str = ""

    def covers(self, device: str) -> bool:
        """Return True if the glob matches a device, or is its id."""
        return device == self.devices or fnmatchcase(device, self.devices)

    def state(self, now: datetime) -> str:
        """Return active, future, ended or invalid."""
        if self.problem:
            return "invalid"
        if self.end is not None and self.end <= now:
            return "ended"
        return "future" if self.start is not None and self.start > now else "active"


def parse_mutes(content: bytes) -> list[Mute]:
    """Return the lines of the file, without its header and empty lines."""
    return [mute for number, line in enumerate(_lines(content), 1) if (mute := _parse_line(number, line))]


def add_mute(content: bytes, mute: Mute, now: datetime) -> bytes:
    """Return the file with one more line.

    Args:
        content: The file; empty for a new one.
        mute: The mute; its line is not used.
        now: The time, in UTC.

    Raises:
        UsageInvalid: The mute is invalid, or the file is full.
    """
    devices = mute.devices.strip()
    if not 0 < len(devices) <= MAX_GLOB_CHARS or not devices.isprintable():
        raise UsageInvalid(f"the devices are invalid: write an id or a glob of 1 to {MAX_GLOB_CHARS} characters")
    if mute.end is not None and mute.end <= max(now, mute.start or now):
        raise UsageInvalid(
            "the mute is invalid: it ends before it starts, or has ended already; change --for or --until"
        )
    if sum(one.state(now) in ("active", "future") for one in parse_mutes(content)) >= MAX_MUTES:
        raise UsageInvalid(f"the file has {MAX_MUTES} mutes already; end some with `fleetscore unmute`, or use a glob")
    target = io.StringIO()
    times = [format_time(one) if one else "" for one in (mute.start, mute.end)]
    texts = (" ".join(text.split())[:MAX_TEXT_CHARS] for text in (mute.why, mute.who))
    csv.writer(target, lineterminator="\n").writerow([devices, *times, *texts])
    before = content or _HEADER
    separator = b"" if before.endswith((b"\n", b"\r")) else b"\n"
    found = before + separator + target.getvalue().encode()
    if len(found) > MAX_MUTES_BYTES:
        text = f"the file of mutes would have more than {MAX_MUTES_BYTES:,} bytes"
        raise UsageInvalid(f"{text}; remove ended mutes with `fleetscore unmute --ended`")
    return found


def remove_mutes(content: bytes, matches: Callable[[Mute], bool]) -> tuple[bytes, list[Mute]]:
    """Return the file without some lines, and these lines.

    Args:
        content: The file.
        matches: The function that selects the lines to remove; bad lines are always kept.
    """
    kept, removed = [], []
    for number, line in enumerate(_lines(content), 1):
        mute = _parse_line(number, line)
        if mute is not None and not mute.problem and matches(mute):
            removed.append(mute)
        else:
            kept.append(line)
    return b"".join(kept), removed


def _lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def _parse_line(number: int, line: bytes) -> Mute | None:
    """Return a line; None for the header and for an empty line."""
    plain = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
    if not plain.strip() or (number == 1 and plain.split(b",")[0].strip() == COLUMNS[0].encode()):
        return None
    try:
        text = plain.decode().rstrip("\r\n")
        devices, start, end, why, who = _fields(text)
        first, after = _bounds(start, end)
    except (ValueError, csv.Error, UsageInvalid) as error:
        devices = plain[:MAX_GLOB_CHARS].decode(errors="replace").partition(",")[0].rstrip()
        return Mute(number, devices, problem=str(error)[:200])
    return Mute(number, devices, first, after, why, who)


def _bounds(start: str, end: str) -> tuple[datetime | None, datetime | None]:
    """Return the times of a line. Raises ValueError if one is invalid, or they are in the wrong order."""
    first, after = (parse_time(bound) if bound else None for bound in (start, end))
    if first and after and after <= first:
        raise ValueError("Until is not after From")
    return first, after


def _fields(text: str) -> list[str]:
    """Return the fields of a line. Raises ValueError if they are not those of a mute."""
    fields = [field.strip() for field in next(csv.reader([text], strict=True))]
    if len(fields) != len(COLUMNS):
        raise ValueError(f"it has {len(fields)} fields in place of {len(COLUMNS)}")
    if not 0 < len(fields[0]) <= MAX_GLOB_CHARS:
        raise ValueError(f"Devices must have 1 to {MAX_GLOB_CHARS} characters")
    return fields
