"""The CronJob of a schedule, read from the JSON of the API server."""

from datetime import UTC, datetime
from typing import Any

from fleetscore.runs.cron_job import CronJob, read_cron_job


def read(status: dict[str, Any] | None = None, **spec: Any) -> CronJob:
    labels = {"fleetscore.dev/schedule": "hourly"}
    metadata = {"name": "release-hourly", "labels": labels, "creationTimestamp": "2018-08-28T04:10:00Z"}
    return read_cron_job({"metadata": metadata, "spec": {"schedule": "5 * * * *", **spec}, "status": status})


def test_cron_job_has_the_times_of_the_api_server() -> None:
    assert read({"lastScheduleTime": "2018-08-28T10:05:00Z"}, timeZone="Europe/Berlin") == CronJob(
        name="release-hourly",
        schedule="hourly",
        expression="5 * * * *",
        zone="Europe/Berlin",
        suspended=False,
        created=datetime(2018, 8, 28, 4, 10, tzinfo=UTC),
        last=datetime(2018, 8, 28, 10, 5, tzinfo=UTC),
    )


def test_cron_job_before_its_first_firing_has_no_last_one() -> None:
    assert (read().last, read({}).last, read().zone) == (None, None, "UTC")


def test_suspended_cron_job_is_suspended() -> None:
    assert [read(suspend=one).suspended for one in (True, False, None)] == [True, False, False]


def test_cron_expression_is_printed_on_one_line_without_control_characters() -> None:
    assert read(schedule="5 * * * *\n\x1b[2J").times == "5 * * * * ?[2J"
