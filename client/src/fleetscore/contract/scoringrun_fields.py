"""The fields of a ScoringRun that this version of the client knows, as paths.

A test compares them with the CRD.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_PATHS = """
spec.fleet spec.window spec.window.start spec.window.end spec.devices spec.devices.include spec.devices.ids
spec.devices.retryOf spec.devices.retryOf.name spec.devices.retryOf.outcomes spec.tags spec.writePolicy
spec.devicesPerJob spec.parallelism spec.backoffLimit spec.maxFailedDevices spec.maxEmptyDevices spec.maxDevices
spec.canary spec.canary.jobs spec.canary.maxFailedPercent spec.suspend spec.cancel spec.overlapPolicy
spec.pendingDeadlineSeconds spec.activeDeadlineSeconds spec.deviceDeadlineSeconds spec.ttlSecondsAfterFinished
spec.historyLimit spec.resources spec.resources.requests spec.resources.requests.cpu spec.resources.requests.memory
spec.resources.requests.ephemeral-storage spec.resources.limits spec.resources.limits.cpu
spec.resources.limits.memory spec.resources.limits.ephemeral-storage status.observedGeneration status.phase
status.message status.window status.duration status.startTime status.firstPodTime status.lastProgressTime
status.completionTime status.podSeconds status.devices status.devices.total status.devices.pending
status.devices.active status.devices.scored status.devices.partial status.devices.empty status.devices.failed
status.devices.notRun status.devices.alreadyScored status.devices.quarantined status.withoutModel
status.withoutModel.count status.withoutModel.samples status.invalidNames status.invalidNames.count
status.invalidNames.samples status.quarantined status.quarantined.count status.quarantined.samples
status.quarantined.problem status.results status.results.rows status.results.badRows status.results.unscoredRows
status.results.anomalies status.results.anomalousDevices status.incidents status.incidents.open
status.incidents.opened status.incidents.openedUnmuted status.incidents.closed status.incidents.muted
status.incidents.causes status.incidents.causes.machine status.incidents.causes.sensor status.incidents.causes.data
status.incidents.causes.fleet status.sensors status.sensors.silent status.sensors.sparse status.sensors.stale
status.sensors.stuck status.sensors.implausible status.sensors.jumpy status.report status.report.path
status.report.url status.report.complete status.report.unreadable status.report.unmodelledDevices
status.report.unscoredRows status.report.vanishedModels status.report.outdatedDevices status.report.unknownDevices
status.report.unknownNames status.report.problems status.report.notifyProblems status.topAnomalies
status.topAnomalies.device status.topAnomalies.rows status.topAnomalies.anomalies status.failureReasons
status.failures status.failures.device status.failures.reason status.failures.message status.conditions
status.conditions.type status.conditions.status status.conditions.reason status.conditions.message
status.conditions.observedGeneration status.conditions.lastTransitionTime
"""
FIELDS = tuple(_PATHS.split())
"""The fields of spec and status; those of the items of a list have the path of the list in front."""


def schema_fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of each field of a schema.

    Args:
        schema: The schema in the form of OpenAPI v3.
        prefix: The path of the schema.
    """
    for name, found in (schema.get("properties") or {}).items():
        path = f"{prefix}.{name}" if prefix else name
        yield path
        yield from schema_fields(found, path)
    if isinstance(items := schema.get("items"), Mapping):
        yield from schema_fields(items, prefix)


def missing_fields(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields that a schema lacks; those of a missing object are not repeated.

    Args:
        schema: The schema of a ScoringRun.
    """
    lacking = set(FIELDS) - set(schema_fields(schema))
    return tuple(one for one in FIELDS if one in lacking and one.rpartition(".")[0] not in lacking)
