'''Stages: what happens to the pods of simulated nodes.

kwok moves a pod on whenever a Stage matches it. The default stages run every pod at once and complete every pod of a
Job at once with exit code 0 and no message. A test that wants something else adds stages of its own with
`Cluster.add_stage`; they are Kubernetes objects, so they may come and go while the cluster runs. The default ones have
weight 0, which loses against any other; where several others match one pod, kwok chooses at random in proportion to
their weights (so give them disjoint selectors, or very different weights).

    cluster.add_stage(stages.finish("press-7-fails", arguments=["press-7"], exit_code=65, message="no model"))
    cluster.add_stage(stages.finish("slow", labels={"fleetscore.dev/run": "hourly"}, after_seconds=5))
    cluster.add_stage(stages.finish("hangs", arguments=["press-9"], after_seconds=stages.NEVER))
    cluster.add_stage(stages.wait("no-image", arguments=["press-8"], reason="ImagePullBackOff"))

`message` is the termination message. As `message_template` it may be a Go template's pipeline (with sprig's functions)
over the pod (`.`), its first container's arguments (`$args`) and those of them that come after "--" (`$operands`):

    stages.finish("counts", message_template="""printf `{"devices":%d}` (len $operands)""")
'''

import json
from collections.abc import Mapping, Sequence
from typing import Any

NEVER_SECONDS = 10.0**7  # seconds: four months
_API_VERSION = "kwok.x-k8s.io/v1alpha1"
_NOT_DELETED = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
_DELETED = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
_PENDING = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
_NOT_WAITING = {"key": ".status.containerStatuses.[].state.waiting.reason", "operator": "DoesNotExist"}
_RUNNING = {"key": ".status.phase", "operator": "In", "values": ["Running"]}
_NOT_RUNNING = {"key": ".status.phase", "operator": "NotIn", "values": ["Running"]}
_OF_A_JOB = {"key": ".metadata.ownerReferences.[].kind", "operator": "In", "values": ["Job"]}

# The schema of kwok's own Stage, as far as a test needs it: any object will do, kwok itself says what is wrong with it.
STAGE_CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "stages.kwok.x-k8s.io"},
    "spec": {
        "group": "kwok.x-k8s.io",
        "names": {"kind": "Stage", "listKind": "StageList", "plural": "stages", "singular": "stage"},
        "scope": "Cluster",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            part: {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                            for part in ("spec", "status")
                        },
                    }
                },
            }
        ],
    },
}


def finish_pods(  # noqa: PLR0913  each is one thing that a test sets
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    after_seconds: float = 0,
    exit_code: int = 0,
    message: str = "",
    message_template: str | None = None,
    reason: str | None = None,
    pod_status: Mapping[str, Any] | None = None,
    weight: int = 1,
) -> dict[str, Any]:
    """A stage that ends running pods.

    Args:
        name: the stage's name.
        labels: only pods that have all of these labels.
        arguments: only pods whose first container has one of these arguments.
        after_seconds: how long the pod runs.
        exit_code: of every container; the pod is Succeeded when it is 0, else Failed.
        message: the termination message.
        message_template: the termination message as a template's pipeline (see above), instead of `message`.
        reason: the container's reason, e.g. OOMKilled; Completed or Error by default.
        pod_status: further fields of the pod's status, e.g. {"reason": "Evicted"} or conditions.
        weight: see above; 0 is the default stages'.
    """
    pipeline = message_template if message_template is not None else json.dumps(message)
    template = _ended_status(exit_code, reason or ("Completed" if exit_code == 0 else "Error"), pipeline)
    # A JSON mapping on one line is YAML as it stands.
    template += "".join(f"{key}: {json.dumps(value)}\n" for key, value in (pod_status or {}).items())
    return _build_stage(
        name,
        "Pod",
        [_NOT_DELETED, _RUNNING, _OF_A_JOB],
        _status_patch(template),
        labels=labels,
        arguments=arguments,
        after_seconds=after_seconds,
        weight=weight,
    )


