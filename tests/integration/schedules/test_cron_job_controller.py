"""The chart's CronJobs under the real CronJob controller; the test is the pod of their Jobs.

Hours that were missed need not be waited for: the controller fires for what it finds missed since the last time that
the CronJob's status names.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcluster.cluster import Cluster
from localcluster.nodes import stages
from scoring_operator.api.formatting import format_time
from scoring_operator.cli import main
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.scheduler import ANNOTATION, Scheduler
from tests.testkit.waiting import until

HOUR = timedelta(hours=1)
NOTHING: dict[str, Any] = {}


def minutes_ago(minutes: int) -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes)


def hourly_at(moment: datetime) -> str:
    return f"{moment.minute} * * * *"


class CronJobs:
    """The CronJobs of schedules, each with further values of its own."""

    def __init__(self, scheduler: Scheduler, cluster: Cluster) -> None:
        self.scheduler = scheduler
        self._cluster = cluster

    def kubectl(self, *words: str, **options: Any) -> str:
        return self._cluster.kubectl("-n", self.scheduler.namespace, *words, **options)

    def patch(self, name: str, body: dict[str, Any], *words: str) -> None:
        self.kubectl("patch", "cronjob", f"fleetscore-{name}", "--type=merge", "-p", json.dumps(body), *words)

    def last_fired(self, name: str, moment: datetime) -> None:
        """Set the last schedule time of the CronJob."""
        self.patch(name, {"status": {"lastScheduleTime": format_time(moment)}}, "--subresource=status")

    def jobs(self, name: str) -> dict[str, str]:
        """Return the scheduled times of a schedule's Jobs, by Job."""
        found = json.loads(self.kubectl("get", "jobs", "-l", f"fleetscore.dev/schedule={name}", "-o", "json"))
        return {item["metadata"]["name"]: item["metadata"]["annotations"][ANNOTATION] for item in found["items"]}

    def fired(self, name: str, count: int = 1, *, seconds: float = 180) -> list[str]:
        """Wait for firings; for when they were, the earliest first."""
        jobs = until(
            lambda: j if len(j := self.jobs(name)) >= count else None, f"{count} Jobs of {name}", seconds=seconds
        )
        return sorted(jobs.values())

    def create_run(self, name: str) -> int:
        """Be the pod of a schedule's first Job."""
        jobs = self.jobs(name)
        return self.scheduler.create_run(min(jobs, key=jobs.__getitem__), schedule=name)


@pytest.fixture
def cron_jobs(cluster_with_crd: Cluster, scheduler: Scheduler) -> CronJobs:
    return CronJobs(scheduler, cluster_with_crd)


@pytest.fixture
def pods_that_go_on(cluster: Cluster) -> Iterator[None]:
    labels = {"app.kubernetes.io/component": "scheduler"}
    cluster.add_stage(stages.finish_pods("schedulers", labels=labels, after_seconds=stages.NEVER_SECONDS))
    yield
    cluster.remove_stage("schedulers")


