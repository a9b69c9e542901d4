"""The objects that the chart renders for schedules."""

from pathlib import Path

import pytest
import yaml

from scoring_operator.schedules import windows
from tests.testkit.chart import EVERYTHING, a_fleet, a_schedule, each_ci_values, find, render

pytestmark = pytest.mark.usefixtures("helm")


@each_ci_values
@pytest.mark.value("schedules[].name")
def test_create_run_accepts_every_rendered_schedule(values: Path) -> None:
    manifests = render(values)
    for cron_job in (m for m in manifests if m["kind"] == "CronJob"):
        namespace = cron_job["metadata"]["namespace"]
        name = cron_job["metadata"]["labels"]["fleetscore.dev/schedule"]
        spec = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        config = find(manifests, "ConfigMap", spec["volumes"][1]["configMap"]["name"], namespace)
        schedule = windows.select_schedule(yaml.safe_load(config["data"]["schedules.yaml"]), name)
        (wanted,) = [s for s in yaml.safe_load(values.read_text())["schedules"] if s["name"] == name]
        assert schedule.run == {"writePolicy": "IfChanged", **wanted.get("run", {})}
        assert (schedule.window, schedule.delay) == (wanted.get("window", "PT1H"), wanted.get("delay", "PT0S"))
        assert spec["containers"][0]["args"][-1] == name


def test_settings_of_a_schedule_reach_its_cron_job() -> None:
    spec = find(render(EVERYTHING), "CronJob", "fleetscore-hourly", "plant-a")["spec"]
    template = spec.pop("jobTemplate")
    assert spec == {
        "schedule": "5 * * * *",
        "timeZone": "Europe/Berlin",
        "suspend": True,
        "startingDeadlineSeconds": 600,
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 0,
        "failedJobsHistoryLimit": 7,
    }
    assert template["spec"]["ttlSecondsAfterFinished"] == 0


def test_longest_allowed_names_fit_a_cron_job() -> None:
    values = {"fleets": [a_fleet()], "schedules": [a_schedule(name="s" * 33)]}
    cron_job = find(render(values, release="r" * 53), "CronJob")
    assert len(cron_job["metadata"]["name"]) == 52
    assert cron_job["metadata"]["name"].endswith("s" * 33)
