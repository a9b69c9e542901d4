"""The cluster and the storage that the demo uses."""

from dataclasses import dataclass

from azure.storage.blob import BlobServiceClient

from demo.kube_commands import KubeCommands
from demo.workspace import Workspace


@dataclass(frozen=True)
class Image:
    """An image in the chart's values; `content_key` changes with its content."""

    repository: str
    tag: str
    content_key: str


@dataclass(frozen=True)
class Target:
    """A cluster that can pull both images, and a blob storage.

    Pods use `account_url` and `connection_string` for the storage, this machine uses `client`. Results are written to
    `workspace`.
    """

    workspace: Workspace
    kube: KubeCommands
    operator_image: Image
    scorer_image: Image
    account_url: str
    connection_string: str
    client: BlobServiceClient
