"""Each value that is not of a fleet or schedule, set to another than its default, is seen where it takes effect."""

import pytest

from tests.integration.chart.rendered_values import check

pytestmark = pytest.mark.usefixtures("helm")

POD = "spec.template.spec"
OPERATOR = f"Deployment/fleetscore-operator {POD}"
CONTAINER = f"{OPERATOR}.containers.operator"
SCHEDULER = "CronJob/fleetscore-hourly spec.jobTemplate.spec.template"
JOB = f"Job/pumps {POD}"
CONSOLE_NAME = "Deployment/fleetscore-console-presses"
CONSOLE = f"{CONSOLE_NAME} {POD}"
PLACES = [
    pytest.param("ConfigMap/fleetscore-fleets metadata.labels", marks=pytest.mark.value("commonLabels")),
    pytest.param(f"{OPERATOR}.imagePullSecrets", marks=pytest.mark.value("imagePullSecrets")),
    pytest.param(f"{CONTAINER}.imagePullPolicy", marks=pytest.mark.value("operator.image.pullPolicy")),
    pytest.param("Deployment/fleetscore-operator spec.replicas", marks=pytest.mark.value("operator.replicas")),
    pytest.param(f"{CONTAINER}.env.FLEETSCORE_LOG_LEVEL.value", marks=pytest.mark.value("operator.logLevel")),
    pytest.param(
        f"{CONTAINER}.env.FLEETSCORE_MAX_ACTIVE_JOBS.value", marks=pytest.mark.value("operator.maxActiveJobs")
    ),
    pytest.param(
        f"{CONTAINER}.env.FLEETSCORE_MAX_ACTIVE_JOBS_PER_NAMESPACE.value",
        marks=pytest.mark.value("operator.maxActiveJobsPerNamespace"),
    ),
    pytest.param(
        "ServiceAccount/fleetscore-operator metadata.annotations",
        marks=pytest.mark.value("operator.serviceAccount.annotations"),
    ),
    pytest.param(f"{CONTAINER}.resources", marks=pytest.mark.value("operator.resources")),
    pytest.param(
        "Deployment/fleetscore-operator spec.template.metadata.labels", marks=pytest.mark.value("operator.podLabels")
    ),
    pytest.param(
        "Deployment/fleetscore-operator spec.template.metadata.annotations",
        marks=pytest.mark.value("operator.podAnnotations"),
    ),
    pytest.param(f"{OPERATOR}.nodeSelector", marks=pytest.mark.value("operator.nodeSelector")),
    pytest.param(f"{OPERATOR}.tolerations", marks=pytest.mark.value("operator.tolerations")),
    pytest.param(f"{OPERATOR}.affinity", marks=pytest.mark.value("operator.affinity")),
    pytest.param(
        f"{OPERATOR}.topologySpreadConstraints", marks=pytest.mark.value("operator.topologySpreadConstraints")
    ),
    pytest.param(f"{OPERATOR}.priorityClassName", marks=pytest.mark.value("operator.priorityClassName")),
    pytest.param(f"{CONTAINER}.env", marks=pytest.mark.value("operator.extraEnv")),
    pytest.param(f"{CONTAINER}.args", marks=pytest.mark.value("operator.extraArgs")),
    pytest.param(f"{OPERATOR}.volumes", marks=pytest.mark.value("operator.extraVolumes")),
    pytest.param(f"{CONTAINER}.volumeMounts", marks=pytest.mark.value("operator.extraVolumeMounts")),
    pytest.param(f"{CONTAINER}.startupProbe", marks=pytest.mark.value("operator.startupProbe")),
    pytest.param(f"{CONTAINER}.livenessProbe", marks=pytest.mark.value("operator.livenessProbe")),
    pytest.param(f"{CONTAINER}.readinessProbe", marks=pytest.mark.value("operator.readinessProbe")),
    pytest.param(f"{JOB}.containers.scorer.imagePullPolicy", marks=pytest.mark.value("scorer.image.pullPolicy")),
    pytest.param(
        "ServiceAccount/fleetscore-scorer metadata.annotations",
        marks=pytest.mark.value("scorer.serviceAccount.annotations"),
    ),
    pytest.param(f"{JOB}.containers.scorer.resources", marks=pytest.mark.value("scorer.resources")),
    pytest.param("Fleet/pumps scorer.maxResources", marks=pytest.mark.value("scorer.maxResources")),
    pytest.param(f"{JOB}.nodeSelector", marks=pytest.mark.value("scorer.nodeSelector")),
    pytest.param(f"{JOB}.tolerations", marks=pytest.mark.value("scorer.tolerations")),
    pytest.param(f"{JOB}.affinity", marks=pytest.mark.value("scorer.affinity")),
    pytest.param(f"{JOB}.topologySpreadConstraints", marks=pytest.mark.value("scorer.topologySpreadConstraints")),
    pytest.param(f"{JOB}.hostUsers", marks=pytest.mark.value("scorer.hostUsers")),
    pytest.param("Job/pumps metadata.labels", marks=pytest.mark.value("scorer.labels")),
    pytest.param("Job/pumps metadata.annotations", marks=pytest.mark.value("scorer.annotations")),
    pytest.param("Job/pumps spec.template.metadata.labels", marks=pytest.mark.value("scorer.podLabels")),
    pytest.param("Job/pumps spec.template.metadata.annotations", marks=pytest.mark.value("scorer.podAnnotations")),
    pytest.param(f"{JOB}.containers.scorer.env", marks=pytest.mark.value("scorer.extraEnv")),
    pytest.param(f"{JOB}.containers.scorer.args", marks=pytest.mark.value("scorer.extraArgs")),
    pytest.param(f"{JOB}.volumes", marks=pytest.mark.value("scorer.extraVolumes")),
    pytest.param(f"{JOB}.containers.scorer.volumeMounts", marks=pytest.mark.value("scorer.extraVolumeMounts")),
    pytest.param(
        "ServiceAccount/fleetscore-scheduler metadata.annotations",
        marks=pytest.mark.value("scheduler.serviceAccount.annotations"),
    ),
    pytest.param(f"{SCHEDULER}.spec.containers.create-run.resources", marks=pytest.mark.value("scheduler.resources")),
    pytest.param(f"{SCHEDULER}.metadata.labels", marks=pytest.mark.value("scheduler.podLabels")),
    pytest.param(f"{SCHEDULER}.metadata.annotations", marks=pytest.mark.value("scheduler.podAnnotations")),
    pytest.param(f"{SCHEDULER}.spec.nodeSelector", marks=pytest.mark.value("scheduler.nodeSelector")),
    pytest.param(f"{SCHEDULER}.spec.tolerations", marks=pytest.mark.value("scheduler.tolerations")),
    pytest.param(f"{SCHEDULER}.spec.affinity", marks=pytest.mark.value("scheduler.affinity")),
    pytest.param(f"{SCHEDULER}.spec.priorityClassName", marks=pytest.mark.value("scheduler.priorityClassName")),
    pytest.param(f"{CONSOLE}.containers.console.imagePullPolicy", marks=pytest.mark.value("console.image.pullPolicy")),
    pytest.param(f"{CONSOLE_NAME} spec.replicas", marks=pytest.mark.value("console.replicas")),
    pytest.param(f"{CONSOLE}.containers.console.ports.0.containerPort", marks=pytest.mark.value("console.port")),
    pytest.param(
        "NetworkPolicy/fleetscore-console-presses spec.ingress.0.from", marks=pytest.mark.value("console.ingressFrom")
    ),
    pytest.param(
        "ServiceAccount/fleetscore-console metadata.annotations",
        marks=pytest.mark.value("console.serviceAccount.annotations"),
    ),
    pytest.param(f"{CONSOLE}.containers.console.resources", marks=pytest.mark.value("console.resources")),
    pytest.param(f"{CONSOLE_NAME} spec.template.metadata.labels", marks=pytest.mark.value("console.podLabels")),
    pytest.param(
        f"{CONSOLE_NAME} spec.template.metadata.annotations", marks=pytest.mark.value("console.podAnnotations")
    ),
    pytest.param(f"{CONSOLE}.nodeSelector", marks=pytest.mark.value("console.nodeSelector")),
    pytest.param(f"{CONSOLE}.tolerations", marks=pytest.mark.value("console.tolerations")),
    pytest.param(f"{CONSOLE}.affinity", marks=pytest.mark.value("console.affinity")),
    pytest.param(f"{CONSOLE}.topologySpreadConstraints", marks=pytest.mark.value("console.topologySpreadConstraints")),
    pytest.param(f"{CONSOLE}.priorityClassName", marks=pytest.mark.value("console.priorityClassName")),
    pytest.param(f"{CONSOLE}.containers.console.env", marks=pytest.mark.value("console.extraEnv")),
    pytest.param(f"{CONSOLE}.volumes", marks=pytest.mark.value("console.extraVolumes")),
    pytest.param(f"{CONSOLE}.containers.console.volumeMounts", marks=pytest.mark.value("console.extraVolumeMounts")),
    pytest.param(f"{CONSOLE}.containers.console.startupProbe", marks=pytest.mark.value("console.startupProbe")),
    pytest.param(f"{CONSOLE}.containers.console.livenessProbe", marks=pytest.mark.value("console.livenessProbe")),
    pytest.param(f"{CONSOLE}.containers.console.readinessProbe", marks=pytest.mark.value("console.readinessProbe")),
    pytest.param(
        "ServiceAccount/fleetscore-scorer metadata.annotations.azure.workload.identity/client-id",
        marks=pytest.mark.value("azure.workloadIdentity.clientId"),
    ),
    pytest.param(
        "ServiceAccount/fleetscore-scorer metadata.annotations.azure.workload.identity/tenant-id",
        marks=pytest.mark.value("azure.workloadIdentity.tenantId"),
    ),
    pytest.param(
        "ServiceAccount/fleetscore-scorer metadata.annotations."
        "azure.workload.identity/service-account-token-expiration",
        marks=pytest.mark.value("azure.workloadIdentity.tokenExpirationSeconds"),
    ),
    pytest.param(
        "NetworkPolicy/fleetscore-operator spec.ingress.0.from", marks=pytest.mark.value("networkPolicy.metricsFrom")
    ),
    pytest.param("NetworkPolicy/fleetscore-scorer spec.egress", marks=pytest.mark.value("networkPolicy.extraEgress")),
    pytest.param("ResourceQuota/fleetscore-scoring spec.hard", marks=pytest.mark.value("resourceQuota.hard")),
    pytest.param("PriorityClass/yielding metadata.name", marks=pytest.mark.value("priorityClass.name")),
    pytest.param("PriorityClass/yielding value", marks=pytest.mark.value("priorityClass.value")),
]


@pytest.mark.parametrize("place", PLACES)
def test_value_takes_effect(request: pytest.FixtureRequest, place: str) -> None:
    (value,) = request.node.get_closest_marker("value").args
    check(place, *value.split("."))
