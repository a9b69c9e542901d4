"""The demo's cluster and storage on this machine: localcluster and Azurite."""

import shutil
from contextlib import suppress
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from demo.background import images_being_built
from demo.kube import connect
from demo.places import Places
from demo.target import Image, Target
from localcluster import azurite, images, nodejs, records
from localcluster.azurite import Azurite
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError
from localcluster.progress import Progress


def up(where: Places, progress: Progress) -> Target:
    """The cluster with both images and the storage, started or found running."""
    where.write_state({"where": "machine"})
    with images_being_built(where) as build:
        running = Cluster.up(where.cluster, "container", progress=progress)
        kube = connect(where, progress, source=running.kubeconfig)
        build.wait(progress)
    loaded = load_images(running, progress)
    storage = _storage(running, where.azurite, progress)
    client = BlobServiceClient.from_connection_string(storage.connection_string)
    return Target(where, kube, loaded["operator"], loaded["scorer"], storage.url, storage.connection_string, client)


def build_images(progress: Progress) -> None:
    """Build both images and install Azurite, where that is still to be done."""
    for name in images.NAMES:
        images.build(name, progress=progress)
    nodejs.install_azurite(progress)


def load_images(running: Cluster, progress: Progress) -> dict[str, Image]:
    """Give a cluster both images where it does not have them as they are now."""
    loaded = {}
    for name in images.NAMES:
        archive = images.build(name, progress=progress)
        note = running.folder / f"loaded-{name}"
        if not note.exists() or note.read_text() != archive.name:
            with progress.step(f"loading the {name} image into the cluster", usual_seconds=10):
                running.load_image(archive)
            note.write_text(archive.name)
        repository, _, tag = images.tag(name).partition(":")
        loaded[name] = Image(repository, tag, archive.stem)
    return loaded


def load_images_if_up(where: Places, progress: Progress) -> None:
    """Load both images into the demo's cluster if it is up."""
    with suppress(ClusterError):
        load_images(Cluster.open(where.cluster), progress)
        print("Loaded into the demo's cluster; `make demo` puts them to use.")


def down(where: Places) -> None:
    """End the cluster and Azurite and remove what they kept."""
    records.down(where.cluster)
    azurite.stop(where.azurite)
    shutil.rmtree(where.azurite, ignore_errors=True)
    with suppress(OSError):
        where.azurite.parent.rmdir()


def _storage(running: Cluster, folder: Path, progress: Progress) -> Azurite:
    found = Azurite.open(folder)
    if found and found.host == running.host_address:
        return found
    azurite.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return Azurite.start(folder, host=running.host_address, progress=progress)
