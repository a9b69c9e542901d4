"""The blob endpoints that may get a token of the user. Pure.

Any user who may create a ConfigMap with the labels of a release can choose a fleet's account URL. So a token or SAS is
sent only to hosts of Azure Storage, whose TLS certificates other parties do not have. A connection string has an
endpoint of its own.
"""

from urllib.parse import urlsplit

_HOST_SUFFIXES = (
    ".blob.core.windows.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.storage.azure.net",
)
"""The suffixes of the public cloud, of its national clouds, and of accounts with DNS zones."""


def is_azure_endpoint(url: str) -> bool:
    """Return True if a URL is https and its host belongs to Azure Storage."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower().rstrip(".")
    except ValueError:
        return False
    return parts.scheme == "https" and "@" not in parts.netloc and host.endswith(_HOST_SUFFIXES)
