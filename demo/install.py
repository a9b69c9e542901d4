"""Installation of the chart with the demo's values."""

import base64
import hashlib
from typing import Any

import yaml

from demo import workspace
from demo.errors import DemoError
from demo.kube_commands import KubeCommands
from demo.target import Target
from localcluster.progress import StepProgress

SECRET_NAME, SECRET_KEY = "fleet-storage", "connectionString"  # the names in examples/demo-values.yaml


def install(target: Target, progress: StepProgress) -> None:
    """Create the namespace, the storage's Secret and the release; wait until the operator is ready."""
    prepare_namespace(target.kube)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET_NAME, "namespace": workspace.NAMESPACE}}
    content = {SECRET_KEY: base64.b64encode(target.connection_string.encode()).decode()}
    target.kube.apply(secret | {"type": "Opaque", "data": content})
    path = target.workspace.demo_folder / "values.yaml"
    path.write_text(yaml.safe_dump(chart_values(target), sort_keys=False))
    _uninstall_interrupted(target.kube)
    with progress.step("installing the chart", usual_seconds=15):
        chart = str(workspace.CHECKOUT / "charts" / "fleetscore")
        options = ["--values", str(path), "--wait", "--timeout", "2m"]
        try:
            target.kube.run_helm("upgrade", "--install", workspace.RELEASE, chart, *options)
        except DemoError as error:
            raise DemoError(f"{error}\n{_describe_operator(target.kube)}") from error


def prepare_namespace(kube: KubeCommands) -> None:
    """Create the demo's namespace with the Pod Security level `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": workspace.NAMESPACE, "labels": labels}})


def chart_values(target: Target) -> dict[str, Any]:
    """Return examples/demo-values.yaml with this target's images and storage."""
    example = yaml.safe_load((workspace.CHECKOUT / "examples" / "demo-values.yaml").read_text())
    example["fleets"][0]["storage"]["accountUrl"] = target.account_url
    for component, image in (("operator", target.operator_image), ("scorer", target.scorer_image)):
        example[component]["image"] |= {"repository": image.repository, "tag": image.tag}
    # The tag and the Secret's name do not change with their content: these annotations restart the pod.
    example["operator"]["podAnnotations"] = {
        "fleetscore.dev/image": target.operator_image.content_key,
        "fleetscore.dev/storage": hashlib.sha256(target.connection_string.encode()).hexdigest()[:16],
    }
    assert isinstance(example, dict)  # noqa: S101  for mypy: a test checks that the example is a mapping
    return example


def _describe_operator(kube: KubeCommands) -> str:
    """Return the operator's pods and the end of its log, if there are any."""
    parts = []
    for command in (["get", "pods"], ["logs", f"deployment/{workspace.RELEASE}-operator", "--tail=15"]):
        try:
            parts.append(f"$ kubectl {' '.join(command)}\n{kube.run_kubectl(*command)}")
        except DemoError as error:
            parts.append(str(error))
    return "\n".join(parts)


def _uninstall_interrupted(kube: KubeCommands) -> None:
    # An interrupted installation stays "pending", and Helm then rejects every other one.
    pending = kube.run_helm("list", "--pending", "--short", "--filter", f"^{workspace.RELEASE}$")
    if pending.strip():
        kube.run_helm("uninstall", workspace.RELEASE, "--wait")
