"""Installs the chart with the demo's values."""

import base64
import hashlib
from typing import Any

import yaml

from demo import places
from demo.errors import DemoError
from demo.kube import Kube
from demo.target import Target
from localcluster.progress import Progress

SECRET, KEY = "fleet-storage", "connectionString"  # as examples/demo-values.yaml names them


def install(target: Target, progress: Progress) -> None:
    """Make the namespace, the storage's Secret and the release; wait until the operator is ready."""
    prepare_namespace(target.kube)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": places.NAMESPACE}}
    content = {KEY: base64.b64encode(target.connection_string.encode()).decode()}
    target.kube.apply(secret | {"type": "Opaque", "data": content})
    path = target.where.demo / "values.yaml"
    path.write_text(yaml.safe_dump(values(target), sort_keys=False))
    _clear_interrupted(target.kube)
    with progress.step("installing the chart", usual_seconds=15):
        chart = str(places.CHECKOUT / "charts" / "fleetscore")
        options = ["--values", str(path), "--wait", "--timeout", "2m"]
        try:
            target.kube.run_helm("upgrade", "--install", places.RELEASE, chart, *options)
        except DemoError as error:
            raise DemoError(f"{error}\n{_state_of_operator(target.kube)}") from error


def prepare_namespace(kube: Kube) -> None:
    """Make the demo's namespace, with the strictest of the Pod Security levels enforced."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": places.NAMESPACE, "labels": labels}})


def values(target: Target) -> dict[str, Any]:
    """The example's values, with this target's images and storage."""
    example = yaml.safe_load((places.CHECKOUT / "examples" / "demo-values.yaml").read_text())
    example["fleets"][0]["storage"]["accountUrl"] = target.account_url
    for component, image in (("operator", target.operator), ("scorer", target.scorer)):
        example[component]["image"] |= {"repository": image.repository, "tag": image.tag}
    # The tag and the Secret's name stay when what is behind them changes: without these the old pod would go on.
    example["operator"]["podAnnotations"] = {
        "fleetscore.dev/image": target.operator.content,
        "fleetscore.dev/storage": hashlib.sha256(target.connection_string.encode()).hexdigest()[:16],
    }
    assert isinstance(example, dict)  # noqa: S101  for mypy: the example is a mapping, as its test says
    return example


def _state_of_operator(kube: Kube) -> str:
    """The operator's pods and the end of its log, as far as there are any."""
    parts = []
    for command in (["get", "pods"], ["logs", f"deployment/{places.RELEASE}-operator", "--tail=15"]):
        try:
            parts.append(f"$ kubectl {' '.join(command)}\n{kube.run(*command)}")
        except DemoError as error:
            parts.append(str(error))
    return "\n".join(parts)


def _clear_interrupted(kube: Kube) -> None:
    # An installation that Ctrl-C ended stays "pending", and Helm then refuses every other.
    pending = kube.run_helm("list", "--pending", "--short", "--filter", f"^{places.RELEASE}$")
    if pending.strip():
        kube.run_helm("uninstall", places.RELEASE, "--wait")
