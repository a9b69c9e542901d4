"""The facts of schedules: their CronJobs, the newest Job of each, the rights of the Jobs, and windows without a run."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from fleetscore.cluster import release
from fleetscore.cluster.connection import GROUP, PLURAL, Cluster
from fleetscore.contract.schedules import SCHEDULE_LABEL, Schedule
from fleetscore.contract.windows import Window
from fleetscore.doctor.facts import ScheduleFacts
from fleetscore.doctor.findings import Right, Unseen
from fleetscore.doctor.gather_fleets import read_entries
from fleetscore.doctor.parallel import Task, run_tasks, unseen_error
from fleetscore.doctor.pods import job_failure, job_has_ended
from fleetscore.doctor.reviews import account_name, expand, missing_account, review, reviewed
from fleetscore.errors import AccessDenied, FleetscoreError
from fleetscore.runs.cron_job import read_cron_job
from fleetscore.runs.gaps import MISSING, began, due_windows, window_states

MAX_SCHEDULES = 50
MAX_DUE_WINDOWS = 48
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
_SCHEDULER_RULES = (("batch", "jobs", ("get",)), (GROUP, PLURAL, ("create", "list")))


def gather_schedules(
    cluster: Cluster, cronjobs: Any, maps: Any, fleet_maps: Any, runs: Any, now: datetime | None, seconds: float
) -> tuple[ScheduleFacts, ...] | Unseen:
    """Return the schedules of the namespace of a cluster, those without a CronJob too.

    Args:
        cluster: The cluster and the namespace.
        cronjobs: The CronJobs of schedules, and the right that was missing; Unseen without any right.
        maps: The ConfigMaps of schedules, in the same form.
        fleet_maps: The ConfigMaps of fleets, in the same form.
        runs: The runs of the namespace as JSON, or Unseen.
        now: The time of the API server; None if it is unknown.
        seconds: The time limit.
    """
    if isinstance(cronjobs, Unseen):
        return cronjobs
    own = [one for one in cronjobs[0] if one["metadata"]["namespace"] == cluster.namespace][:MAX_SCHEDULES]
    by_name = {one["metadata"]["labels"][SCHEDULE_LABEL]: one for one in own}
    settings = schedule_settings(maps, cluster.namespace)
    known = set() if isinstance(settings, Unseen) else set(settings)
    fleets, of_fleets = (None, set()) if isinstance(fleet_maps, Unseen) else served(fleet_maps[0], cluster.namespace)
    tasks: dict[Any, Task] = {
        name: _schedule_task(cluster, name, by_name.get(name), settings, runs, fleets, now, seconds)
        for name in sorted(known | of_fleets | set(by_name))[:MAX_SCHEDULES]
    }
    found = run_tasks(tasks, 2 * seconds)
    late = next((one for one in found.values() if isinstance(one, Unseen)), None)
    return late or tuple(found.values())


def served(maps: Iterable[Mapping[str, Any]], namespace: str) -> tuple[set[str] | None, set[str]]:
    """Return the names of the fleets that serve a namespace, and of the schedules that they have there.

    Args:
        maps: The ConfigMaps of operators.
        namespace: The namespace.

    Returns:
        The names of the fleets, or None if no fleets file can be read; and the names of the schedules.
    """
    entries, _ = read_entries(maps)  # the check of fleets reports the faults
    mine = [one for one in entries if namespace in one.layout.namespaces]
    schedules: set[str] = set()
    for one in mine:
        with suppress(KeyError, TypeError, AttributeError):
            listed = one.settings.get("schedules") or []
            schedules |= {str(entry["name"]) for entry in listed if entry["namespace"] == namespace}
    return ({one.layout.name for one in mine} if entries else None), schedules


def _schedule_task(
    cluster: Cluster,
    name: str,
    cronjob: Mapping[str, Any] | None,
    settings: Mapping[str, Schedule] | Unseen,
    runs: Any,
    fleets: set[str] | None,
    now: datetime | None,
    seconds: float,
) -> Callable[[], ScheduleFacts]:
    schedule = settings if isinstance(settings, Unseen) else settings.get(name)
    exists = fleets is None or not isinstance(schedule, Schedule) or schedule.fleet in fleets

    def task() -> ScheduleFacts:
        if cronjob is None:
            return ScheduleFacts(cluster.namespace, name, schedule=schedule, fleet_exists=exists)
        pod = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        account = account_name(cluster.namespace, pod)
        reviews = {one: review(cluster, one, account) for one in expand(_SCHEDULER_RULES, cluster.namespace)}
        tasks: dict[Any, Task] = {
            **reviews,
            "account": lambda: missing_account(cluster, cluster.namespace, pod),
            "job": lambda: _job_failure(cluster, name),
        }
        seen = run_tasks(tasks, seconds)
        missing, failure = seen.pop("account"), seen.pop("job")
        known = read_cron_job(cronjob)
        return ScheduleFacts(
            namespace=cluster.namespace,
            name=name,
            cron_job=known,
            schedule=schedule,
            missing=missing_windows(schedule, known.created, runs, now) if isinstance(schedule, Schedule) else (),
            rights=reviewed(seen, cluster.namespace),
            account=missing,
            job_failure=failure,
            fleet_exists=exists,
        )

    return task


def _job_failure(cluster: Cluster, name: str) -> str | Unseen:
    """Return the reason that the newest Job of a schedule failed or does not start; empty without one."""
    namespace, selector = cluster.namespace, f"{SCHEDULE_LABEL}={name},{release.SCHEDULER_SELECTOR}"
    right = Right("list", "jobs", "batch", namespace)
    pods: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    try:
        jobs = list(release.list_objects(cluster, release.JOBS, namespace, selector=selector))
        if not jobs:
            return ""
        newest = max(jobs, key=lambda one: str(one["metadata"].get("creationTimestamp")))
        job = newest["metadata"]["name"]
        right = Right("list", "pods", "", namespace)
        pods = list(release.list_objects(cluster, release.PODS, namespace, selector=f"{JOB_NAME_LABEL}={job}"))
        right = Right("list", "events", "", namespace)
        events = [] if pods or job_has_ended(newest) else list(release.list_events(cluster, namespace, job))
    except AccessDenied:
        if right.resource == "jobs" or not job_has_ended(newest):
            return right.unseen()
    text = job_failure(newest, pods, events)
    return f"Job {job}: {text}" if text else ""


def schedule_settings(maps: Any, namespace: str) -> Mapping[str, Schedule] | Unseen:
    """Return the schedules of a namespace by name, from the ConfigMaps of the release; Unseen without the right.

    Args:
        maps: The ConfigMaps of schedules, and the right that was missing; Unseen without any right.
        namespace: The namespace.
    """
    if isinstance(maps, Unseen):
        return maps
    try:
        return release.parse_maps(one for one in maps[0] if one["metadata"]["namespace"] == namespace)
    except FleetscoreError as error:
        return unseen_error(error)


def missing_windows(
    schedule: Schedule, created: datetime, runs: Any, now: datetime | None = None
) -> tuple[Window, ...] | Unseen:
    """Return the due windows of a schedule without a run.

    Args:
        schedule: The schedule.
        created: The time at which its CronJob was created.
        runs: The runs of the namespace as JSON, or Unseen.
        now: The time of the API server; None for that of this machine.
    """
    if isinstance(runs, Unseen):
        return runs
    now = now or datetime.now(UTC)
    due = due_windows(schedule, created=began(schedule, created, runs), now=now, count=MAX_DUE_WINDOWS)
    return tuple(one.window for one in window_states(due, runs, schedule) if one.state == MISSING)
