"""The checks of the runs of a fleet: what they wait for, and what the newest run shows about its identity."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from fleetscore.doctor.cures import cure_in
from fleetscore.doctor.facts import Account, FleetFacts
from fleetscore.doctor.findings import Finding, Result, Unseen, named
from fleetscore.runs.state import condition, has_ended
from fleetscore.texts import printable

IDENTITY_REASONS = ("IdentityUnavailable", "StorageUnavailable", "ConfigurationInvalid")
"""Reasons of failed devices whose cause is the storage or the identity of the fleet."""

UNLIMITED_WAIT_REASONS = ("WaitingForSlots", "Throttled", "SuspendedByAnotherController")
"""Reasons of the condition Waiting that are not a problem, however long the run waits."""

MODEL_REASONS = ("DevicesWithoutModel", "InvalidNames")
MAX_WAIT = timedelta(minutes=15)
"""The time of waiting after which a person has to remove the cause: an autoscaler, a registry or a pod needs less."""

MAX_UNSEEN = timedelta(minutes=2)
"""The time after which a run must have a status: the operator lists all runs every minute."""


def check_runs(fleet: FleetFacts, now: datetime | None) -> Iterator[Finding]:
    """Yield the findings about the runs of a fleet in the namespace, and about the account of its pods.

    Args:
        fleet: The fleet.
        now: The time of the API server; None if it is unknown.
    """
    subject = f"fleet {fleet.layout.name}"
    yield from _check_account(fleet.account, subject)
    for run in fleet.active_runs:
        yield from _check_active(run, subject, now)
    if fleet.newest_run is not None:
        yield from _check_newest(fleet.newest_run, subject, now)


def _check_account(account: Account | Unseen | None, subject: str) -> Iterator[Finding]:
    if isinstance(account, Unseen):
        yield account.finding("identity", subject)
    elif account is not None and account.reason:
        yield Finding(Result.PROBLEM, "identity", subject, account.reason, account.cure)


def _check_active(run: Mapping[str, Any], subject: str, now: datetime | None) -> Iterator[Finding]:
    """Yield the finding about a run that has not ended, if it does not continue."""
    name, status = run["metadata"]["name"], run.get("status") or {}
    cure = f"`fleetscore status {name}` has the details"
    created = _age(run["metadata"].get("creationTimestamp"), now)
    if not status and created > MAX_UNSEEN:
        text = f"run {name} has no status after {created.total_seconds():,.0f} s: no operator handles it"
        yield Finding(Result.PROBLEM, "runs", subject, text, "see the findings about the operator, Lease and rights")
        return
    for type_ in ("Stalled", "Waiting"):
        if cause := condition(run, type_):
            reason = printable(cause.get("reason"))
            may_wait = type_ == "Waiting" and (
                reason in UNLIMITED_WAIT_REASONS or _age(cause.get("lastTransitionTime"), now) < MAX_WAIT
            )
            text = f"run {name} {'waits' if type_ == 'Waiting' else 'does not continue'}: {_cause(cause)}"
            check = "identity" if reason in IDENTITY_REASONS else "runs"
            result = Result.WARNING if may_wait else Result.PROBLEM
            yield Finding(result, check, subject, text, _cure(cause, cure))
            return


def _check_newest(run: Mapping[str, Any], subject: str, now: datetime | None) -> Iterator[Finding]:
    """Yield the findings about the newest run, which has used the fleet's own identity."""
    name, status = run["metadata"]["name"], run.get("status") or {}
    cure = f"`fleetscore status {name}` has the details"
    found = [] if has_ended(run) else list(_check_active(run, subject, now))
    reasons = [one for one in IDENTITY_REASONS if (status.get("failureReasons") or {}).get(one)]
    if reasons and not any(one.result is Result.PROBLEM for one in found):
        text = f"devices of run {name} failed because of {named(reasons)}: {_sample(status, reasons)}"
        found = [Finding(Result.PROBLEM, "identity", subject, text.rstrip(": "), cure_in(text, cure))]
    if not found and (failed := condition(run, "Failed")):
        text = f"the newest run {name} failed: {_cause(failed)}"
        found = [Finding(Result.WARNING, "runs", subject, text, _cure(failed, cure))]
    degraded = condition(run, "Degraded")
    if degraded.get("reason") in MODEL_REASONS:
        text = f"the newest run {name} is not complete: {_cause(degraded)}"
        step = "train these models, or rename the blobs"
        found.append(Finding(Result.WARNING, "models", subject, text, f"{step}; {cure}"))
    if reported := _failed_report(status):
        text = f"the report of run {name} failed: {reported}"
        step = "another run of its window makes it again, and scores only what is missing"
        found.append(Finding(Result.WARNING, "runs", subject, text, f"{step}; {cure}"))
    if not any(one.check == "identity" for one in found):
        text = f"the newest run {name} reached the storage" if has_ended(run) else f"run {name} has not ended"
        if not any(one.check == "runs" for one in found):
            found.append(Finding(Result.OK, "identity", subject, text))
    yield from found


def _cause(cause: Mapping[str, Any]) -> str:
    """Return the message of a condition, or its reason without one."""
    return printable(cause.get("message") or cause.get("reason"), max_chars=400)


def _cure(cause: Mapping[str, Any], otherwise: str) -> str:
    """Return the next step for a condition, by its message and its reason."""
    return cure_in(f"{printable(cause.get('message'))} {printable(cause.get('reason'))}", otherwise)


def _failed_report(status: Mapping[str, Any]) -> str:
    """Return the reason that the report failed; empty if it did not."""
    for one in status.get("conditions") or []:
        if one.get("type") == "Reported" and one.get("status") == "False" and one.get("reason") != "NothingToReport":
            return _cause(one)
    return ""


def _sample(status: Mapping[str, Any], reasons: list[str]) -> str:
    failures = status.get("failures") or []
    return next((printable(one.get("message"), max_chars=200) for one in failures if one.get("reason") in reasons), "")


def _age(time: object, now: datetime | None) -> timedelta:
    """Return the time since an instant; zero if either is unknown."""
    try:
        return now - datetime.fromisoformat(str(time)) if now and time else timedelta(0)
    except (ValueError, TypeError):
        return timedelta(0)
