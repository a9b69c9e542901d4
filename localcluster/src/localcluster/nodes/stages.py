'''Stages of kwok: what happens to the pods of simulated nodes.

kwok applies a Stage to every pod that matches it. The default stages run every pod immediately and complete every pod
of a Job immediately, with exit code 0 and without a message. A test adds other stages with `Cluster.add_stage`. Stages
are Kubernetes objects and can be added and removed while the cluster runs. The default stages have weight 0, so any
other stage takes precedence. If several stages match a pod, kwok selects one at random, in proportion to their weights:
give them disjoint selectors, or very different weights.

    cluster.add_stage(stages.finish_pods("press-7-fails", arguments=["press-7"], exit_code=65, message="no model"))
    cluster.add_stage(stages.finish_pods("slow", labels={"fleetscore.dev/run": "hourly"}, after_seconds=5))
    cluster.add_stage(stages.finish_pods("hangs", arguments=["press-9"], after_seconds=stages.NEVER_SECONDS))
    cluster.add_stage(stages.keep_pods_pending("no-image", arguments=["press-8"], reason="ImagePullBackOff"))

`message` is the termination message. `message_template` is a pipeline of a Go template with sprig's functions. Its
variables are the pod (`.`), the first container's arguments (`$args`) and the arguments after "--" (`$operands`):

    stages.finish_pods("counts", message_template="""printf `{"devices":%d}` (len $operands)""")
'''

import json
from collections.abc import Mapping, Sequence
from typing import Any

NEVER_SECONDS = 10.0**7  # four months
_API_VERSION = "kwok.x-k8s.io/v1alpha1"
_NOT_DELETED = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
_DELETED = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
_PENDING = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
_NOT_WAITING = {"key": ".status.containerStatuses.[].state.waiting.reason", "operator": "DoesNotExist"}
_RUNNING = {"key": ".status.phase", "operator": "In", "values": ["Running"]}
_NOT_RUNNING = {"key": ".status.phase", "operator": "NotIn", "values": ["Running"]}
_OF_A_JOB = {"key": ".metadata.ownerReferences.[].kind", "operator": "In", "values": ["Job"]}

# A CRD of kwok's Stage that accepts any object; kwok itself reports errors in it.
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


def finish_pods(  # noqa: PLR0913  a test sets each of them
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
    """Return a stage that ends running pods of Jobs.

    Args:
        name: The stage's name.
        labels: The labels that a pod must have, all of them.
        arguments: Arguments of which the pod's first container must have at least one.
        after_seconds: The time that the pod runs, in seconds.
        exit_code: The exit code of every container. The pod's phase is Succeeded if it is 0, else Failed.
        message: The termination message.
        message_template: The termination message as a pipeline of a template (see above), instead of `message`.
        reason: The container's reason, e.g. OOMKilled. The default is Completed or Error.
        pod_status: Additional fields of the pod's status, e.g. {"reason": "Evicted"} or conditions.
        weight: The stage's weight (see above). The default stages have weight 0.
    """
    pipeline = message_template if message_template is not None else json.dumps(message)
    template = _ended_status(exit_code, reason or ("Completed" if exit_code == 0 else "Error"), pipeline)
    # A JSON mapping on one line is also YAML.
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
    """Return the status template of a pod whose containers have ended."""
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
    """Return a stage that keeps pods pending until they are deleted.

    Args:
        name: The stage's name.
        reason: The reason why the containers wait, e.g. ErrImagePull.
        labels: The labels that a pod must have, all of them.
        arguments: Arguments of which the pod's first container must have at least one.
        weight: The stage's weight (see above).
    """
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
    """Return the stages that every cluster with simulated nodes starts with."""
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
        # As a kubelet does: the Job controller replaces a pod only after the pod has ended.
        _build_stage(
            "default-pod-killed",
            "Pod",
            [_DELETED, _RUNNING],
            _status_patch(_ended_status(exit_code=137, reason="Error")),
        ),
    ]
