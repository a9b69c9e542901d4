"""Upload of a folder store and download of predictions."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient, ContainerClient

from demo.errors import DemoError

CONTAINERS = ("models", "data", "predictions")
_MAX_CONNECTIONS = 4


def recreate_containers(client: BlobServiceClient) -> None:
    """Recreate the three containers, so that predictions of an earlier demo do not count as scored."""
    present = {container.name for container in client.list_containers()}
    for name in CONTAINERS:
        if name in present:
            client.delete_container(name)
        try:
            client.create_container(name)
        except ResourceExistsError as error:  # Azure deletes within half a minute, Azurite at once
            raise DemoError(f"the container {name} is still being deleted; retry in a minute") from error


def upload(client: BlobServiceClient, store: Path) -> int:
    """Upload a store's models and readings and return the number of blobs."""
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
    """Download the blobs under a prefix into a folder, under their own names, and return the files."""
    source = client.get_container_client(container)
    return list(_download_each(source, prefix, target))


def _download_each(source: ContainerClient, prefix: str, target: Path) -> Iterator[Path]:
    for name in source.list_blob_names(name_starts_with=prefix):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.download_blob(name).readall())
        yield path
