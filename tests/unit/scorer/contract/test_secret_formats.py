"""Tests of secrets of the wrong kind. tests/contract compares the rules with those of the operator."""

import pytest

from device_scorer.contract import secret_formats
from device_scorer.contract.secret_formats import secret_problem
from tests.testkit.blob_server import CANARY

SAS = f"sv=2023-11-03&ss=b&sig={CANARY}%3D"
CONNECTION_STRING = f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={CANARY};EndpointSuffix=core.windows.net"
ACCOUNT_KEY = "a" * 86 + "=="


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("sas", SAS),
        ("sas", f"?{SAS}"),
        ("connectionString", CONNECTION_STRING),
        ("connectionString", f"BlobEndpoint=https://a.example;SharedAccessSignature={SAS}"),
        ("connectionString", "UseDevelopmentStorage=true"),
    ],
)
def test_secret_of_its_kind_has_no_problem(kind: str, secret: str) -> None:
    assert secret_problem(kind, secret) is None


@pytest.mark.parametrize(
    ("kind", "secret", "problem"),
    [
        ("sas", f"https://a.blob.core.windows.net/?{SAS}", "a URL with a SAS; use only the part after"),
        ("sas", CONNECTION_STRING, "it is a connection string; use it as kind connectionString"),
        ("sas", f'"{SAS}"', "remove the quotes"),
        ("sas", f"'{SAS}'", "remove the quotes"),
        ("sas", f"{SAS}\nx", "line breaks"),
        ("sas", f"\ufeff{SAS}", "copy it again"),
        ("sas", "sv=2023-11-03&ss=b", "it has no sig="),
        ("sas", ACCOUNT_KEY, "it is an account key"),
        ("sas", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "it is a token"),
        ("sas", "{}", "it is JSON"),
        ("sas", "", "it is empty"),
        ("sas", "x" * 9000, "more than 8,192"),
        ("connectionString", SAS, "it is a SAS token; use it as kind sas"),
        ("connectionString", "https://a.blob.core.windows.net", "it is a URL"),
        ("connectionString", ACCOUNT_KEY, "which contains the key"),
        ("connectionString", f'"{CONNECTION_STRING}"', "remove the quotes"),
        ("connectionString", "RGVmYXVsdEVuZHBvaW50c1Byb3RvY29sPWh0dHBz", "base64 once too often"),
        ("sas", f"FLEET_SAS={SAS}", "name of a variable; use only the value after the first ="),
        ("connectionString", f"AZURE_STORAGE_CONNECTION_STRING={CONNECTION_STRING}", "the name of a variable"),
        ("sas", SAS.replace("&", "&amp;"), "escaped for HTML; replace each &amp; by &"),
        ("sas", SAS.replace("%3D", "").replace("=", "%3D").replace("&", "%26"), "percent-encoded as a whole"),
        ("sas", "sv=2023-11-03&sig=&sp=r", "it has no sig="),
        ("connectionString", f"HostName=h.azure-devices.net;SharedAccessKey={CANARY}", "service, such as IoT Hub"),
        ("connectionString", f"Endpoint=sb://h;SharedAccessKeyName=r;SharedAccessKey={CANARY}", "another service"),
    ],
)
def test_secret_of_another_kind_is_named_without_the_secret(kind: str, secret: str, problem: str) -> None:
    found = secret_problem(kind, secret)
    assert found is not None
    assert problem in found
    assert CANARY not in found


def test_secret_has_at_most_8192_characters_and_an_account_key_88() -> None:
    assert (secret_formats.MAX_SECRET_CHARS, secret_formats._ACCOUNT_KEY_CHARS) == (8192, 88)
    assert secret_formats._MIN_BASE64_CHARS == 20
