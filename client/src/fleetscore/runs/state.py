"""The state of a run, from the JSON of a ScoringRun: its counts, its end, and the cause that delays it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fleetscore.contract.windows import Window
from fleetscore.errors import UsageInvalid
from fleetscore.texts import printable

_DONE = re.compile(r"\d+ of \d+ devices? done")
OUTCOMES = ("scored", "alreadyScored", "partial", "empty", "failed", "notRun", "quarantined")
OUTCOMES_TO_RETRY = ("partial", "failed", "notRun")
"""The default of `spec.devices.retryOf.outcomes`; a device in quarantine is not among them."""

MAX_FAILURES_SHOWN = 5
NOT_SEEN = "not seen by the operator yet"


def has_ended(run: Mapping[str, Any]) -> bool:
    """Return True if a run is Complete or Failed; neither reverts."""
    return bool(condition(run, "Complete") or condition(run, "Failed"))


def is_complete(run: Mapping[str, Any]) -> bool:
    """Return True if a run has ended as Complete."""
    return bool(condition(run, "Complete"))


def condition(run: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    """Return the condition of a type if its status is True; otherwise an empty mapping."""
    found = _status(run).get("conditions") or []
    return next((one for one in found if one.get("type") == type_ and one.get("status") == "True"), {})


def devices_done(run: Mapping[str, Any]) -> int:
    """Return the number of devices with an outcome."""
    devices = _status(run).get("devices") or {}
    return sum(devices.get(outcome, 0) for outcome in OUTCOMES)


def devices_total(run: Mapping[str, Any]) -> int:
    """Return the number of devices of a run; 0 before the operator has listed them."""
    return int((_status(run).get("devices") or {}).get("total", 0))


def delay(run: Mapping[str, Any]) -> str:
    """Return the cause that delays a run, as one line; an empty text if there is none.

    The conditions Stalled and Waiting have the cause, and the message of a queued or suspended run.
    """
    if has_ended(run):
        return ""
    cause = condition(run, "Stalled") or condition(run, "Waiting")
    if cause:
        return printable(cause.get("message") or cause.get("reason"))
    phase = _status(run).get("phase")
    if phase == "Suspended":
        return "; ".join(filter(None, (remark(run), f"{next_step(run)} continues it")))
    return printable(_status(run).get("message")) if phase == "Queued" else ""


def remark(run: Mapping[str, Any]) -> str:
    """Return the message of a run without its count of devices, which the other lines about the run have."""
    parts = printable(_status(run).get("message")).split("; ")
    return "; ".join(part for part in parts if not _DONE.fullmatch(part))


def window_text(run: Mapping[str, Any]) -> str:
    """Return the window of a run, such as 2018-08-28T23:00Z/1h, also before the operator has written a status."""
    if found := _status(run).get("window"):
        return printable(found)
    try:
        return Window.parse("{start}/{end}".format(**run["spec"]["window"])).column
    except (KeyError, TypeError, UsageInvalid):
        return ""


def canary(run: Mapping[str, Any]) -> str:
    """Return the state of a run's canary, such as `canary: 2 of 3 Jobs ended`; an empty text without one."""
    parts = printable(_status(run).get("message")).split("; ")
    return next((part for part in parts if part.startswith("canary: ")), "")


def progress_line(run: Mapping[str, Any]) -> str:
    """Return a run's state in a line, such as `demo: Running, 7 of 12 devices done, 4 active, 1 failed`."""
    devices = _status(run).get("devices") or {}
    text = f"{run['metadata']['name']}: {printable(_status(run).get('phase', NOT_SEEN))}"
    if devices.get("total"):
        text += f", {devices_done(run)} of {devices['total']} devices done, {devices.get('active', 0)} active"
        text += f", {devices['failed']} failed" if devices.get("failed") else ""
    return text


def describe(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about one run."""
    status = _status(run)
    devices = status.get("devices") or {}
    phase = status.get("phase", "no operator has handled it yet")
    yield f"{run['metadata']['name']}  {window_text(run)}  {printable(phase)}"
    if devices.get("total"):
        counts = [f"{devices[outcome]} {outcome}" for outcome in OUTCOMES if devices.get(outcome)]
        yield f"  {devices_done(run)} of {devices['total']} devices done: {', '.join(counts) or 'none'}"
        anomalies = (status.get("results") or {}).get("anomalies", 0)
        yield f"  {anomalies} {'anomaly' if anomalies == 1 else 'anomalies'}"
    if text := remark(run) if devices.get("total") else printable(status.get("message")):
        yield f"  {text}"
    for failure in (status.get("failures") or [])[:MAX_FAILURES_SHOWN]:
        yield "  " + ": ".join(printable(failure.get(key)) for key in ("device", "reason", "message"))
    if step := next_step(run):
        yield f"  next: {step}"


def to_retry(run: Mapping[str, Any], outcomes: Iterable[str] = OUTCOMES_TO_RETRY) -> int:
    """Return the number of devices that a retry of a run scores again."""
    devices = _status(run).get("devices") or {}
    return sum(int(devices.get(outcome) or 0) for outcome in outcomes)


def next_step(run: Mapping[str, Any]) -> str:
    """Return the command that continues a suspended run, or that retries devices of an ended one; empty without one."""
    name = run["metadata"]["name"]
    if has_ended(run):
        return f"`fleetscore retry {name}`" if to_retry(run) else ""
    return f"`fleetscore resume {name}`" if _status(run).get("phase") == "Suspended" else ""


def _status(run: Mapping[str, Any]) -> Mapping[str, Any]:
    return run.get("status") or {}
