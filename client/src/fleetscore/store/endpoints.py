"""The blob endpoints that may get a token of the user.

Any user who may create a ConfigMap with the labels of a release can choose a fleet's account URL. So a token or SAS is
sent only to hosts of Azure Storage, whose TLS certificates other parties do not have. A connection string has an
endpoint of its own.
"""

import re

_ENDPOINT = re.compile(
    r"https://[a-z0-9.-]*[a-z0-9]"
    r"\.(blob\.core\.windows\.net|blob\.core\.usgovcloudapi\.net|blob\.core\.chinacloudapi\.cn|blob\.storage\.azure\.net)"
    r"\.?(:\d{1,5})?([/?#]\S*)?",
    re.ASCII | re.IGNORECASE,
)
"""URLs of the public cloud, of its national clouds, and of accounts with DNS zones.

Parsers of URLs disagree about other characters: a backslash is a part of the host for urllib, and ends it for urllib3.
"""


def is_azure_endpoint(url: str) -> bool:
    """Return True if a URL is https and its host belongs to Azure Storage."""
    return _ENDPOINT.fullmatch(url) is not None
