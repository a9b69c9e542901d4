"""Manifests of the scoring Job of a batch and of the report Job of a run.

The fleet and the operator's settings decide where a pod runs, with which account, and what it may access. A ScoringRun
contributes numbers, a window, tags and device ids, and its texts only as arguments.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from scoring_operator.api import names
from scoring_operator.api.fleets import Fleet, PodIds
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.contract.command import (
    CONTAINER_NAME,
    EXIT_CONFIGURATION,
    EXIT_PERMANENT,
    PROGRESS_FILE,
    REPORT_DEADLINE_SECONDS,
    RUN_FOLDER,
    device_list_file,
    escape_argument,
    report_arguments,
    report_environment,
    score_arguments,
    scorer_environment,
)
from scoring_operator.planner.progress import Batch
from scoring_operator.resources.config_maps import DEVICES_KEY, PROGRESS_KEY

IMAGE_PULL_ALLOWANCE_SECONDS = 600  # a pod's activeDeadlineSeconds includes the pull of its image
MIN_JOB_TTL_SECONDS = 86_400  # the operator deletes Jobs; their TTL must not delete a Job whose result is not recorded
SCRATCH_SIZE_LIMIT = "1Gi"  # of /tmp, the only writable folder
USER_ID = 65532


@dataclass(frozen=True, slots=True)
class ScorerImage:
    """The scorer's image and its pull settings, from the operator's settings."""

    image: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()


def build_job(
    run: ScoringRun,
    fleet: Fleet,
    image: ScorerImage,
    *,
    name: str,
    batch: Batch,
    devices: Sequence[str],
    template: str = "",
) -> dict[str, Any]:
    """Return the manifest of a scoring Job.

    Args:
        run: The run.
        fleet: The fleet of the run.
        image: The scorer's image.
        name: The name of the Job.
        batch: The batch.
        devices: The ids of the batch's devices, in ascending order of position.
        template: The digest of the pod's settings; empty to compute it.
    """
    labels = {
        names.COMPONENT_LABEL: "scorer",
        names.ROUND_LABEL: str(batch.round),
        **({names.DEVICE_LABEL: names.device_label(devices[0])} if len(devices) == 1 else {}),
    }
    deadline = run.spec.device_deadline_seconds * len(devices) + IMAGE_PULL_ALLOWANCE_SECONDS
    args = score_arguments(run, name, devices, fleet.scorer.extra_args)
    pod = _pod_spec(run, fleet, image, args, min(deadline, run.spec.active_deadline_seconds))
    annotations = {
        names.POSITIONS_ANNOTATION: str(batch.positions),
        names.TEMPLATE_ANNOTATION: template or template_digest(run, fleet, image),
    }
    return _job_manifest(run, fleet, name, labels, annotations, pod)


def template_digest(run: ScoringRun, fleet: Fleet, image: ScorerImage) -> str:
    """Return a digest of what the fleet and the operator decide about the run's pods, such as image and placement.

    Args:
        run: The run.
        fleet: The fleet of the run.
        image: The scorer's image.
    """
    scorer = fleet.scorer
    pod = _pod_spec(run, fleet, image, scorer.extra_args, None)
    metadata = (scorer.pod_labels, _workload_identity_labels(fleet), scorer.pod_annotations)
    content = msgspec.json.encode((pod, metadata), order="sorted")
    return hashlib.sha256(content).hexdigest()[:16]


def build_report_job(
    run: ScoringRun, fleet: Fleet, image: ScorerImage, *, device_list_names: Sequence[str]
) -> dict[str, Any]:
    """Return the manifest of a report Job: a scorer pod with the run's ConfigMaps as files.

    Args:
        run: The run, which has ended.
        fleet: The fleet of the run.
        image: The scorer's image.
        device_list_names: The names of the ConfigMaps of the device list, in order.
    """
    files = [(name, DEVICES_KEY, device_list_file(part)) for part, name in enumerate(device_list_names)]
    files.append((names.progress_config_map_name(run), PROGRESS_KEY, PROGRESS_FILE))
    sources = [
        # Without `optional`, the pod waits for a deleted ConfigMap; with it, the report command fails at once.
        {"configMap": {"name": name, "items": [{"key": key, "path": path}], "optional": True}}
        for name, key, path in files
    ]
    pod = _pod_spec(run, fleet, image, report_arguments(run, len(device_list_names)), None)
    pod["containers"][0]["env"] += report_environment(fleet)
    pod["volumes"].append({"name": "run", "projected": {"sources": sources}})
    scorer = pod["containers"][0]
    scorer["volumeMounts"].append({"name": "run", "mountPath": RUN_FOLDER, "readOnly": True})
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
            # KEP-3939: a replacement starts after the end of its predecessor, so two pods never score one batch.
            "podReplacementPolicy": "Failed",
            # KEP-3329: an eviction does not count as a failure, and a permanent failure is not retried.
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": CONTAINER_NAME,
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
    scorer, resources = fleet.scorer, fleet.resources_for(run)
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": deadline,
        "serviceAccountName": scorer.service_account_name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _pod_security_context(fleet),
        "containers": [
            {
                "name": CONTAINER_NAME,
                "image": image.image,
                "imagePullPolicy": image.pull_policy,
                "args": [escape_argument(argument) for argument in arguments],
                # The last of two variables with one name wins, so extraEnv cannot override the fleet's settings.
                "env": [*scorer.extra_env, *scorer_environment(fleet)],
                "resources": {"requests": resources.requests, "limits": resources.limits},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                # The end of the log takes the place of a message that the scorer could not write.
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108  # an emptyDir of the pod
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
        "hostUsers": scorer.host_users,  # KEP-127: with False, the user ids of the pod are not those of the node
    }
    return {key: value for key, value in pod.items() if value not in ({}, [], "", None, msgspec.UNSET)}


def _pod_security_context(fleet: Fleet) -> dict[str, Any]:
    """Return the pod's part of the restricted Pod Security Standard, with the ids that the fleet sets."""
    ids = fleet.scorer.pod_security_context
    if isinstance(ids, msgspec.UnsetType):
        ids = PodIds(USER_ID, USER_ID, USER_ID)
    return {"runAsNonRoot": True, **msgspec.to_builtins(ids), "seccompProfile": {"type": "RuntimeDefault"}}


def _workload_identity_labels(fleet: Fleet) -> dict[str, str]:
    """Return the label by which the webhook of Azure Workload Identity adds a token."""
    return {"azure.workload.identity/use": "true"} if fleet.storage.auth == "workloadIdentity" else {}
