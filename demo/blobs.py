"""The demo's blobs: a folder store goes up, predictions come down."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient, ContainerClient

from demo.errors import DemoError

CONTAINERS = ("models", "data", "predictions")
_MAX_CONNECTIONS = 4


def recreate_containers(client: BlobServiceClient) -> None:
    """Make the three containers anew: what an earlier demo left would count as scored already."""
    present = {container.name for container in client.list_containers()}
    for name in CONTAINERS:
        if name in present:
            client.delete_container(name)
        try:
            client.create_container(name)
        except ResourceExistsError as error:  # Azure takes half a minute over a deletion; Azurite does not
            raise DemoError(f"the container {name} is still being deleted; try again in a minute") from error


def upload(client: BlobServiceClient, store: Path) -> int:
    """Upload a store's models and readings; how many blobs that were."""
    files = [
        (role, path) for role in ("models", "data") for path in sorted((store / role).rglob("*")) if path.is_file()
    ]

    def upload_file(item: tuple[str, Path]) -> None:
        role, path = item
        client.get_blob_client(role, path.relative_to(store / role).as_posix()).upload_blob(path.read_bytes())

    with ThreadPoolExecutor(_MAX_CONNECTIONS) as pool:
        list(pool.map(upload_file, files))
    return len(files)


def download(client: BlobServiceClient, container: str, prefix: str, target: Path) -> list[Path]:
    """Copy the blobs under a prefix into a folder, under their own names; the files."""
    source = client.get_container_client(container)
    return list(_download_each(source, prefix, target))


def _download_each(source: ContainerClient, prefix: str, target: Path) -> Iterator[Path]:
    for name in source.list_blob_names(name_starts_with=prefix):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.download_blob(name).readall())
        yield path
