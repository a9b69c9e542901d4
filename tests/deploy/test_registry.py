"""What is published is what installs: chart and images by way of a real OCI registry."""

import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from localcluster import images
from localcluster.azurite import Azurite
from localcluster.cluster import Cluster
from localcluster.registry import Registry
from localcluster.tools import ensure_program
from tests.e2e.conftest import fleet_of, pods_azurite
from tests.e2e.release import KEY, ROOT, Release
from tests.support.azurite import new_storage

__all__ = ["fleet_of", "pods_azurite"]  # fixtures


@pytest.fixture(scope="module")
def registry(container_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that the cluster's node pulls from."""
    folder = tmp_path_factory.mktemp("registry") / "registry"
    with Registry.start(folder, host=container_cluster.host_address) as running:
        container_cluster.use_registry(running.address)
        yield running


def helm(*arguments: str, given: str = "") -> str:
    command = [str(ensure_program("helm")), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_chart_and_images_are_pushed_installed_and_pulled_from_a_registry(
    container_cluster: Cluster,
    registry: Registry,
    pods_azurite: Azurite,
    fleet_of: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    for name in images.NAMES:
        images.push(images.build(name), f"{registry.address}/fleetscore/{name}:published", plain_http=True)
    package = (
        helm("package", str(ROOT / "charts" / "fleetscore"), "--destination", str(tmp_path)).split(": ")[1].strip()
    )
    pushed = helm("push", package, f"oci://{registry.address}/charts", "--plain-http")
    assert re.search(r"^Digest: sha256:[0-9a-f]{64}$", pushed, re.MULTILINE), pushed

    release = Release(container_cluster, new_storage(pods_azurite), f"oci-{secrets.token_hex(4)}")
    try:
        store = fleet_of(3)
        release.upload(store)
        release.prepare({KEY: release.storage.connection_string})
        values = {
            name: {"image": {"repository": f"{registry.address}/fleetscore/{name}", "tag": "published"}}
            for name in images.NAMES
        }
        helm(
            "install", "fleetscore", f"oci://{registry.address}/charts/fleetscore", "--plain-http", "--take-ownership",
            f"--kubeconfig={container_cluster.kubeconfig}", f"--namespace={release.namespace}",
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
        assert pulled == {f"{registry.address}/fleetscore/{name}" for name in images.NAMES}
        # Layers that the node has from elsewhere are not fetched again; manifests are.
        fetched = re.findall(r"GET /v2/fleetscore/(\w+)/manifests/sha256.* 200 .*containerd/", registry.log.read_text())
        assert set(fetched) == set(images.NAMES)
    finally:
        release.uninstall()
        release.storage.client.close()