@pytest.mark.fault("F21")
def test_missed_firings_fire_once_and_backfill_names_the_others(
    cron_jobs: CronJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    due = minutes_ago(5)
    cron_jobs.scheduler.apply(name="hourly", cron=hourly_at(due))
    cron_jobs.last_fired("hourly", due - 3 * HOUR)
    assert cron_jobs.fired("hourly") == [format_time(due)]
    assert cron_jobs.create_run("hourly") == 0
    end = due.replace(minute=0)
    ((name, spec),) = cron_jobs.scheduler.runs().items()
    assert name == f"hourly-{end - HOUR:%Y%m%dt%H%M%Sz}"
    assert spec["window"] == {"start": format_time(end - HOUR), "end": format_time(end)}

    span = ["--from", format_time(end - 3 * HOUR), "--to", format_time(end), "--gaps-only", "--dry-run"]
    where = ["--schedules-file", str(cron_jobs.scheduler.file), "--namespace", cron_jobs.scheduler.namespace]
    assert main(["backfill", "--schedule", "hourly", *where, *span]) == 0
    output = capsys.readouterr().out
    assert "3 windows" in output
    assert output.endswith(
        f"  {format_time(end - 3 * HOUR)} to {format_time(end - 2 * HOUR)}\n"
        f"  {format_time(end - 2 * HOUR)} to {format_time(end - HOUR)}\n"
    )


@pytest.mark.fault("F21")
def test_schedule_fires_again_after_more_than_100_missed_times(cron_jobs: CronJobs) -> None:
    now = minutes_ago(0)
    due = now - timedelta(minutes=now.minute % 15)
    cron_jobs.scheduler.apply(name="quarterly", cron="*/15 * * * *", window="PT15M")
    cron_jobs.last_fired("quarterly", due - timedelta(hours=30))
    first = cron_jobs.fired("quarterly")[0]
    assert first >= format_time(due)
    assert cron_jobs.create_run("quarterly") == 0
    (spec,) = cron_jobs.scheduler.runs().values()
    end = datetime.fromisoformat(first)
    assert spec["window"] == {"start": format_time(end - timedelta(minutes=15)), "end": first}


@pytest.mark.fault("F21")
def test_suspended_schedule_fires_later_only_within_its_deadline(cron_jobs: CronJobs) -> None:
    soon, long_ago = minutes_ago(5), minutes_ago(40)  # startingDeadlineSeconds is 1800 by default
    cron_jobs.scheduler.apply(name="soon", cron=hourly_at(soon), suspend=True)
    cron_jobs.scheduler.apply(name="late", cron=hourly_at(long_ago), suspend=True)
    cron_jobs.scheduler.apply(name="going", cron=hourly_at(soon))
    for name in ("soon", "late", "going"):
        cron_jobs.last_fired(name, soon - 3 * HOUR)
    cron_jobs.fired("going")
    assert (cron_jobs.jobs("soon"), cron_jobs.jobs("late")) == (NOTHING, NOTHING)
    for name in ("late", "soon"):
        cron_jobs.patch(name, {"spec": {"suspend": False}})
    assert cron_jobs.fired("soon") == [format_time(soon)]
    assert cron_jobs.jobs("late") == NOTHING


@pytest.mark.fault("F21")
def test_schedule_in_a_half_hour_time_zone_scores_hours_of_utc(cron_jobs: CronJobs) -> None:
    due = minutes_ago(5)
    cron_jobs.scheduler.apply(name="hourly", cron=hourly_at(due + HOUR / 2), timeZone="Asia/Kolkata")
    cron_jobs.last_fired("hourly", due - HOUR)
    (fired,) = cron_jobs.fired("hourly")
    assert fired.endswith("+05:30")
    assert datetime.fromisoformat(fired) == due
    assert cron_jobs.create_run("hourly") == 0
    (spec,) = cron_jobs.scheduler.runs().values()
    assert spec["window"]["end"] == format_time(due.replace(minute=0))


@pytest.mark.fault("F22")
@pytest.mark.usefixtures("pods_that_go_on")
def test_concurrent_firing_is_allowed_skipped_or_replaces_the_first(
    cron_jobs: CronJobs, record_measurement: RecordMeasurement
) -> None:
    policies = ("Allow", "Forbid", "Replace")
    for policy in policies:
        cron_jobs.scheduler.apply(name=policy.lower(), cron="* * * * *", concurrencyPolicy=policy)
        cron_jobs.last_fired(policy.lower(), minutes_ago(3))
    firsts = {policy: cron_jobs.fired(policy.lower())[0] for policy in policies}
    fired = cron_jobs.fired("allow", 2, seconds=180)  # the next minute
    assert fired[0] == firsts["Allow"]
    until(
        lambda: (
            "JobAlreadyActive" in cron_jobs.kubectl("get", "events", "-o", "name", "-o", "jsonpath={.items[*].reason}")
        ),
        "a firing is skipped",
    )
    assert list(cron_jobs.jobs("forbid").values()) == [firsts["Forbid"]]
    # The controller deletes a Job before it creates the next one.
    until(
        lambda: len(found := cron_jobs.jobs("replace")) == 1 and firsts["Replace"] not in found.values(),
        "the first Job is replaced",
    )
    record_measurement(", ".join(f"{policy}: {len(cron_jobs.jobs(policy.lower()))} Jobs" for policy in policies))
