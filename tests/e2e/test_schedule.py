"""The real CronJob controller, each minute, with pods that run the operator's image under the scheduler's account."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from tests.testkit.conditions import true_conditions
from tests.testkit.release import Release
from tests.testkit.waiting import until

ANNOTATION = "batch.kubernetes.io/cronjob-scheduled-timestamp"
DELAY, LENGTH = timedelta(minutes=3), timedelta(minutes=1)
NO_OPERATOR: dict[str, Any] = {"replicas": 0}  # what becomes of the runs is the other tests' business
EVERY_MINUTE = {"name": "minutely", "cron": "* * * * *", "window": "PT1M", "delay": "PT3M", "fleet": "default"}


def window_of(scheduled: str) -> tuple[str, str]:
    """Return the window of a firing without the operator's code: the last full minute three minutes earlier."""
    end = (datetime.fromisoformat(scheduled) - DELAY).replace(second=0)
    return f"{end - LENGTH:%Y-%m-%dT%H:%M:%SZ}", f"{end:%Y-%m-%dT%H:%M:%SZ}"


def run_name(start: str) -> str:
    return "minutely-" + start.lower().replace("-", "").replace(":", "")


def windows_of_runs(release: Release) -> dict[str, tuple[str, str]]:
    return {
        run["metadata"]["name"]: (run["spec"]["window"]["start"], run["spec"]["window"]["end"])
        for run in release.get("scoringruns")["items"]
    }


def firings(release: Release) -> list[dict[str, Any]]:
    """Return the Jobs of the CronJobs."""
    jobs: list[dict[str, Any]] = release.get("jobs", "-l", "app.kubernetes.io/component=scheduler")["items"]
    return jobs


def ended(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [job for job in jobs if true_conditions(job["status"]) & {"Complete", "Failed"}]


def each_fired_twice(release: Release) -> bool:
    made_by = Counter(job["metadata"]["ownerReferences"][0]["name"] for job in ended(firings(release)))
    return min(made_by["fleetscore-minutely"], made_by["twin"]) >= 2


def test_two_cron_jobs_create_one_run_per_minute_with_the_annotated_window(release: Release) -> None:
    release.install(schedules=[EVERY_MINUTE], operator=NO_OPERATOR)
    twin = release.get("cronjob", "fleetscore-minutely")
    release.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "twin"}, "spec": twin["spec"]})

    until(lambda: each_fired_twice(release), seconds=300, description="two firings of each of two CronJobs")
    for name in ("fleetscore-minutely", "twin"):
        release.kubectl("patch", "cronjob", name, "--patch", '{"spec": {"suspend": true}}')
    jobs = until(
        lambda: found if len(ended(found := firings(release))) == len(found) else None, "the end of all firings"
    )
    assert all(job["status"].get("succeeded") == 1 for job in jobs)
    windows = {window_of(job["metadata"]["annotations"][ANNOTATION]) for job in jobs}
    runs = windows_of_runs(release)
    assert len(windows) >= 2
    assert {run_name(start): (start, end) for start, end in windows}.items() <= runs.items()
    # Of each minute's two pods one created the run, and the other met it and called that success.
    logs = [release.kubectl("logs", f"job/{job['metadata']['name']}") for job in jobs]
    assert sum(" created: " in text for text in logs) == len(windows)
    assert sum(" exists already: " in text for text in logs) == len(jobs) - len(windows)


def test_manual_firing_creates_the_run_of_its_creation_time(release: Release) -> None:
    release.install(schedules=[EVERY_MINUTE | {"suspend": True}], operator=NO_OPERATOR)
    release.kubectl("create", "job", "by-hand", "--from=cronjob/fleetscore-minutely")
    release.kubectl("wait", "--for=condition=Complete", "job/by-hand", "--timeout=180s")
    job = release.get("job", "by-hand")
    assert ANNOTATION not in job["metadata"].get("annotations", {})
    start, end = window_of(job["metadata"]["creationTimestamp"])
    assert windows_of_runs(release) == {run_name(start): (start, end)}
