"""Names of blobs: the rule by which the scorer writes them.

A device id is exactly one path segment. `A-Z a-z 0-9 - _ .` are not encoded; all other characters are percent-encoded
UTF-8 with upper-case hex digits (RFC 3986, section 2.1). The dots of an id of dots alone and a leading '_' are encoded,
too. So the names that begin with '_' never belong to a device.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from fleetscore.contract.windows import Window
from fleetscore.errors import UsageInvalid

SUMMARY_FILE = "_summary.json"
FAILURES_FILE = "_failures.csv"
EMPTY_FILE = "_empty.csv"
ANOMALIES_FILE = "_anomalies.csv"
SENSORS_FILE = "_sensors.csv"
INCIDENTS_FILE = "_incidents.csv"
REPORT_FILE = "report.html"
MUTES_FILE = "_mutes.csv"
MAX_PARTITIONS = 10_000
"""Partitions of a window above which it is rejected: each costs a request to storage."""

HISTORY_PREFIX = "_history/"

DEVICE_ID_PATTERN = re.compile(r"[A-Za-z0-9\-.%_#*?!(),:=@$']{1,128}")  # the ids that Azure IoT Hub allows
_PLACEHOLDER_PATTERN = re.compile(r"\{(\w*)\}")
_TIME_FORMATS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M"}


def encode_id(device: str) -> str:
    """Return a device id as one path segment.

    Raises:
        UsageInvalid: The id is empty or not a Unicode text.
    """
    if not isinstance(device, str) or not device:
        raise UsageInvalid(f"device id {device!r} is invalid: it must be a text that is not empty; correct it")
    if not device.strip("."):
        return "%2E" * len(device)
    try:
        text = quote(device, safe="").replace("~", "%7E")
    except UnicodeEncodeError as error:
        raise UsageInvalid(f"device id {device!r} is invalid: it is not Unicode; correct it") from error
    return "%5F" + text[1:] if text.startswith("_") else text


def decode_id(segment: str) -> str | None:
    """Return the device id of a path segment; None if the segment is not a device."""
    try:
        device = unquote_to_bytes(segment).decode()
    except UnicodeError:  # a file name that is not UTF-8 is a segment with surrogates
        return None
    return device if device and encode_id(device) == segment else None


def model_name(template: str, device: str) -> str:
    """Return the name of a device's model bundle; `template` is the fleet's path of models."""
    return _render(template, {"device": encode_id(device)})


def data_names(template: str, partition: timedelta, window: Window, device: str) -> list[str]:
    """Return the names of a device's readings in all partitions that overlap a window, in order.

    Args:
        template: The fleet's path of readings.
        partition: The length of a partition; partitions are aligned to the Unix epoch.
        window: The window.
        device: The device's id.

    Raises:
        UsageInvalid: The window has more than MAX_PARTITIONS partitions.
    """
    step = int(partition.total_seconds())
    first = int(window.start.timestamp()) // step * step
    count = (int(window.end.timestamp()) - first) // step
    if count > MAX_PARTITIONS:
        text = f"{window.column} has {count:,} partitions of readings, more than {MAX_PARTITIONS:,}"
        raise UsageInvalid(f"{text}; name a shorter window")
    starts = (datetime.fromtimestamp(at, UTC) for at in range(first, int(window.end.timestamp()), step))
    names = []
    for start in starts:
        times = {key: start.strftime(form) for key, form in _TIME_FORMATS.items()} | {"yyyy": f"{start.year:04d}"}
        names.append(_render(template, {**times, "device": encode_id(device)}))
    return list(dict.fromkeys(names))


def prediction_name(template: str, window: Window, device: str) -> str:
    """Return the name of a device's predictions for a window; `template` is the fleet's path of predictions."""
    return _render(template, {"window": window.slug, "device": encode_id(device)})


def prediction_prefix(template: str, window: Window) -> str:
    """Return the longest prefix that the names of all predictions of a window have."""
    return template.partition("{device}")[0].replace("{window}", window.slug)


def device_from_name(template: str, name: str) -> str | None:
    """Return the device that a blob belongs to; None if the name does not match the template."""
    groups = {"device": "(?P<device>[^/]+)", "window": "[^/]+"}
    pattern = "".join(
        groups.get(part, r"\d+") if index % 2 else re.escape(part)
        for index, part in enumerate(_PLACEHOLDER_PATTERN.split(template))
    )
    match = re.fullmatch(pattern, name)
    device = decode_id(match["device"]) if match and "device" in match.groupdict() else None
    return device if device is not None and DEVICE_ID_PATTERN.fullmatch(device) else None


def report_name(window: Window, file: str) -> str:
    """Return the name of a file of a window's report, such as _summary.json."""
    return f"{window.slug}/{file}"


def _render(template: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER_PATTERN.sub(lambda match: values[match[1]], template)
