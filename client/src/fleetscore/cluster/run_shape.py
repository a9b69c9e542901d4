"""The check of a run: a CRD of another version may admit fields of other types than this client reads."""

from collections.abc import Mapping
from typing import Any

from fleetscore.errors import DataInvalid
from fleetscore.texts import printable

_TEXTS = {"*": str}
_NUMBERS = {"*": int}
_STATUS = {
    **dict.fromkeys(("phase", "message", "window", "duration"), str),
    **dict.fromkeys(("startTime", "firstPodTime", "lastProgressTime", "completionTime"), str),
    **dict.fromkeys(("devices", "results", "failureReasons"), _NUMBERS),
    "failures": [_TEXTS],
    "conditions": [dict.fromkeys(("type", "status", "reason", "message", "lastTransitionTime"), str)],
    "report": {"path": str, "url": str},
}
_SPEC = {
    "window": {"start": str, "end": str},
    "fleet": str,
    "devices": {"include": [str], "ids": [str], "retryOf": {"name": str, "outcomes": [str]}},
    "tags": [str],
}
_RUN = {"metadata": {"name": str, "creationTimestamp": str}, "spec": _SPEC, "status": _STATUS}
"""A type, or the shape of the values of an object by key (`*` for each key), or that of the items of a list."""


def checked_run(run: dict[str, Any]) -> dict[str, Any]:
    """Return a run without the fields of spec and status that are null, which are missing ones for Kubernetes.

    Args:
        run: The run as JSON, with metadata.

    Raises:
        DataInvalid: A field that the client reads has another type, or the run has no window.
    """
    for part in ("spec", "status"):
        if part in run:
            run[part] = _without_nulls(run[part]) or {}
    fault = _fault(run, _RUN)
    if not fault and not {"start", "end"} <= run.get("spec", {}).get("window", {}).keys():
        fault = "spec.window"
    if not fault:
        return run
    name = printable(run["metadata"].get("name"), max_chars=100)
    text = f"run {name} is invalid: its {fault} is missing or has another type than in this version of Fleetscore"
    raise DataInvalid(f"{text}; delete it, or check the CRD with `fleetscore doctor`")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value if one is not None] if isinstance(value, list) else value


def _fault(value: object, shape: Any, path: str = "") -> str:
    """Return the path of the first field that has another type; empty if there is none."""
    if isinstance(shape, type):
        return "" if isinstance(value, shape) else path
    if isinstance(shape, list):
        if not isinstance(value, list):
            return path
        return next(filter(None, (_fault(one, shape[0], path) for one in value)), "")
    if not isinstance(value, Mapping):
        return path
    kinds = {key: shape.get(key, shape.get("*", object)) for key in value}
    return next(filter(None, (_fault(one, kinds[key], f"{path}.{key}".lstrip(".")) for key, one in value.items())), "")
