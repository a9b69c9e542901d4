"""The demo on a cluster of the user: images through a registry, Azurite as a Deployment, a port-forward to it.

The Deployment uses Azurite's public image, because the user's cluster reaches registries.
"""

import base64
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import yaml
from azure.storage.blob import BlobServiceClient

from demo import image_build, install
from demo.errors import DemoError
from demo.kube_commands import KubeCommands, create_commands
from demo.target import Image, Target
from demo.workspace import CHECKOUT, NAMESPACE, RELEASE, Workspace
from localcluster.addons.azurite import ACCOUNT
from localcluster.progress import StepProgress
from localcluster.toolchain import images

_ACCOUNTS_OBJECT = "azurite-accounts"


@contextmanager
def connect_target(workspace: Workspace, context: str, registry: str, progress: StepProgress) -> Iterator[Target]:
    """Push the images, deploy Azurite, and keep a port-forward to it open while the body runs.

    Args:
        workspace: The demo's folders.
        context: The context of the user's kubeconfig.
        registry: The host and path to push the images to.
        progress: The printer of the steps.
    """
    workspace.write_state({"where": "remote", "context": context})
    kube = create_commands(workspace, progress, context=context)
    kube.run_kubectl("get", "--raw", "/readyz")
    operator, scorer = (_push_image(name, registry, progress) for name in images.IMAGE_NAMES)
    install.prepare_namespace(kube)
    key = _deploy_azurite(kube, progress)
    address = kube.get("service", "azurite")["spec"]["clusterIP"]
    inside = f"http://{f'[{address}]' if ':' in address else address}:10000/{ACCOUNT}"
    with _forward_port(kube) as outside:
        client = BlobServiceClient.from_connection_string(_connection_string(f"{outside}/{ACCOUNT}", key))
        yield Target(workspace, kube, operator, scorer, inside, _connection_string(inside, key), client)


def down(workspace: Workspace, context: str, progress: StepProgress) -> None:
    """Remove the release and the demo's namespace from a cluster; keep the CRD, which others may use."""
    kube = create_commands(workspace, progress, context=context)
    with progress.step(f"removing the namespace {NAMESPACE} from {context}", usual_seconds=20):
        if kube.run_helm("list", "--all", "--short", "--filter", f"^{RELEASE}$").strip():
            kube.run_helm("uninstall", RELEASE, "--wait")
        kube.run_kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    print("The CRD is kept; to remove it with every ScoringRun: kubectl delete crd scoringruns.fleetscore.dev")


def _push_image(name: str, registry: str, progress: StepProgress) -> Image:
    archive = images.build_image(name, progress=progress)
    repository = f"{registry.rstrip('/')}/{name}"
    images.push_image(archive, f"{repository}:{archive.stem}", progress=progress)
    return Image(repository, archive.stem, archive.stem)


def _deploy_azurite(kube: KubeCommands, progress: StepProgress) -> str:
    """Deploy Azurite in the cluster and return its account's key."""
    found = kube.run_kubectl("get", "secret", _ACCOUNTS_OBJECT, "--ignore-not-found", "-o", "jsonpath={.data.accounts}")
    if found:
        key = base64.b64decode(found).decode().partition(":")[2]
    else:
        key = base64.b64encode(secrets.token_bytes(64)).decode()
        accounts = {"stringData": {"accounts": f"{ACCOUNT}:{key}"}, "metadata": {"name": _ACCOUNTS_OBJECT}}
        kube.apply({"apiVersion": "v1", "kind": "Secret"} | accounts)
    kube.apply(*yaml.safe_load_all((CHECKOUT / "examples" / "azurite.yaml").read_text()))
    with progress.step("starting Azurite in the cluster", usual_seconds=30):
        kube.run_kubectl("rollout", "status", "deployment/azurite", "--timeout=5m")
    return key


@contextmanager
def _forward_port(kube: KubeCommands) -> Iterator[str]:
    command = [str(kube.kubectl), f"--kubeconfig={kube.kubeconfig}", "port-forward", "service/azurite", ":10000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            # The first line of its output has the port. Without a connection kubectl ends and the line is empty.
            first = process.stdout.readline() if process.stdout else ""
            port = re.search(r"127\.0\.0\.1:(\d+)", first)
            if not port:
                raise DemoError(f"kubectl port-forward to Azurite failed: {first.strip()}")
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            image_build.terminate(process)


def _connection_string(url: str, key: str) -> str:
    scheme = urlsplit(url).scheme
    return f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={url};"
