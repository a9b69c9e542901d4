"""What the demo runs against, wherever that is."""

from dataclasses import dataclass

from azure.storage.blob import BlobServiceClient

from demo.kube import Kube
from demo.places import Places


@dataclass(frozen=True)
class Image:
    """An image as the chart's values name it; `content` changes whenever what is in it does."""

    repository: str
    tag: str
    content: str


@dataclass(frozen=True)
class Target:
    """A cluster with both images in reach, and a blob storage.

    `account_url` and `connection_string` are as pods reach the storage; `client` is as this machine does. `where` is
    the place on this machine for what comes of it.
    """

    where: Places
    kube: Kube
    operator: Image
    scorer: Image
    account_url: str
    connection_string: str
    client: BlobServiceClient
