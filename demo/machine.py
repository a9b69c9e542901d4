"""The demo's cluster and storage on this machine: localcluster and Azurite."""

import shutil
from contextlib import suppress

from azure.storage.blob import BlobServiceClient

from demo import places
from demo.background import images_being_built
from demo.kube import Kube, write_kubeconfig
from demo.target import Image, Target
from localcluster import azurite, images, nodejs, records, tools
from localcluster.azurite import Azurite
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError
from localcluster.progress import Progress


def up(progress: Progress) -> Target:
    """The cluster with both images and the storage, started or found running."""
    places.write_state({"where": "machine"})
    with images_being_built() as build:
        running = Cluster.up(places.CLUSTER, "container", progress=progress)
        kube = Kube(tools.ensure_program("kubectl", progress=progress), tools.ensure_program("helm", progress=progress))
        write_kubeconfig(kube.kubectl, running.kubeconfig, None)
        places.write_wrappers({"kubectl": kube.kubectl, "helm": kube.helm})
        build.wait(progress)
    loaded = load_images(running, progress)
    storage = _storage(running, progress)
    client = BlobServiceClient.from_connection_string(storage.connection_string)
    return Target(kube, loaded["operator"], loaded["scorer"], storage.url, storage.connection_string, client)


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


def load_images_if_up(progress: Progress) -> None:
    """Load both images into the demo's cluster if it is up."""
    with suppress(ClusterError):
        load_images(Cluster.open(places.CLUSTER), progress)
        print("Loaded into the demo's cluster; `make demo` puts them to use.")


def down() -> None:
    """End the cluster and Azurite and remove what they kept."""
    records.down(places.CLUSTER)
    folder = places.azurite_folder()
    azurite.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()


def _storage(running: Cluster, progress: Progress) -> Azurite:
    folder = places.azurite_folder()
    found = Azurite.open(folder)
    if found and found.host == running.host_address:
        return found
    azurite.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return Azurite.start(folder, host=running.host_address, progress=progress)
