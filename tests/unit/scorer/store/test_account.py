"""Tests of the storage account that the settings name."""

import pytest

from device_scorer.errors import UsageInvalid
from device_scorer.settings import Settings
from device_scorer.store.account import Account, parse_connection_string, read_account, split_endpoint
from tests.testkit.blob_server import CANARY

IDENTITY = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_FEDERATED_TOKEN_FILE": "/token"}
URL = "https://acc.blob.core.windows.net"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AccountName=acc;AccountKey=a2V5", Account(URL, "acc", key="a2V5")),
        ("DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn;",
         Account("https://acc.blob.core.chinacloudapi.cn", "acc", key="a2V5")),
        ("AccountName=dev;AccountKey=a2V5;BlobEndpoint=http://[::1]:10000/dev/;",
         Account("http://[::1]:10000/dev", "dev", key="a2V5")),
        ("accountname=acc ; AccountKey=a2V5 ;", Account(URL, "acc", key="a2V5")),
        (f"BlobEndpoint={URL};SharedAccessSignature=?sv=1&sig=s%3D", Account(URL, "acc", sas_token="sv=1&sig=s%3D")),
        ("AccountName=acc;AccountKey=a2V5;SharedAccessSignature=sig=s", Account(URL, "acc", key="a2V5")),
    ],
)  # fmt: skip
def test_connection_string_names_endpoint_and_credential(text: str, expected: Account) -> None:
    assert parse_connection_string(text) == expected


def test_connection_string_of_the_emulator_is_complete() -> None:
    account = parse_connection_string("UseDevelopmentStorage=true")
    assert (account.endpoint, account.name) == ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1")
    assert account.key


@pytest.mark.fault("T13")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"AccountName=a;AccountKey {CANARY}", "name=value parts"),
        (f"AccountName=a;SecretKey={CANARY}", "AccountKey and SharedAccessSignature are missing"),
        (f"AccountKey={CANARY}", "AccountName and BlobEndpoint are missing"),
        (f"AccountName=a;AccountKey={CANARY}!", "AccountKey is not base64"),
        (f"AccountName=a;AccountKey=a2V5;BlobEndpoint=https://{CANARY}@a", "missing or malformed"),
    ],
)
def test_incomplete_connection_string_is_rejected_without_the_secret(text: str, problem: str) -> None:
    settings = Settings(auth="connectionString", connection_string=text, secret="the Secret fleet-storage")
    with pytest.raises(UsageInvalid, match=f"the Secret fleet-storage is invalid: .*{problem}") as rejected:
        read_account(settings)
    assert CANARY not in str(rejected.value)


def test_secret_of_the_wrong_kind_names_the_variable() -> None:
    settings = Settings(account_url=URL, auth="sas", sas_token=f"{URL}?sig=x")
    with pytest.raises(UsageInvalid, match="AZURE_STORAGE_SAS_TOKEN is invalid: it is a URL with a SAS"):
        read_account(settings)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", "https://login.microsoftonline.com"),
        ("https://login.microsoftonline.us/", "https://login.microsoftonline.us"),
        ("login.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
        ("https://[::1]:65535", "https://[::1]:65535"),
        ("127.0.0.1:443", "https://127.0.0.1:443"),
        ("https://gate.example/entra", "https://gate.example/entra"),
    ],
)
def test_identity_has_the_authority_host_of_its_cloud(host: str, expected: str) -> None:
    account = read_account(Settings(account_url=URL), {**IDENTITY, "AZURE_AUTHORITY_HOST": host})
    assert account.identity
    assert (account.identity.authority_host, account.name) == (expected, "acc")


@pytest.mark.parametrize(
    "host",
    [f"{'a' * 63}.b.", "127.0.0.1:65535", "[::1]:1", "azurite_1:10000", "xn--bcher-kva.example", "ACC.example"],
)
def test_account_url_has_any_host_that_a_request_can_have(host: str) -> None:
    account = read_account(Settings(account_url=f"http://{host}/acc", auth="sas", sas_token="sv=1&sig=s"))
    assert (account.endpoint, account.name) == (f"http://{host}/acc", "acc")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:65536", "acc:", "a..b", ".a", "a" * 64, "xn--\u00fc", "h\u00e4", "%31", "a!", "[::]]", "1.2.3"],
)
def test_account_url_with_a_host_that_no_request_can_have_is_rejected(host: str) -> None:
    text = r"is invalid: it must be the http\(s\) URL of a host, without user and query; set a URL such as https://acc"
    with pytest.raises(UsageInvalid, match=text):
        read_account(Settings(account_url=f"http://{host}/acc", auth="sas", sas_token="sv=1&sig=s"))
    with pytest.raises(ValueError, match="AccountName and BlobEndpoint are missing or malformed"):
        parse_connection_string(f"BlobEndpoint=http://{host}/acc;SharedAccessSignature=sv=1")


NEXT_STEPS = {
    "AZURE_AUTHORITY_HOST": "set it to the host of Microsoft Entra in this cloud, such as https://login",
    "AZURE_TENANT_ID": "correct the annotation azure.workload.identity/tenant-id of the service account",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZURE_AUTHORITY_HOST", "https://no such host"),
        ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:9"),
        ("AZURE_AUTHORITY_HOST", "https://user@host"),
        ("AZURE_AUTHORITY_HOST", "https://host:x"),
        ("AZURE_AUTHORITY_HOST", "https://host:65536"),
        ("AZURE_AUTHORITY_HOST", "host?a"),
        ("AZURE_AUTHORITY_HOST", "h\u00e4"),
        ("AZURE_AUTHORITY_HOST", "https://[:::]"),
        ("AZURE_AUTHORITY_HOST", "https://[1:2:3:4:5:6:7:8:9]"),
        ("AZURE_AUTHORITY_HOST", "https://[127.0.0.1]"),
        ("AZURE_AUTHORITY_HOST", "https://999.1.1.1/"),
        ("AZURE_AUTHORITY_HOST", "https://login.1"),
        ("AZURE_AUTHORITY_HOST", "https://login.0x"),
        ("AZURE_AUTHORITY_HOST", "https://xn--a"),
        ("AZURE_TENANT_ID", "../x"),
        ("AZURE_TENANT_ID", "x y"),
        ("AZURE_TENANT_ID", "a?b"),
        ("AZURE_TENANT_ID", "t\u00e4"),
    ],
)
def test_identity_with_a_part_that_no_url_can_have_is_rejected(name: str, value: str) -> None:
    with pytest.raises(UsageInvalid, match=f"^{name} is invalid: it must be .*; {NEXT_STEPS[name]}"):
        read_account(Settings(account_url=URL), {**IDENTITY, name: value})


def test_missing_identity_names_the_label_of_the_pod() -> None:
    with pytest.raises(UsageInvalid, match=r"azure\.workload\.identity/use=true"):
        read_account(Settings(account_url=URL), {**IDENTITY, "AZURE_CLIENT_ID": " "})


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (URL, (URL, "")),
        ("http://127.0.0.1:10000/acc", ("http://127.0.0.1:10000", "acc")),
        ("https://gate.example/storage/acc/", ("https://gate.example/storage", "acc")),
        ("http://[::1]:1/acc", ("http://[::1]:1", "acc")),
    ],
)
def test_endpoint_is_split_before_the_last_segment(endpoint: str, expected: tuple[str, str]) -> None:
    assert split_endpoint(endpoint) == expected


def test_account_has_no_secret_in_its_text() -> None:
    assert CANARY not in repr(Account(URL, "acc", key=CANARY, sas_token=CANARY))
