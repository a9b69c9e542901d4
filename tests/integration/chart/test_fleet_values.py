"""Each value of a fleet and of a schedule, set to another than its default, is seen where it takes effect."""

import pytest

from tests.integration.chart.rendered_values import check

pytestmark = pytest.mark.usefixtures("helm")

OWN_JOB = "Job/presses spec.template.spec"
ENV = f"{OWN_JOB}.containers.scorer.env"
FLEET_PLACES = [
    pytest.param("Fleet/presses namespaces", marks=pytest.mark.value("fleets[].namespaces")),
    pytest.param(f"{ENV}.FLEETSCORE_ACCOUNT_URL.value", marks=pytest.mark.value("fleets[].storage.accountUrl")),
    pytest.param(f"{ENV}.FLEETSCORE_MODELS_CONTAINER.value", marks=pytest.mark.value("fleets[].storage.models")),
    pytest.param(f"{ENV}.FLEETSCORE_DATA_CONTAINER.value", marks=pytest.mark.value("fleets[].storage.data")),
    pytest.param(
        f"{ENV}.FLEETSCORE_PREDICTIONS_CONTAINER.value", marks=pytest.mark.value("fleets[].storage.predictions")
    ),
    pytest.param(f"{ENV}.FLEETSCORE_DATA_PATH.value", marks=pytest.mark.value("fleets[].data.path")),
    pytest.param(f"{ENV}.FLEETSCORE_DATA_PARTITION.value", marks=pytest.mark.value("fleets[].data.partition")),
    pytest.param(f"{ENV}.FLEETSCORE_MODELS_PATH.value", marks=pytest.mark.value("fleets[].models.path")),
    pytest.param(f"{ENV}.FLEETSCORE_MODELS_TRUST.value", marks=pytest.mark.value("fleets[].models.trust")),
    pytest.param(f"{ENV}.FLEETSCORE_PREDICTIONS_PATH.value", marks=pytest.mark.value("fleets[].predictions.path")),
    pytest.param(
        f"{ENV}.FLEETSCORE_ALLOW_OVERWRITE.value", marks=pytest.mark.value("fleets[].predictions.allowOverwrite")
    ),
    pytest.param(f"{ENV}.FLEETSCORE_ANOMALOUS_SHARE.value", marks=pytest.mark.value("fleets[].anomalousWhen.share")),
    pytest.param(
        f"{ENV}.FLEETSCORE_ANOMALOUS_MIN_ROWS.value", marks=pytest.mark.value("fleets[].anomalousWhen.minRows")
    ),
    pytest.param("Fleet/presses delay", marks=pytest.mark.value("fleets[].delay")),
    pytest.param("Fleet/presses maxActiveJobs", marks=pytest.mark.value("fleets[].maxActiveJobs")),
    pytest.param("Fleet/presses maxQueueTime", marks=pytest.mark.value("fleets[].maxQueueTime")),
    pytest.param("Fleet/presses quality", marks=pytest.mark.value("fleets[].quality")),
    pytest.param("Fleet/presses incidents", marks=pytest.mark.value("fleets[].incidents")),
    pytest.param("Fleet/presses quarantine", marks=pytest.mark.value("fleets[].quarantine")),
    pytest.param("Fleet/presses owners", marks=pytest.mark.value("fleets[].owners")),
    pytest.param("Fleet/presses notify", marks=pytest.mark.value("fleets[].notify")),
    pytest.param(f"{OWN_JOB}.serviceAccountName", marks=pytest.mark.value("fleets[].scorer.serviceAccountName")),
    pytest.param(f"{OWN_JOB}.containers.scorer.resources", marks=pytest.mark.value("fleets[].scorer.resources")),
    pytest.param("Fleet/presses scorer.maxResources", marks=pytest.mark.value("fleets[].scorer.maxResources")),
    pytest.param(f"{OWN_JOB}.nodeSelector", marks=pytest.mark.value("fleets[].scorer.nodeSelector")),
    pytest.param(f"{OWN_JOB}.tolerations", marks=pytest.mark.value("fleets[].scorer.tolerations")),
    pytest.param(f"{OWN_JOB}.affinity", marks=pytest.mark.value("fleets[].scorer.affinity")),
    pytest.param(
        f"{OWN_JOB}.topologySpreadConstraints", marks=pytest.mark.value("fleets[].scorer.topologySpreadConstraints")
    ),
    pytest.param(f"{OWN_JOB}.priorityClassName", marks=pytest.mark.value("fleets[].scorer.priorityClassName")),
    pytest.param(f"{OWN_JOB}.hostUsers", marks=pytest.mark.value("fleets[].scorer.hostUsers")),
    pytest.param("Job/presses metadata.labels", marks=pytest.mark.value("fleets[].scorer.labels")),
    pytest.param("Job/presses metadata.annotations", marks=pytest.mark.value("fleets[].scorer.annotations")),
    pytest.param("Job/presses spec.template.metadata.labels", marks=pytest.mark.value("fleets[].scorer.podLabels")),
    pytest.param(
        "Job/presses spec.template.metadata.annotations", marks=pytest.mark.value("fleets[].scorer.podAnnotations")
    ),
    pytest.param(ENV, marks=pytest.mark.value("fleets[].scorer.extraEnv")),
    pytest.param(f"{OWN_JOB}.containers.scorer.args", marks=pytest.mark.value("fleets[].scorer.extraArgs")),
    pytest.param(f"{OWN_JOB}.volumes", marks=pytest.mark.value("fleets[].scorer.extraVolumes")),
    pytest.param(
        f"{OWN_JOB}.containers.scorer.volumeMounts", marks=pytest.mark.value("fleets[].scorer.extraVolumeMounts")
    ),
]
CRON = "CronJob/fleetscore-hourly"
SCHEDULE_PLACES = [
    pytest.param(f"{CRON} metadata.namespace", marks=pytest.mark.value("schedules[].namespace")),
    pytest.param(f"{CRON} spec.schedule", marks=pytest.mark.value("schedules[].cron")),
    pytest.param(f"{CRON} spec.timeZone", marks=pytest.mark.value("schedules[].timeZone")),
    pytest.param("Schedule/hourly window", marks=pytest.mark.value("schedules[].window")),
    pytest.param("Schedule/hourly delay", marks=pytest.mark.value("schedules[].delay")),
    pytest.param(f"{CRON} spec.suspend", marks=pytest.mark.value("schedules[].suspend")),
    pytest.param(
        f"{CRON} spec.startingDeadlineSeconds", marks=pytest.mark.value("schedules[].startingDeadlineSeconds")
    ),
    pytest.param(f"{CRON} spec.concurrencyPolicy", marks=pytest.mark.value("schedules[].concurrencyPolicy")),
    pytest.param(f"{CRON} spec.successfulJobsHistoryLimit", marks=pytest.mark.value("schedules[].history.successful")),
    pytest.param(f"{CRON} spec.failedJobsHistoryLimit", marks=pytest.mark.value("schedules[].history.failed")),
    pytest.param(
        f"{CRON} spec.jobTemplate.spec.ttlSecondsAfterFinished",
        marks=pytest.mark.value("schedules[].ttlSecondsAfterFinished"),
    ),
    pytest.param("Schedule/hourly fleet", marks=pytest.mark.value("schedules[].fleet")),
    pytest.param("Schedule/hourly run", marks=pytest.mark.value("schedules[].run")),
]


@pytest.mark.parametrize("place", FLEET_PLACES)
def test_value_of_a_fleet_takes_effect_and_overrides_the_charts(request: pytest.FixtureRequest, place: str) -> None:
    (value,) = request.node.get_closest_marker("value").args
    check(place, "fleets", 0, *value.split(".")[1:])


@pytest.mark.parametrize("place", SCHEDULE_PLACES)
def test_value_of_a_schedule_takes_effect(request: pytest.FixtureRequest, place: str) -> None:
    (value,) = request.node.get_closest_marker("value").args
    check(place, "schedules", 0, *value.split(".")[1:])
