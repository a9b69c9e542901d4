"""The checks of fleets and schedules: storage, identity, Secrets, models, notices and windows. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleetscore.contract.windows import format_time
from fleetscore.doctor.facts import Facts, Fleet, Models, Notices, ScheduleFacts, SecretState
from fleetscore.doctor.findings import Finding, Result, Unseen, named
from fleetscore.runs.state import condition, has_ended, printable

IDENTITY_REASONS = ("IdentityUnavailable", "StorageUnavailable", "ConfigurationInvalid")
"""Reasons of failed devices whose cause is the storage or the identity of the fleet."""


def check_fleets(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the fleets of the release."""
    if isinstance(facts.fleets, Unseen):
        yield facts.fleets.finding("fleets", "the release")
        return
    if not facts.fleets:
        text = f"no fleet serves namespace {facts.namespace}"
        cure = f"add a fleet to the chart's values, with {facts.namespace} in its namespaces"
        yield Finding(Result.PROBLEM, "fleets", "the release", text, cure)
    for fleet in facts.fleets:
        yield from _check_secrets(fleet)
        yield from _check_storage(fleet)
        yield from _check_identity(fleet)
        yield from _check_models(fleet)
        yield from _check_notices(fleet)


def check_schedules(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the schedules."""
    if isinstance(facts.schedules, Unseen):
        yield facts.schedules.finding("schedules", f"namespace {facts.namespace}")
        return
    if not facts.schedules:
        text = f"namespace {facts.namespace} has no schedules"
        yield Finding(Result.OK, "schedules", f"namespace {facts.namespace}", text)
    for schedule in facts.schedules:
        yield _check_schedule(schedule)
        yield from _check_rights(schedule)


def _check_secrets(fleet: Fleet) -> Iterator[Finding]:
    subject = f"fleet {fleet.layout.name}"
    for one, state in sorted(fleet.secrets.items()):
        command = f"`kubectl -n {one.namespace} create secret generic {one.name} --from-file={one.key}=FILE`"
        if isinstance(state, Unseen):
            yield state.finding("secrets", f"{subject}: Secret {one.name}")
        elif state is SecretState.MISSING:
            text = f"Secret {one.name} does not exist in namespace {one.namespace}"
            yield Finding(Result.PROBLEM, "secrets", subject, text, command)
        elif state is SecretState.WITHOUT_KEY:
            text = f"Secret {one.name} in namespace {one.namespace} has no key {one.key}"
            yield Finding(Result.PROBLEM, "secrets", subject, text, f"add the key, or name another; {command} makes it")
    if fleet.secrets and all(state is SecretState.PRESENT for state in fleet.secrets.values()):
        names = named(sorted({one.name for one in fleet.secrets}))
        yield Finding(Result.OK, "secrets", subject, f"the fleet's Secrets exist: {names}")


def _check_storage(fleet: Fleet) -> Iterator[Finding]:
    subject = f"fleet {fleet.layout.name}"
    failures: dict[Finding, None] = {}  # a wrong key has the same finding for every container
    for access in fleet.containers.values():
        if access.reason:
            result = Result.UNKNOWN if isinstance(access, Unseen) else Result.PROBLEM
            failures[Finding(result, "storage", subject, access.reason, access.cure)] = None
    yield from failures
    if fleet.containers and not failures:
        text = f"the containers {named(fleet.layout.containers[role] for role in fleet.containers)} can be read"
        yield Finding(Result.OK, "storage", subject, text)


def _check_identity(fleet: Fleet) -> Iterator[Finding]:
    """Yield the finding about the fleet's own identity, which the newest run of the namespace has used."""
    run, subject = fleet.newest_run, f"fleet {fleet.layout.name}"
    if run is None:
        return
    name, status = run["metadata"]["name"], run.get("status") or {}
    cure = f"`fleetscore status {name}` has the details"
    reasons = [one for one in IDENTITY_REASONS if (status.get("failureReasons") or {}).get(one)]
    if (stalled := condition(run, "Stalled")) and not has_ended(run):
        text = f"run {name} does not continue: {printable(stalled.get('message') or stalled.get('reason'))}"
        yield Finding(Result.PROBLEM, "identity", subject, text, cure)
    elif reasons:
        text = f"devices of run {name} failed because of {named(reasons)}: {_sample(status, reasons)}"
        yield Finding(Result.PROBLEM, "identity", subject, text.rstrip(": "), cure)
    elif waiting := condition(run, "Waiting"):
        text = f"run {name} waits: {printable(waiting.get('message') or waiting.get('reason'))}"
        yield Finding(Result.WARNING, "identity", subject, text, cure)
    elif failed := condition(run, "Failed"):
        text = f"the newest run {name} failed: {printable(failed.get('message') or failed.get('reason'))}"
        yield Finding(Result.WARNING, "identity", subject, text, cure)
    else:
        text = f"the newest run {name} reached the storage" if has_ended(run) else f"run {name} has not ended"
        yield Finding(Result.OK, "identity", subject, text)


def _sample(status: Mapping[str, Any], reasons: list[str]) -> str:
    failures = status.get("failures") or []
    return next((printable(one.get("message"), max_chars=200) for one in failures if one.get("reason") in reasons), "")


def _check_models(fleet: Fleet) -> Iterator[Finding]:
    models, subject = fleet.models, f"fleet {fleet.layout.name}"
    if models is None:
        return
    if models.devices:
        yield Finding(Result.OK, "models", subject, f"{_count(models)} devices have a model")
        return
    container, path = fleet.layout.containers["models"], fleet.layout.models_path
    if models.others:
        text = f"no blob of container {container} matches {path}; there are {named(map(printable, models.others))}"
        cure = "set models.path of the fleet in the chart's values, or rename the blobs"
    else:
        text = f"container {container} has no models"
        cure = f"train models with `device-scorer train`, and upload them as {path}"
    yield Finding(Result.PROBLEM, "models", subject, text, cure)


def _count(models: Models) -> str:
    return f"more than {models.devices:,}" if models.limit and models.devices >= models.limit else f"{models.devices:,}"


def _check_notices(fleet: Fleet) -> Iterator[Finding]:
    notices, subject = fleet.notices, f"fleet {fleet.layout.name}"
    if not fleet.receivers or notices is None:
        return
    problems = list(_notice_problems(notices))
    for text in problems:
        cure = "check url, Secret and network of the receiver (`notify` of the fleet); the next report sends them again"
        yield Finding(Result.PROBLEM, "notifications", subject, text, cure)
    if not problems:
        yield Finding(Result.OK, "notifications", subject, f"no notices are waiting for {named(fleet.receivers)}")


def _notice_problems(notices: Notices) -> Iterator[str]:
    for problem in notices.problems:
        yield f"the last report: {printable(problem, max_chars=300)}"
    if not notices.problems:
        for receiver, count in notices.pending.items():
            yield f"receiver {printable(receiver)} has not accepted {count:,} notices"
    if notices.dropped:
        yield f"the outbox was full: {notices.dropped:,} notices were dropped"


def _check_rights(facts: ScheduleFacts) -> Iterator[Finding]:
    subject = f"{facts.namespace}/{facts.name}"
    if isinstance(facts.rights, Unseen):
        yield facts.rights.finding("rights", subject)
    elif missing := sorted(right for right, allowed in facts.rights.items() if not allowed):
        text = f"the Jobs of the schedule may not {named(map(str, missing))}"
        cure = "`helm upgrade` restores the Role of the scheduler (schedules.yaml of the chart)"
        yield Finding(Result.PROBLEM, "rights", subject, text, cure)


def _check_schedule(facts: ScheduleFacts) -> Finding:
    subject = f"{facts.namespace}/{facts.name}"
    if facts.suspended:
        cure = f'`kubectl -n {facts.namespace} patch cronjob {facts.cronjob} -p \'{{"spec":{{"suspend":false}}}}\'`'
        return Finding(Result.PROBLEM, "schedules", subject, "the schedule is suspended", cure)
    if isinstance(facts.schedule, Unseen):
        return facts.schedule.finding("schedules", subject)
    if facts.schedule is None:
        text = "the schedules file has no schedule of this name"
        return Finding(Result.PROBLEM, "schedules", subject, text, "`helm upgrade` writes the file again")
    if isinstance(facts.missing, Unseen):
        return facts.missing.finding("schedules", subject)
    if facts.missing:
        first, last = facts.missing[0], facts.missing[-1]
        text = f"{len(facts.missing)} windows have no run: {named(window.column for window in facts.missing)}"
        span = f"--from {format_time(first.start)} --to {format_time(last.end)}"
        cure = f"`fleetscore backfill -n {facts.namespace} --schedule {facts.name} {span}`; "
        cure += f"`kubectl -n {facts.namespace} logs -l fleetscore.dev/schedule={facts.name}` has the reason"
        return Finding(Result.PROBLEM, "schedules", subject, text, cure)
    last_firing = f", last at {format_time(facts.last)}" if facts.last else ", not fired yet"
    return Finding(Result.OK, "schedules", subject, f"every due window has a run{last_firing}")
