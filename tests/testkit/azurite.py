"""Fixtures with a running Azurite: one per session, a set of three containers of its own per test."""

import functools
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient, ContentSettings

from localcluster.addons.azurite import Azurite


@dataclass(frozen=True)
class Storage:
    """Three blob containers on an Azurite; `models`, `data` and `predictions` are their names."""

    azurite: Azurite
    models: str
    data: str
    predictions: str

    @property
    def connection_string(self) -> str:
        return self.azurite.connection_string

    @property
    def account_url(self) -> str:
        return self.azurite.url

    @functools.cached_property
    def client(self) -> BlobServiceClient:
        oauth = self.azurite.oauth
        trust: dict[str, Any] = {"connection_verify": str(oauth.certificate)} if oauth else {}
        return BlobServiceClient.from_connection_string(self.connection_string, **trust)

    def container(self, role: str) -> str:
        return {"models": self.models, "data": self.data, "predictions": self.predictions}[role]

    def put(
        self,
        role: str,
        name: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        encoding: str | None = None,
    ) -> None:
        blob = self.client.get_blob_client(self.container(role), name)
        settings = ContentSettings(content_encoding=encoding)
        blob.upload_blob(content, overwrite=True, metadata=dict(metadata or {}), content_settings=settings)

    def get(self, role: str, name: str) -> bytes:
        return self.client.get_blob_client(self.container(role), name).download_blob().readall()

    def names(self, role: str, prefix: str = "") -> list[str]:
        found = self.client.get_container_client(self.container(role)).list_blob_names(name_starts_with=prefix or None)
        return sorted(found)

    def environment(self) -> dict[str, str]:
        """Return the environment with which a scorer, or the operator's tests, reach these containers."""
        return {
            "FLEETSCORE_AUTH": "connectionString",
            "FLEETSCORE_ACCOUNT_URL": self.account_url,
            "AZURE_STORAGE_CONNECTION_STRING": self.connection_string,
            "FLEETSCORE_MODELS_CONTAINER": self.models,
            "FLEETSCORE_DATA_CONTAINER": self.data,
            "FLEETSCORE_PREDICTIONS_CONTAINER": self.predictions,
        }


def new_storage(azurite: Azurite) -> Storage:
    """Create three new containers on a running Azurite."""
    suffix = uuid.uuid4().hex[:8]
    storage = Storage(azurite, f"models-{suffix}", f"data-{suffix}", f"predictions-{suffix}")
    for role in ("models", "data", "predictions"):
        azurite.create_container(storage.container(role))
    return storage


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with Azurite.start(tmp_path_factory.mktemp("azurite") / "store", containers=()) as running:
        yield running


@pytest.fixture
def storage(azurite: Azurite) -> Iterator[Storage]:
    fresh = new_storage(azurite)
    yield fresh
    fresh.client.close()
