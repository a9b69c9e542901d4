"""The published chart and images install from a real OCI registry."""

import json
import re
import secrets
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from localcluster.addons.azurite import Azurite
from localcluster.addons.registry import Registry
from localcluster.cluster import Cluster
from localcluster.toolchain import images
from localcluster.toolchain.tools import ensure_program
from tests.testkit.azurite import new_storage
from tests.testkit.cluster import session_cluster
from tests.testkit.paths import ROOT
from tests.testkit.release import KEY, Release


@pytest.fixture
def bare() -> Iterator[Cluster]:
    """Return a cluster whose node has no image of the project, so that it pulls each one."""
    with session_cluster(None, "bare", "container") as cluster:
        yield cluster


@pytest.fixture
def azurite(bare: Cluster, tmp_path: Path) -> Iterator[Azurite]:
    """Run an Azurite that the cluster's pods reach."""
    with Azurite.start(tmp_path / "azurite", host=bare.host_address, containers=()) as running:
        yield running


@pytest.fixture
def registry(bare: Cluster, tmp_path: Path) -> Iterator[Registry]:
    """Run a registry that the cluster's node pulls from."""
    with Registry.start(tmp_path / "registry", host=bare.host_address) as running:
        bare.use_registry(running.address)
        yield running


def layers(registry: Registry, name: str) -> set[str]:
    """Return the digests of an image's layers, from the registry."""
    request = urllib.request.Request(
        f"http://{registry.address}/v2/fleetscore/{name}/manifests/published",
        headers={
            "Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return {layer["digest"] for layer in json.load(answer)["layers"]}


def helm(*arguments: str, given: str = "") -> str:
    command = [str(ensure_program("helm")), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_chart_and_images_are_pushed_to_and_installed_from_a_registry(
    bare: Cluster,
    registry: Registry,
    azurite: Azurite,
    fleet_of: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    for name in images.IMAGE_NAMES:
        images.push_image(images.build_image(name), f"{registry.address}/fleetscore/{name}:published", plain_http=True)
    package = (
        helm("package", str(ROOT / "charts" / "fleetscore"), "--destination", str(tmp_path)).split(": ")[1].strip()
    )
    pushed = helm("push", package, f"oci://{registry.address}/charts", "--plain-http")
    assert re.search(r"^Digest: sha256:[0-9a-f]{64}$", pushed, re.MULTILINE), pushed

    release = Release(bare, new_storage(azurite), f"oci-{secrets.token_hex(4)}")
    try:
        store = fleet_of(3)
        release.upload(store)
        release.prepare({KEY: release.storage.connection_string})
        values = {
            name: {"image": {"repository": f"{registry.address}/fleetscore/{name}", "tag": "published"}}
            for name in images.IMAGE_NAMES
        }
        helm(
            "install", "fleetscore", f"oci://{registry.address}/charts/fleetscore", "--plain-http", "--take-ownership",
            f"--kubeconfig={bare.kubeconfig}", f"--namespace={release.namespace}",
            "--values", "-", "--wait", "--timeout", "5m",
            given=yaml.safe_dump({"fleets": [release.fleet()], **values}),
        )  # fmt: skip
        release.start_run("whole")
        release.wait_for_end("whole", seconds=300)
        assert release.devices("whole") == {"total": 3, "scored": 3}
        pulled = {
            status["imageID"].partition("@")[0]
            for pod in release.get("pods")["items"]
            for status in pod["status"].get("containerStatuses", ())
            if status["imageID"]  # the report's may be on its way
        }
        assert pulled == {f"{registry.address}/fleetscore/{name}" for name in images.IMAGE_NAMES}
        fetched = set(
            re.findall(r"GET /v2/fleetscore/\w+/blobs/(sha256:\w+).* 200 .*containerd/", registry.log.read_text())
        )
        assert set.union(*(layers(registry, name) for name in images.IMAGE_NAMES)) <= fetched
    finally:
        release.uninstall()
        release.storage.client.close()
