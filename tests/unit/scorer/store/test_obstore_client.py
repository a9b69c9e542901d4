"""Tests of the clients of obstore."""

from pathlib import Path

import pytest

from device_scorer.errors import UsageInvalid
from device_scorer.store.account import Account
from device_scorer.store.obstore_client import MAX_TRANSFER_SECONDS, Clients, metadata_of
from device_scorer.store.retry import RetryPolicy
from tests.testkit.blob_server import CANARY

ACCOUNT = Account("https://acc.blob.core.windows.net", "acc", sas_token=f"sv=1&sig={CANARY}")
POLICY = RetryPolicy(read_timeout_seconds=16.0, connect_timeout_seconds=5.0)


def timeouts_of(clients: Clients, seconds_left: float) -> tuple[str, ...]:
    options = clients.for_account(seconds_left).client_options or {}
    return tuple(str(options[name]) for name in ("connect_timeout", "read_timeout", "timeout"))


def test_transfer_through_obstore_has_600_s() -> None:
    assert MAX_TRANSFER_SECONDS == 600


def test_timeouts_are_those_of_the_policy_while_the_deadline_is_far() -> None:
    clients = Clients(ACCOUNT, POLICY)
    assert timeouts_of(clients, 1000) == timeouts_of(clients, 16) == ("5000ms", "16000ms", "600000ms")


@pytest.mark.parametrize(("left", "expected"), [(15.9, "8000ms"), (7.9, "4000ms"), (1.0, "1000ms"), (-5.0, "125ms")])
def test_timeouts_do_not_exceed_the_time_that_is_left(left: float, expected: str) -> None:
    assert timeouts_of(Clients(ACCOUNT, POLICY), left)[1:] == (expected, expected)


def test_clients_are_created_once_for_each_timeout_and_container() -> None:
    clients = Clients(ACCOUNT, POLICY)
    assert clients.for_account(100) is clients.for_account(50)
    assert clients.for_container("data", 100) is clients.for_container("data", 20)
    assert clients.for_container("data", 100) is not clients.for_container("models", 100)


def test_retries_of_obstore_are_off() -> None:
    retries = Clients(ACCOUNT, POLICY).for_account(100).retry_config
    assert retries is not None
    assert retries["max_retries"] == 0


@pytest.mark.fault("T13")
def test_credential_that_obstore_rejects_is_an_error_without_the_secret() -> None:
    with pytest.raises(UsageInvalid, match="obstore does not accept") as rejected:
        Clients(Account("https://a.example", "a", key=f"{CANARY}!"), POLICY)
    assert CANARY not in str(rejected.value)


def test_ca_bundle_of_the_environment_may_be_a_file_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"")
    for place in (tmp_path, tmp_path / "ca.pem"):
        Clients(ACCOUNT, POLICY, {"REQUESTS_CA_BUNDLE": str(place)})


def test_missing_ca_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageInvalid, match=r"CURL_CA_BUNDLE is invalid: .*/none\.pem: No such file"):
        Clients(ACCOUNT, POLICY, {"CURL_CA_BUNDLE": str(tmp_path / "none.pem")})


def test_metadata_is_separated_from_the_other_attributes() -> None:
    attributes = {
        "Content-Type": "text/csv",
        "Content-Encoding": "gzip",
        "rows": "1",
        "content-type": "own",
        "md5": "a",
    }
    assert metadata_of(attributes) == ({"rows": "1", "content-type": "own"}, "a")