def _ended_status(exit_code: int, reason: str, pipeline: str = '""') -> str:
    """The status of a pod whose containers have ended."""
    return f"""
{{{{ $args := or (index .spec.containers 0).args list }}}}{{{{ $operands := list }}}}{{{{ $after := false }}}}
{{{{ range $args }}}}{{{{ if $after }}}}{{{{ $operands = append $operands . }}}}{{{{ end }}}}
{{{{ if eq . "--" }}}}{{{{ $after = true }}}}{{{{ end }}}}{{{{ end }}}}
{{{{ $now := Now }}}}{{{{ $root := . }}}}{{{{ $message := {pipeline} }}}}
containerStatuses:
{{{{ range $index, $item := .spec.containers }}}}
- name: {{{{ $item.name | Quote }}}}
  image: {{{{ $item.image | Quote }}}}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: {exit_code}
      reason: {json.dumps(reason)}
      message: {{{{ $message | Quote }}}}
      startedAt: {{{{ (index $root.status.containerStatuses $index).state.running.startedAt | Quote }}}}
      finishedAt: {{{{ $now | Quote }}}}
{{{{ end }}}}
phase: {"Succeeded" if exit_code == 0 else "Failed"}
"""


def keep_pods_pending(
    name: str, *, reason: str, labels: Mapping[str, str] | None = None, arguments: Sequence[str] = (), weight: int = 1
) -> dict[str, Any]:
    """A stage that leaves pods pending, their containers waiting for `reason` (ErrImagePull, ...), until deleted."""
    template = f"""
containerStatuses:
{{{{ range .spec.containers }}}}
- name: {{{{ .name | Quote }}}}
  image: {{{{ .image | Quote }}}}
  ready: false
  restartCount: 0
  state: {{waiting: {{reason: {json.dumps(reason)}}}}}
{{{{ end }}}}
"""
    selector: list[Mapping[str, Any]] = [_NOT_DELETED, _PENDING, _NOT_WAITING]
    return _build_stage(
        name, "Pod", selector, _status_patch(template), labels=labels, arguments=arguments, weight=weight
    )


def _status_patch(template: str) -> dict[str, Any]:
    return {"patch": {"subresource": "status", "root": "status", "template": template}}


def _build_stage(
    name: str,
    kind: str,
    expressions: Sequence[Mapping[str, Any]],
    step: Mapping[str, Any],
    *,
    labels: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    after_seconds: float = 0,
    weight: int = 0,
) -> dict[str, Any]:
    all_of: list[Mapping[str, Any]] = list(expressions)
    if arguments:
        all_of.append({"key": ".spec.containers[0].args.[]", "operator": "In", "values": list(arguments)})
    selector: dict[str, Any] = {"matchExpressions": [{"jq": expression} for expression in all_of]}
    if labels:
        selector["matchLabels"] = dict(labels)
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": selector,
        "steps": [step],
        "weight": weight,
    }
    if after_seconds:
        spec["delay"] = {"durationMilliseconds": round(after_seconds * 1000)}
    return {"apiVersion": _API_VERSION, "kind": "Stage", "metadata": {"name": name}, "spec": spec}


_RUNNING_TEMPLATE = """
{{ $now := Now }}
conditions:
{{ range list "Initialized" "Ready" "ContainersReady" }}
- {type: {{ . }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
phase: Running
startTime: {{ $now | Quote }}
"""

_NODE_READY_TEMPLATE = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
addresses:
- {type: InternalIP, address: {{ NodeIP | Quote }}}
- {type: Hostname, address: {{ .metadata.name | Quote }}}
{{ if not .status.allocatable }}
capacity: &size {cpu: "1000", memory: 4Ti, ephemeral-storage: 4Ti, pods: "100000"}
allocatable: *size
{{ end }}
"""


def default_stages() -> list[dict[str, Any]]:
    """The stages that every cluster with simulated nodes starts with."""
    not_ready = {
        "key": '.status.conditions.[] | select( .type == "Ready" ) | .status',
        "operator": "NotIn",
        "values": ["True"],
    }
    return [
        _build_stage("default-node-ready", "Node", [not_ready], _status_patch(_NODE_READY_TEMPLATE)),
        _build_stage(
            "default-pod-runs", "Pod", [_NOT_DELETED, _PENDING, _NOT_WAITING], _status_patch(_RUNNING_TEMPLATE)
        ),
        finish_pods("default-pod-completes", weight=0),
        _build_stage(
            "default-pod-deleted",
            "Pod",
            [_DELETED, _NOT_RUNNING],
            {"delete": True},
        ),
        # As a kubelet does: the Job controller does not replace a pod before it has ended.
        _build_stage(
            "default-pod-killed",
            "Pod",
            [_DELETED, _RUNNING],
            _status_patch(_ended_status(exit_code=137, reason="Error")),
        ),
    ]
