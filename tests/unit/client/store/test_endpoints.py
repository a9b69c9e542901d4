"""Only endpoints of Azure Storage get a token of the user."""

import pytest

from fleetscore.store.endpoints import is_azure_endpoint


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.blob.core.windows.net", True),
        ("https://A.BLOB.core.windows.net./", True),
        ("https://a.z01.blob.storage.azure.net", True),
        ("https://a.blob.core.usgovcloudapi.net", True),
        ("http://a.blob.core.windows.net", False),
        ("https://a.blob.core.windows.net.evil.example", False),
        ("https://evil.example/a.blob.core.windows.net", False),
        ("https://a.blob.core.windows.net@evil.example", False),
        ("https://evil.example#.blob.core.windows.net", False),
        ("https://blob.core.windows.net", False),
        ("http://127.0.0.1:10000/devstoreaccount1", False),
        ("https://a.blob.core.windows.net:443/?x", True),
        ("https://evil.example\\.blob.core.windows.net", False),
        ("https://evil.example\\@a.blob.core.windows.net", False),
        ("https://evil.example\t.blob.core.windows.net", False),
        ("https://evil.example\x00.blob.core.windows.net", False),
        ("https://evil.example%2f.blob.core.windows.net", False),
        ("https://evil.example\N{FULLWIDTH SOLIDUS}.blob.core.windows.net", False),
        ("https://a.blob.core.windows.net:x@evil.example", False),
        ("https://a.blob.core.windows.net\n", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_endpoint_of_azure_is_recognized(url: str, *, expected: bool) -> None:
    assert is_azure_endpoint(url) is expected
