"""Names of blobs: the rule by which the scorer writes them and the operator reads them.

A device id is exactly one path segment. The characters `A-Z a-z 0-9 - _ .` are not encoded. All others are
percent-encoded as UTF-8 with upper-case hexadecimal digits (RFC 3986, section 2.1). There are two exceptions. The dots
of an id of dots alone are encoded, because "." and ".." are relative segments. A leading "_" is encoded, because
`_runs` and `_SUCCESS` do not belong to a device. A segment that this rule does not produce is not a device.

The scorer implements the rule in device_scorer.contract.blob_paths; tests/contract compares the two.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from scoring_operator.api.scoringrun import Window
from scoring_operator.errors import ConfigurationInvalid

DEVICE_ID_PATTERN = re.compile(r"[A-Za-z0-9\-.%_#*?!(),:=@$']{1,128}")
"""The device ids that Azure IoT Hub allows."""

FAILURES_FILE = "_failures.csv"
REPORT_FILE = "report.html"
MAX_PARTITIONS = 50_000
"""Partitions of a window above which its readings are not listed: each one is a request to storage."""

MAX_FAILURES_BYTES = 32 * 1024 * 1024  # 100,000 devices with a message of 250 bytes each

_UNESCAPED_ID_PATTERN = re.compile(r"[A-Za-z0-9\-][A-Za-z0-9\-_.]{0,127}")  # encode_id returns these unchanged


def encode_id(device: str) -> str:
    """Return a device id as one path segment."""
    if not device.strip("."):
        return "%2E" * len(device)
    text = quote(device, safe="").replace("~", "%7E")
    return "%5F" + text[1:] if text.startswith("_") else text


def decode_id(segment: str) -> str | None:
    """Return the device id of a path segment; None if the segment is not a device."""
    if _UNESCAPED_ID_PATTERN.fullmatch(segment):
        return segment
    try:
        device = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return None
    return device if DEVICE_ID_PATTERN.fullmatch(device) and encode_id(device) == segment else None


@dataclass(frozen=True)
class PathPattern:
    """The part of a blob's name before the device's segment, and the part after the segment."""

    prefix: str
    suffix: str

    def device_id(self, blob: str) -> str | None:
        """Return the device of a blob's name; None if the name does not match."""
        end = len(blob) - len(self.suffix)
        if end < len(self.prefix) or not blob.startswith(self.prefix) or not blob.endswith(self.suffix):
            return None
        return decode_id(blob[len(self.prefix) : end])


def compile_pattern(template: str, values: Mapping[str, str] | None = None) -> PathPattern:
    """Fill in a path template of a fleet, except the device.

    Args:
        template: A path template, such as "{window}/{device}.csv".
        values: The values of the other placeholders.

    Raises:
        ConfigurationInvalid: The template has no device, more than one, or a placeholder without a value.
    """
    parts = template.split("{device}")
    filled = [re.sub(r"\{(\w+)\}", lambda match: (values or {}).get(match[1], match[0]), part) for part in parts]
    if len(parts) != 2 or any(brace in part for part in filled for brace in "{}"):
        raise ConfigurationInvalid(
            f"the fleet's path template {template!r} is invalid: it must have {{device}} once and no unknown "
            "placeholder; fix it in the chart's values"
        )
    return PathPattern(*filled)


def data_patterns(template: str, partition: timedelta, window: Window) -> list[PathPattern]:
    """Return the patterns of the readings in every partition that overlaps the window, each once.

    Args:
        template: The path template of readings.
        partition: The length of a partition; partitions are counted from 1970-01-01T00:00:00Z.
        window: The window.

    Raises:
        ConfigurationInvalid: The template is invalid, or the window has more than MAX_PARTITIONS.
    """
    step = int(partition.total_seconds())
    first = int(window.start.timestamp()) // step * step
    seconds = range(first, int(window.end.timestamp()), step)
    if len(seconds) > MAX_PARTITIONS:
        text = (
            f"the window has {len(seconds):,} partitions of {step:,} seconds, and at most {MAX_PARTITIONS:,} are listed"
        )
        raise ConfigurationInvalid(f"{text}; create runs of shorter windows")
    starts = (datetime.fromtimestamp(at, UTC) for at in seconds)
    return list(dict.fromkeys(compile_pattern(template, _time_placeholders(start)) for start in starts))


def _time_placeholders(start: datetime) -> dict[str, str]:
    return {
        "yyyy": f"{start.year:04d}",
        "MM": f"{start:%m}",
        "dd": f"{start:%d}",
        "HH": f"{start:%H}",
        "mm": f"{start:%M}",
    }


def prediction_pattern(template: str, window: Window) -> PathPattern:
    """Return the pattern of a window's predictions.

    Raises:
        ConfigurationInvalid: The template is invalid.
    """
    return compile_pattern(template, {"window": window.slug})


def outcome_record_name(run_uid: str, job_name: str) -> str:
    """Return the name of a Job's outcome record, in the container of predictions."""
    return f"_runs/{run_uid}/{job_name}.json"


def failures_name(window: Window) -> str:
    """Return the name of the list of failed devices that a window's report has, in the container of predictions."""
    return f"{window.slug}/{FAILURES_FILE}"


def report_name(window: Window) -> str:
    """Return the name of a window's report, in the container of predictions."""
    return f"{window.slug}/{REPORT_FILE}"
