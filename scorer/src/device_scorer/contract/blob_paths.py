"""Names of blobs. An id becomes exactly one path segment and can be decoded from the segment.

A segment keeps `A-Z a-z 0-9 - _` and '.'. Everything else is percent-encoded UTF-8 with upper-case hex digits. Two
more cases are encoded: the dots of an id that has only dots, and a leading '_'. So an id never becomes '.', '..' or
'/'. Names that begin with '_' (`_runs`, `_SUCCESS`, the files of the report) never belong to a device. The operator has
its own copy of this rule, and the contract tests compare both.
"""

import re
from datetime import datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from device_scorer.errors import UsageInvalid
from device_scorer.window import Window

DEVICE_ID_PATTERN = re.compile(r"[A-Za-z0-9\-.%_#*?!(),:=@$']{1,128}")
"""The device ids that Azure IoT Hub allows (IoT Hub documentation, "Device identity properties")."""

DEVICE_ID_RULE = "1 to 128 of A-Za-z0-9-.%_#*?!(),:=@$'"
"""The text of the pattern, for messages."""

_PLACEHOLDER_PATTERN = re.compile(r"\{(\w*)\}")
_TIME_FORMATS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M"}
_RUN_PART_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
DATA_PLACEHOLDERS = frozenset({"device", *_TIME_FORMATS})
MODELS_PLACEHOLDERS = frozenset({"device"})
PREDICTIONS_PLACEHOLDERS = frozenset({"device", "window"})


def encode_id(id_: str) -> str:
    """Return the path segment of an id.

    Args:
        id_: The id, not empty.
    """
    if not id_.strip("."):
        return "%2E" * len(id_)
    text = quote(id_, safe="").replace("~", "%7E")
    return "%5F" + text[1:] if text.startswith("_") else text


def decode_id(segment: str) -> str | None:
    """Return the id of a segment, or None if `encode_id` does not write such a segment.

    Args:
        segment: A path segment.
    """
    try:
        decoded = unquote_to_bytes(segment).decode()
    except UnicodeError:  # a file name that is not UTF-8 is a segment with surrogates
        return None
    return decoded if decoded and encode_id(decoded) == segment else None


def decode_device(segment: str) -> str | None:
    """Return the device id of a segment, or None if it is not the segment of an id that a device may have."""
    device = decode_id(segment)
    return device if device is not None and DEVICE_ID_PATTERN.fullmatch(device) else None


def validate_template(template: str, allowed: frozenset[str], *, required: frozenset[str] = frozenset()) -> str:
    """Return the template unchanged if it is valid.

    Args:
        template: The path template, such as {window}/{device}.csv.
        allowed: The names of the allowed placeholders.
        required: The names of the placeholders that the template must have.

    Raises:
        UsageInvalid: A placeholder is unknown, missing or malformed, or a segment is empty, '.' or '..'.
    """
    found = set(_PLACEHOLDER_PATTERN.findall(template))
    literal = _PLACEHOLDER_PATTERN.sub("x", template)
    broken = "{" in literal or "}" in literal or template.count("{device}") > 1
    if broken or not required <= found <= allowed:
        allowed_text = " ".join(f"{{{name}}}" for name in sorted(allowed))
        required_text = " ".join(f"{{{name}}}" for name in sorted(required)) or "none"
        raise UsageInvalid(
            f"path template {template!r} is invalid: use only the placeholders {allowed_text} ({{device}} once); "
            f"required: {required_text}"
        )
    if any(part in ("", ".", "..") for part in literal.split("/")):
        raise UsageInvalid(f"path template {template!r} is invalid: it has a segment that is empty, '.' or '..'")
    return template


def model_name(template: str, device: str) -> str:
    """Return the name of a device's model bundle.

    Args:
        template: The fleet's models path.
        device: The device's id.
    """
    return _render(template, {"device": encode_id(device)})


def data_name(template: str, start: datetime, device: str) -> str:
    """Return the name of a device's readings in one partition.

    Args:
        template: The fleet's data path.
        start: The start of the partition, in UTC.
        device: The device's id.
    """
    times = {name: start.strftime(form) for name, form in _TIME_FORMATS.items()}
    times["yyyy"] = f"{start.year:04d}"
    return _render(template, {**times, "device": encode_id(device)})


def data_names(template: str, partition: timedelta, window: Window, device: str) -> list[str]:
    """Return the names of a device's readings in all partitions that overlap the window, in order, without duplicates.

    Args:
        template: The fleet's data path.
        partition: The length of a partition.
        window: The window.
        device: The device's id.
    """
    return list(dict.fromkeys(data_name(template, start, device) for start in window.partitions(partition)))


def prediction_name(template: str, window: Window, device: str) -> str:
    """Return the name of a device's predictions for a window.

    Args:
        template: The fleet's predictions path.
        window: The window.
        device: The device's id.
    """
    return _render(template, {"window": window.slug, "device": encode_id(device)})


def outcome_name(run_uid: str, job_name: str) -> str:
    """Return the name of a Job's outcome record.

    Args:
        run_uid: The uid of the ScoringRun.
        job_name: The name of the Job.

    Raises:
        UsageInvalid: An argument is not a valid uid or name.
    """
    return f"{outcome_prefix(run_uid)}{_validate_run_part(job_name)}.json"


def outcome_prefix(run_uid: str) -> str:
    """Return the prefix of the names of all outcome records of a run.

    Args:
        run_uid: The uid of the ScoringRun.

    Raises:
        UsageInvalid: The argument is not a valid uid.
    """
    return f"_runs/{_validate_run_part(run_uid)}/"


def _validate_run_part(text: str) -> str:
    if not _RUN_PART_PATTERN.fullmatch(text):
        raise UsageInvalid(f"{text!r} is invalid: a run uid or Job name must have letters, digits, dashes and dots")
    return text


def device_from_name(template: str, name: str) -> str | None:
    """Return the id of the device that a blob belongs to, or None if the name does not match the template.

    Args:
        template: The path template of the container.
        name: The name of the blob.
    """
    groups = {"device": "(?P<device>[^/]+)", "window": "[^/]+"}
    pattern = "".join(
        groups.get(part, r"\d+") if index % 2 else re.escape(part)
        for index, part in enumerate(_PLACEHOLDER_PATTERN.split(template))
    )
    match = re.fullmatch(pattern, name)
    return decode_device(match["device"]) if match and "device" in match.groupdict() else None


def _render(template: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER_PATTERN.sub(lambda match: values[match[1]], template)
