"""The containers and blobs of a demo; tests/e2e/test_demo.py uses a real storage."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from demo import blobs
from demo.errors import DemoError


class FakeStorage:
    """A storage account in memory. A container in `deleting` is still being deleted."""

    def __init__(self, *, deleting: bool = False, **containers: dict[str, bytes]) -> None:
        self.containers = containers
        self.deleting = deleting

    @property
    def client(self) -> BlobServiceClient:
        return cast("BlobServiceClient", self)

    def list_containers(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.containers]

    def delete_container(self, name: str) -> None:
        del self.containers[name]

    def create_container(self, name: str) -> None:
        if self.deleting:
            raise ResourceExistsError
        self.containers[name] = {}

    def get_blob_client(self, container: str, name: str) -> Any:
        return SimpleNamespace(upload_blob=lambda content: self.containers[container].update({name: content}))

    def get_container_client(self, container: str) -> Any:
        content = self.containers[container]

        def list_blob_names(name_starts_with: str) -> Iterator[str]:
            return (name for name in content if name.startswith(name_starts_with))

        return SimpleNamespace(
            list_blob_names=list_blob_names,
            download_blob=lambda name: SimpleNamespace(readall=lambda: content[name]),
        )


def test_predictions_of_an_earlier_demo_are_deleted_and_other_containers_kept() -> None:
    storage = FakeStorage(predictions={"old": b""}, mine={"kept": b""})
    blobs.recreate_containers(storage.client)
    assert storage.containers == {"predictions": {}, "mine": {"kept": b""}, "models": {}, "data": {}}


def test_container_that_is_still_being_deleted_is_an_error_with_the_next_step() -> None:
    with pytest.raises(DemoError, match="the container models is still being deleted; retry in a minute"):
        blobs.recreate_containers(FakeStorage(deleting=True).client)


def test_models_and_readings_of_a_store_are_uploaded_and_counted(tmp_path: Path) -> None:
    for name in ("models/press-1.joblib", "data/20180828T2300Z/press-1.csv", "predictions/old.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    storage = FakeStorage(models={}, data={}, predictions={})
    assert blobs.upload(storage.client, tmp_path) == 2
    assert storage.containers == {
        "models": {"press-1.joblib": b"models/press-1.joblib"},
        "data": {"20180828T2300Z/press-1.csv": b"data/20180828T2300Z/press-1.csv"},
        "predictions": {},
    }


def test_blobs_under_a_prefix_are_downloaded_under_their_names(tmp_path: Path) -> None:
    storage = FakeStorage(predictions={"one/a.csv": b"1", "one/b.csv": b"2", "other/a.csv": b"3"})
    files = blobs.download(storage.client, "predictions", "one/", tmp_path)
    assert {path: path.read_bytes() for path in files} == {
        tmp_path / "one/a.csv": b"1",
        tmp_path / "one/b.csv": b"2",
    }
