"""Which device a blob belongs to: the reverse of the rule by which the scorer names blobs. Pure.

A device id stands in exactly one path segment. `A-Z a-z 0-9 - _` and '.' stand for themselves, all else is
percent-encoded UTF-8 with upper-case hex, and so are the dots of an id that has nothing else and a '_' at its
beginning, which marks what belongs to no device (`_runs`, `_SUCCESS`). A segment that this rule would not have written
denotes no device. The scorer has its own copy; the contract tests hold both to one table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import ConfigurationInvalid

DEVICE_ID = re.compile(r"[A-Za-z0-9\-.%_#*?!(),:=@$']{1,128}")
"""What IoT Hub allows as a device id."""
_UNESCAPED_ID = re.compile(r"[A-Za-z0-9\-][A-Za-z0-9\-_.]{0,127}")  # ids that are written as they are


def encode_id(device: str) -> str:
    """Write an id as one path segment."""
    if not device.strip("."):
        return "%2E" * len(device)
    text = quote(device, safe="").replace("~", "%7E")
    return "%5F" + text[1:] if text.startswith("_") else text


def decode_id(text: str) -> str | None:
    """Read a path segment; None where it denotes no device."""
    if _UNESCAPED_ID.fullmatch(text):
        return text
    try:
        device = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return None
    return device if DEVICE_ID.fullmatch(device) and encode_id(device) == text else None


@dataclass(frozen=True)
class PathPattern:
    """Where the blobs of all devices lie: what stands before and after the device's segment."""

    prefix: str
    suffix: str

    def device_id(self, blob: str) -> str | None:
        """Give the device of a blob's name; None where it denotes none."""
        end = len(blob) - len(self.suffix)
        if end < len(self.prefix) or not blob.startswith(self.prefix) or not blob.endswith(self.suffix):
            return None
        return decode_id(blob[len(self.prefix) : end])


def compile_pattern(template: str, values: Mapping[str, str] | None = None) -> PathPattern:
    """Fill in a path template of a fleet, all but the device.

    Args:
        template: Such as "{window}/{device}.csv".
        values: What the other placeholders stand for.

    Raises:
        ConfigurationInvalid: The template has no device, more than one, or a placeholder that stands for nothing here.
    """
    parts = template.split("{device}")
    filled = [re.sub(r"\{(\w+)\}", lambda match: (values or {}).get(match[1], match[0]), part) for part in parts]
    if len(parts) != 2 or any(brace in part for part in filled for brace in "{}"):
        raise ConfigurationInvalid(
            f"path template {template!r} of the fleet cannot be used: mend it in the chart's values"
        )
    return PathPattern(*filled)


def window_slug(window: Window) -> str:
    """Write a window as blob names have it: 20180828T230000Z_20180829T000000Z."""
    return "_".join(f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}" for moment in (window.start, window.end))


def data_patterns(template: str, partition: timedelta, window: Window) -> list[PathPattern]:
    """Give the places of the readings of every partition that overlaps the window; partitions count from the epoch."""
    step = int(partition.total_seconds())
    first = int(window.start.timestamp()) // step * step
    starts = (datetime.fromtimestamp(at, UTC) for at in range(first, int(window.end.timestamp()), step))
    return list(dict.fromkeys(compile_pattern(template, _time_placeholders(start)) for start in starts))


def _time_placeholders(start: datetime) -> dict[str, str]:
    return {
        "yyyy": f"{start.year:04d}",
        "MM": f"{start:%m}",
        "dd": f"{start:%d}",
        "HH": f"{start:%H}",
        "mm": f"{start:%M}",
    }


FAILURES_FILE = "_failures.csv"
MAX_FAILURES_BYTES = 32 * 1024 * 1024  # 100,000 devices with a message of 250 bytes each
