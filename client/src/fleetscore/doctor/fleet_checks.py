"""The checks of fleets and schedules: storage, identity, Secrets, models, notices and windows."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleetscore.contract.windows import format_time
from fleetscore.doctor.cures import cure_in
from fleetscore.doctor.facts import Facts, FleetFacts, Models, Notices, ScheduleFacts, SecretState
from fleetscore.doctor.findings import Finding, Result, Unseen, named
from fleetscore.doctor.run_checks import check_runs
from fleetscore.runs.cron_job import CronJob
from fleetscore.texts import printable


def check_fleets(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the fleets of the release."""
    if isinstance(facts.fleets, Unseen):
        yield facts.fleets.finding("fleets", "the release")
        return
    if not facts.fleets:
        name = f"fleet {facts.fleet}" if facts.fleet else "fleet"
        text = f"no {name} serves namespace {facts.namespace}"
        cure = f"add a fleet to the chart's values, with {facts.namespace} in its namespaces, or name another"
        yield Finding(Result.PROBLEM, "fleets", "the release", text, cure)
    for fleet in facts.fleets:
        yield from _check_secrets(fleet)
        yield from _check_storage(fleet)
        yield from check_runs(fleet, facts.now)
        yield from _check_models(fleet)
        yield from _check_notices(fleet)
    for name, run in facts.stray_runs.items():
        text = f"run {run['metadata']['name']} names fleet {printable(name)}, which does not serve {facts.namespace}"
        cure = "create the run again for a fleet of the chart's values, or add this fleet to them"
        yield Finding(Result.WARNING, "fleets", f"fleet {printable(name)}", text, cure)
    if facts.other_fleets:
        text = f"{facts.other_fleets} fleets more were not checked"
        yield Finding(Result.UNKNOWN, "fleets", "the release", text, "name one with --fleet")


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


def _check_secrets(fleet: FleetFacts) -> Iterator[Finding]:
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
            cure = f"add the key, or name another; {command} creates it"
            yield Finding(Result.PROBLEM, "secrets", subject, text, cure)
    if fleet.secrets and all(state is SecretState.PRESENT for state in fleet.secrets.values()):
        names = named(sorted({one.name for one in fleet.secrets}))
        yield Finding(Result.OK, "secrets", subject, f"the fleet's Secrets exist: {names}")


def _check_storage(fleet: FleetFacts) -> Iterator[Finding]:
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


def _check_models(fleet: FleetFacts) -> Iterator[Finding]:
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


def _check_notices(fleet: FleetFacts) -> Iterator[Finding]:
    subject, run = f"fleet {fleet.layout.name}", fleet.newest_run or {}
    problems = list(_notice_problems(fleet.notices)) if fleet.notices else []
    failed, name = _notify_problems(run), printable((run.get("metadata") or {}).get("name"))
    if failed and not problems:
        problems = [f"the report of run {name} has {failed:,} problems with receivers"]
    if not fleet.receivers or not (problems or fleet.notices):
        return
    cure = "check url, Secret and network of the receiver (`notify` of the fleet); the next report sends them again"
    if failed:
        cure += f"; `kubectl logs -l fleetscore.dev/run={name},app.kubernetes.io/component=report` has the reason"
    for text in problems:
        yield Finding(Result.PROBLEM, "notifications", subject, text, cure)
    if not problems:
        yield Finding(Result.OK, "notifications", subject, f"no notices are waiting for {named(fleet.receivers)}")


def _notify_problems(run: Mapping[str, Any]) -> int:
    """Return the number of problems with receivers in the last report, by the status of its run."""
    found = ((run.get("status") or {}).get("report") or {}).get("notifyProblems")
    return found if isinstance(found, int) else 0


def _notice_problems(notices: Notices) -> Iterator[str]:
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
    subject, cron_job = f"{facts.namespace}/{facts.name}", facts.cron_job
    if cron_job is None:
        text, cure = "the CronJob of the schedule does not exist", "`helm upgrade` creates it again"
        return Finding(Result.PROBLEM, "schedules", subject, text, cure)
    if fault := _schedule_fault(facts, cron_job) or _window_fault(facts, cron_job):
        return Finding(Result.PROBLEM, "schedules", subject, *fault)
    for unseen in (facts.schedule, facts.missing, facts.job_failure, facts.account):
        if isinstance(unseen, Unseen):
            return unseen.finding("schedules", subject)
    return Finding(Result.OK, "schedules", subject, f"every due window has a run; the CronJob {_firing(cron_job)}")


def _schedule_fault(facts: ScheduleFacts, cron_job: CronJob) -> tuple[str, str] | None:
    """Return the fault of the objects of a schedule and its cure; None without one."""
    namespace, schedule = facts.namespace, facts.schedule
    if cron_job.suspended:
        cure = f'`kubectl -n {namespace} patch cronjob {cron_job.name} -p \'{{"spec":{{"suspend":false}}}}\'`'
        return "the schedule is suspended", cure
    if schedule is None:
        return "the schedules file has no schedule of this name", "`helm upgrade` writes the file again"
    if not facts.fleet_exists and not isinstance(schedule, Unseen):
        text = f"the schedule names fleet {schedule.fleet}, which does not serve namespace {namespace}"
        return text, f"add the fleet to the chart's values, with {namespace} in its namespaces"
    if facts.account and not isinstance(facts.account, Unseen):
        cure = f"`helm upgrade` creates it again, or `kubectl -n {namespace} create serviceaccount {facts.account}`"
        return f"ServiceAccount {facts.account} of the schedule's Jobs does not exist", cure
    return None


def _window_fault(facts: ScheduleFacts, cron_job: CronJob) -> tuple[str, str] | None:
    """Return the sentence about windows without a run, with the reason if it is known, or about the newest Job.

    The second text is the cure; None without a fault.
    """
    failure = "" if isinstance(facts.job_failure, Unseen) else facts.job_failure
    if isinstance(facts.missing, Unseen) or not facts.missing:
        describe = f"`kubectl -n {facts.namespace} describe jobs -l fleetscore.dev/schedule={facts.name}`"
        return (failure, cure_in(failure, describe)) if failure else None
    first, last = facts.missing[0], facts.missing[-1]
    text = f"{len(facts.missing)} windows have no run: {named(window.column for window in facts.missing)}"
    span = f"--from {format_time(first.start)} --to {format_time(last.end)}"
    cure = f"`fleetscore backfill -n {facts.namespace} --schedule {facts.name} {span}`"
    logs = f"`kubectl -n {facts.namespace} logs -l fleetscore.dev/schedule={facts.name}`"
    if failure:
        return f"{text}; {failure}", f"{cure_in(failure, logs)}; then {cure}"
    if cron_job.last is None or cron_job.last < last.end:
        describe = f"`kubectl -n {facts.namespace} describe cronjob {cron_job.name}`"
        return f"{text}; the CronJob {_firing(cron_job)}", f"{cure}; {describe} has the reason"
    return text, f"{cure}; {logs} has the reason"


def _firing(cron_job: CronJob) -> str:
    return f"fired last at {format_time(cron_job.last)}" if cron_job.last else "has not fired yet"
