"""What the demo runs against, wherever that is."""

from dataclasses import dataclass

from azure.storage.blob import BlobServiceClient

from demo.kube_commands import KubeCommands
from demo.workspace import Workspace


@dataclass(frozen=True)
class Image:
    """An image as the chart's values name it; `content` changes whenever what is in it does."""

    repository: str
    tag: str
    content_key: str


@dataclass(frozen=True)
class Target:
    """A cluster with both images in reach, and a blob storage.

    `account_url` and `connection_string` are as pods reach the storage; `client` is as this machine does. `where` is
    the place on this machine for what comes of it.
    """

    workspace: Workspace
    kube: KubeCommands
    operator_image: Image
    scorer_image: Image
    account_url: str
    connection_string: str
    client: BlobServiceClient
