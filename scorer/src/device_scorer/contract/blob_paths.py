"""Blob names: ids become exactly one path segment each, and come back from it. Pure.

A segment keeps `A-Z a-z 0-9 - _` and '.', except that an id of dots alone has its dots encoded, and a leading '_' is;
everything else is percent-encoded UTF-8 with upper-case hex. So '.', '..' and '/' never arise from an id, and names
that begin with '_' (`_runs`, `_SUCCESS`, the report's files) belong to no device. The operator holds its own copy of
this rule; the contract tests hold both to one table.
"""

import re
from datetime import datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from device_scorer.errors import UsageInvalid
from device_scorer.window import Window

DEVICE_ID_PATTERN = re.compile(r"[A-Za-z0-9\-.%_#*?!(),:=@$']{1,128}")
"""What IoT Hub allows as a device id."""

_PLACEHOLDER_PATTERN = re.compile(r"\{(\w*)\}")
_TIME_FORMATS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M"}
_RUN_PART_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
DATA_PLACEHOLDERS = frozenset({"device", *_TIME_FORMATS})
MODELS_PLACEHOLDERS = frozenset({"device"})
PREDICTIONS_PLACEHOLDERS = frozenset({"device", "window"})


def encode_id(id_: str) -> str:
    """Percent-encode an id into exactly one path segment."""
    if not id_.strip("."):
        return "%2E" * len(id_)
    text = quote(id_, safe="").replace("~", "%7E")
    return "%5F" + text[1:] if text.startswith("_") else text


def decode_id(segment: str) -> str | None:
    """Decode a segment; None where the rule above would not have written it so."""
    try:
        decoded = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return None
    return decoded if decoded and encode_id(decoded) == segment else None


def validate_template(template: str, allowed: frozenset[str], *, required: frozenset[str] = frozenset()) -> str:
    """Return a path template whose placeholders are all allowed and which has the required ones; or UsageInvalid."""
    found = set(_PLACEHOLDER_PATTERN.findall(template))
    literal = _PLACEHOLDER_PATTERN.sub("x", template)
    broken = "{" in literal or "}" in literal or template.count("{device}") > 1
    if broken or not required <= found <= allowed:
        allowed_text = " ".join(f"{{{name}}}" for name in sorted(allowed))
        required_text = " ".join(f"{{{name}}}" for name in sorted(required)) or "none"
        raise UsageInvalid(
            f"path template {template!r}: placeholders may be {allowed_text}, {{device}} once; needed: {required_text}"
        )
    if any(part in ("", ".", "..") for part in literal.split("/")):
        raise UsageInvalid(f"path template {template!r} has an empty, '.' or '..' segment")
    return template


def model_name(template: str, device: str) -> str:
    """Name of a device's model bundle."""
    return _render(template, {"device": encode_id(device)})


def data_name(template: str, start: datetime, device: str) -> str:
    """Name of the device's readings in the partition that begins at `start` (UTC)."""
    times = {name: start.strftime(form) for name, form in _TIME_FORMATS.items()}
    times["yyyy"] = f"{start.year:04d}"
    return _render(template, {**times, "device": encode_id(device)})


def data_names(template: str, partition: timedelta, window: Window, device: str) -> list[str]:
    """Names of all partitions of a device's readings that overlap the window, in order, each once."""
    return list(dict.fromkeys(data_name(template, start, device) for start in window.partitions(partition)))


def prediction_name(template: str, window: Window, device: str) -> str:
    """Name of a device's predictions for a window."""
    return _render(template, {"window": window.slug, "device": encode_id(device)})


def outcome_name(run_uid: str, job_name: str) -> str:
    """Name of a Job's outcome record. Raises UsageInvalid for what no run uid or Job is called."""
    return f"{outcome_prefix(run_uid)}{_validate_run_part(job_name)}.json"


def outcome_prefix(run_uid: str) -> str:
    """What the names of all outcome records of a run begin with. Raises UsageInvalid for what no run uid is."""
    return f"_runs/{_validate_run_part(run_uid)}/"


def _validate_run_part(text: str) -> str:
    if not _RUN_PART_PATTERN.fullmatch(text):
        raise UsageInvalid(f"{text!r} is neither a run uid nor a Job name")
    return text


def device_from_name(template: str, name: str) -> str | None:
    """The device whose blob this is under the template; None where the name does not fit or cannot be read."""
    groups = {"device": "(?P<device>[^/]+)", "window": "[^/]+"}
    pattern = "".join(
        groups.get(part, r"\d+") if index % 2 else re.escape(part)
        for index, part in enumerate(_PLACEHOLDER_PATTERN.split(template))
    )
    match = re.fullmatch(pattern, name)
    return decode_id(match["device"]) if match and "device" in match.groupdict() else None


def _render(template: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER_PATTERN.sub(lambda match: values[match[1]], template)
