"""The demo's cluster and storage on this machine: localcluster and Azurite."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from demo.image_build import build_images_in_background
from demo.kube_commands import create_commands
from demo.target import Image, Target
from demo.workspace import Workspace
from localcluster import cluster_state
from localcluster.addons import azurite
from localcluster.addons.azurite import Azurite
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError
from localcluster.progress import StepProgress
from localcluster.toolchain import images, nodejs


def create_target(workspace: Workspace, progress: StepProgress) -> Target:
    """Return the cluster with both images, and the storage; start them if they do not run."""
    workspace.write_state({"where": "machine"})
    with build_images_in_background(workspace) as build:
        running = Cluster.up(workspace.cluster, "container", progress=progress)
        kube = create_commands(workspace, progress, source=running.kubeconfig)
        build.wait(progress)
    loaded = load_images(running, progress)
    storage = _start_storage(running, workspace.azurite_folder, progress)
    client = BlobServiceClient.from_connection_string(storage.connection_string)
    return Target(workspace, kube, loaded["operator"], loaded["scorer"], storage.url, storage.connection_string, client)


def build_images(progress: StepProgress, names: Sequence[str] = images.IMAGE_NAMES) -> None:
    """Build images, by default those of the demo, and install Azurite, if that is not done yet."""
    for name in names:
        images.build_image(name, progress=progress)
    nodejs.install_azurite(progress)


def load_images(
    cluster: Cluster, progress: StepProgress, names: Sequence[str] = images.IMAGE_NAMES
) -> dict[str, Image]:
    """Load images into a cluster, if it does not have their current content.

    Args:
        cluster: The cluster.
        progress: The printer of the steps.
        names: The names of the images; by default those of the demo, `operator` and `scorer`.

    Returns:
        The image by name.
    """
    loaded = {}
    for name in names:
        archive = images.build_image(name, progress=progress)
        note = cluster.folder / f"loaded-{name}"
        if not note.exists() or note.read_text() != archive.name:
            with progress.step(f"loading the {name} image into the cluster", usual_seconds=10):
                cluster.load_image(archive)
            note.write_text(archive.name)
        repository, _, tag = images.image_reference(name).partition(":")
        loaded[name] = Image(repository, tag, archive.stem)
    return loaded


def load_images_if_up(workspace: Workspace, progress: StepProgress) -> None:
    """Load every image into the demo's cluster if it is up."""
    with suppress(ClusterError):
        load_images(Cluster.open(workspace.cluster), progress, images.ALL_IMAGE_NAMES)
        print("Loaded into the demo's cluster; `make demo` uses them.")


def down(workspace: Workspace) -> None:
    """Remove the cluster and Azurite with their data."""
    cluster_state.remove_cluster(workspace.cluster)
    azurite.stop(workspace.azurite_folder)
    shutil.rmtree(workspace.azurite_folder, ignore_errors=True)
    with suppress(OSError):
        workspace.azurite_folder.parent.rmdir()


def _start_storage(cluster: Cluster, folder: Path, progress: StepProgress) -> Azurite:
    found = Azurite.open(folder)
    if found and found.host == cluster.host_address:
        return found
    azurite.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return Azurite.start(folder, host=cluster.host_address, progress=progress)
