"""The Job of a batch, and that of the report: their manifests. Pure.

Everything that decides where a pod runs, as whom, and what it may touch comes from the fleet or from the operator's
own settings; a ScoringRun contributes numbers, a window, tags and device ids, and those only as arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scoring_operator.api import names
from scoring_operator.api.fleets import Fleet, scorer_resources
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.contract.command import (
    EXIT_CONFIGURATION,
    EXIT_PERMANENT,
    REPORT_DEADLINE_SECONDS,
    RUN_FOLDER,
    escape_argument,
    report_arguments,
    score_arguments,
    scorer_environment,
)
from scoring_operator.planner.progress import Batch

IMAGE_PULL_ALLOWANCE_SECONDS = 600  # seconds; a pod's activeDeadlineSeconds counts the pull of its image
MIN_JOB_TTL_SECONDS = 86_400  # seconds; the Job's own TTL is a backstop, it must not be what removes unrecorded Jobs
SCRATCH_SIZE_LIMIT = "1Gi"  # of /tmp, the only writable folder
USER_ID = 65532


@dataclass(frozen=True, slots=True)
class ScorerImage:
    """The scorer image and how the kubelet gets it: the operator's settings, never a run's."""

    image: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()


def build_job(
    run: ScoringRun, fleet: Fleet, image: ScorerImage, *, name: str, batch: Batch, devices: Sequence[str]
) -> dict[str, Any]:
    """The manifest of the Job that scores a batch.

    Args:
        run: whose Job it is.
        fleet: the fleet's settings as frozen with the run.
        image: the scorer's image.
        name: the Job's name.
        batch: the positions it covers and its round.
        devices: the ids at these positions, in ascending order of position.
    """
    labels = {
        names.COMPONENT_LABEL: "scorer",
        names.ROUND_LABEL: str(batch.round),
        **({names.DEVICE_LABEL: names.device_label(devices[0])} if len(devices) == 1 else {}),
    }
    deadline = run.spec.device_deadline_seconds * len(devices) + IMAGE_PULL_ALLOWANCE_SECONDS
    args = score_arguments(run, name, devices, fleet.scorer.extra_args)
    pod = _pod_spec(run, fleet, image, args, min(deadline, run.spec.active_deadline_seconds))
    return _job_manifest(run, fleet, name, labels, {names.POSITIONS_ANNOTATION: str(batch.positions)}, pod)


def build_report_job(
    run: ScoringRun, fleet: Fleet, image: ScorerImage, *, device_list_names: Sequence[str]
) -> dict[str, Any]:
    """The manifest of the Job that reports on the run's window: a scorer's pod, with the run's ConfigMaps as files.

    Args:
        run: an ended run.
        fleet: the fleet's settings as frozen with the run.
        image: the scorer's image.
        lists: names of the ConfigMaps of the device list, in order.
    """
    files = [(name, "devices", f"devices-{part}") for part, name in enumerate(device_list_names)]
    files.append((names.progress_config_map_name(run), "progress", "progress"))
    sources = [
        # Optional: where one is gone, the report says so and ends, instead of waiting for it.
        {"configMap": {"name": name, "items": [{"key": key, "path": path}], "optional": True}}
        for name, key, path in files
    ]
    pod = _pod_spec(run, fleet, image, report_arguments(run, len(device_list_names)), None)
    pod["volumes"].append({"name": "run", "projected": {"sources": sources}})
    scorer = pod["containers"][0]
    scorer["volumeMounts"].append({"name": "run", "mountPath": RUN_FOLDER, "readOnly": True})
    scorer["terminationMessagePolicy"] = "FallbackToLogsOnError"  # it writes no message; its last line says what failed
    job = _job_manifest(run, fleet, names.report_job_name(run), {names.COMPONENT_LABEL: "report"}, {}, pod)
    job["spec"]["activeDeadlineSeconds"] = REPORT_DEADLINE_SECONDS
    return job


def _job_manifest(
    run: ScoringRun,
    fleet: Fleet,
    name: str,
    extra_labels: Mapping[str, str],
    annotations: Mapping[str, str],
    pod: dict[str, Any],
) -> dict[str, Any]:
    labels = {**names.run_labels(run), **extra_labels}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": run.namespace,
            "labels": {**fleet.scorer.labels, **labels},
            "annotations": {**fleet.scorer.annotations, **annotations},
            "ownerReferences": [names.owner_reference(run)],
        },
        "spec": {
            "backoffLimit": run.spec.backoff_limit,
            "ttlSecondsAfterFinished": max(run.spec.ttl_seconds_after_finished, MIN_JOB_TTL_SECONDS),
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": "scorer",
                            "operator": "In",
                            "values": [EXIT_CONFIGURATION, EXIT_PERMANENT],
                        },
                    },
                ]
            },
            "template": {
                "metadata": {
                    "labels": {**fleet.scorer.pod_labels, **_workload_identity_labels(fleet), **labels},
                    "annotations": dict(fleet.scorer.pod_annotations),
                },
                "spec": pod,
            },
        },
    }


def _pod_spec(
    run: ScoringRun, fleet: Fleet, image: ScorerImage, arguments: Sequence[str], deadline: int | None
) -> dict[str, Any]:
    scorer, resources = fleet.scorer, scorer_resources(run, fleet)
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": deadline,
        "serviceAccountName": scorer.service_account_name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "scorer",
                "image": image.image,
                "imagePullPolicy": image.pull_policy,
                "args": [escape_argument(argument) for argument in arguments],
                # Of two variables of one name the last counts: the fleet's own settings stand.
                "env": [*scorer.extra_env, *scorer_environment(fleet)],
                "resources": {"requests": resources.requests, "limits": resources.limits},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108  # the pod's own emptyDir
                    *scorer.extra_volume_mounts,
                ],
            }
        ],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": SCRATCH_SIZE_LIMIT}}, *scorer.extra_volumes],
        "imagePullSecrets": [{"name": secret} for secret in image.pull_secrets],
        "nodeSelector": scorer.node_selector,
        "tolerations": scorer.tolerations,
        "affinity": scorer.affinity,
        "topologySpreadConstraints": scorer.topology_spread_constraints,
        "priorityClassName": scorer.priority_class_name,
    }
    return {key: value for key, value in pod.items() if value not in ({}, [], "", None)}


def _workload_identity_labels(fleet: Fleet) -> dict[str, str]:
    """What asks Azure's webhook for a workload identity token."""
    return {"azure.workload.identity/use": "true"} if fleet.storage.auth == "workloadIdentity" else {}
