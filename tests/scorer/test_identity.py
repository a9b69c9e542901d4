"""What the identity platform's and the storage account's refusals mean."""

import logging
import time

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError

from device_scorer import settings
from device_scorer.errors import IdentityUnavailable, StorageUnavailable, UsageInvalid
from device_scorer.store import retry
from device_scorer.store.azure_errors import classify
from device_scorer.store.factory import open_store
from device_scorer.store.retry import RetryableFailure, call_with_retry
from tests.testkit.blob_server import CANARY
from tests.testkit.entra import ASSERTION, SIGNATURE, Workload, token
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.scorer_fleet import END, PREDICTIONS, START, Said, a_model, bundle, readings, scorer


@pytest.mark.fault("F30")
@pytest.mark.parametrize("code", ["AADSTS700213", "AADSTS70021", "AADSTS90033"])
def test_a_credential_that_has_not_spread_yet_is_tried_again(code: str) -> None:
    trouble = classify(ClientAuthenticationError(f"{code}: No matching federated identity {CANARY}"), target="x")
    assert isinstance(trouble.error, IdentityUnavailable)
    assert code in str(trouble.error)
    assert CANARY not in str(trouble.error)


def test_a_wrong_client_id_is_told_at_once() -> None:
    with pytest.raises(IdentityUnavailable, match=r"AADSTS700016.*check client id"):
        classify(ClientAuthenticationError("AADSTS700016: Application not found"), target="x")


def test_no_word_from_the_identity_platform_is_tried_again() -> None:
    assert isinstance(classify(ClientAuthenticationError("no answer"), target="x").error, IdentityUnavailable)


def test_a_connection_that_never_was_is_told_from_one_that_broke() -> None:
    never = classify(
        ServiceRequestError(f"url?sig={CANARY}", error=ConnectionRefusedError(111, "Connection refused")), target="x"
    )
    broke = classify(ServiceResponseError(f"url?sig={CANARY}", error=ConnectionResetError(104, "reset")), target="x")
    assert (never.maybe_applied, broke.maybe_applied) == (False, True)
    assert isinstance(broke.error, StorageUnavailable)
    assert CANARY not in f"{never.error} {broke.error}"


def test_what_is_no_storage_error_is_not_swallowed() -> None:
    with pytest.raises(KeyError):
        classify(KeyError("a mistake of ours"), target="x")


@pytest.mark.fault("T13")
@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"FLEETSCORE_ACCOUNT_URL": "https://a.blob.core.windows.net"}, "azure.workload.identity/use=true"),
        (
            {"FLEETSCORE_AUTH": "connectionString", "AZURE_STORAGE_CONNECTION_STRING": f"AccountKey {CANARY}"},
            "no connection string",
        ),
    ],
)
def test_settings_that_cannot_work_say_what_is_missing_and_no_secret(
    environment: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageInvalid, match=told) as refused:
        open_store(settings.read_settings(environment))
    assert CANARY not in str(refused.value)


def score(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> Said:
    """Score press-1 as a pod does, whose storage wants the platform's tokens."""
    for name, value in {**workload.storage.environment(), "FLEETSCORE_AUTH": "workloadIdentity"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    workload.storage.put("models", "press-1.joblib", bundle({"1": a_model()}))
    workload.storage.put("data", "20180828T2300Z/press-1.csv", readings("press-1"))
    return scorer("score", "--window-start", START, "--window-end", END, "--", "press-1")


@pytest.mark.fault("F30")
@pytest.mark.parametrize("code", ["AADSTS700213", "AADSTS70021"])
def test_a_device_is_scored_though_the_first_exchanges_of_its_token_fail(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, code: str, record_measurement: RecordMeasurement
) -> None:
    workload.platform.refusals += [code] * 3
    began = time.monotonic()
    assert score(workload, monkeypatch).code == 0
    assert workload.platform.asked == 4
    assert workload.storage.names("predictions") == [f"{PREDICTIONS}/press-1.csv"]
    record_measurement(f"3 refused exchanges cost {time.monotonic() - began:.1f} s, no device lost")


@pytest.mark.fault("F30")
def test_exchanges_that_go_on_failing_end_in_75(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_RETRY_SECONDS", 1.0)
    workload.platform.refusals += ["AADSTS700213"] * 1000
    said = score(workload, monkeypatch)
    assert (said.code, "IdentityUnavailable" in said.err, "AADSTS700213" in said.err) == (75, True, True)
    assert workload.platform.asked > 1


def test_a_wrong_identity_is_75_after_one_exchange(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    workload.platform.refusals += ["AADSTS700016"] * 1000
    said = score(workload, monkeypatch)
    assert (said.code, "check client id" in said.err) == (75, True)
    assert workload.platform.asked == 1


@pytest.mark.fault("T13")
def test_no_token_gets_into_any_line_at_any_level(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workload.platform.refusals += ["AADSTS700213", "AADSTS700016"]
    with caplog.at_level(logging.DEBUG):
        refused, scored = score(workload, monkeypatch), score(workload, monkeypatch)
    assert (refused.code, scored.code) == (75, 0)
    said = refused.out + refused.err + scored.out + scored.err + caplog.text
    assert [secret for secret in (SIGNATURE, ASSERTION, token().split(".")[1][:30]) if secret in said] == []


class Clock:
    """Time that passes only where one sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_host_that_cannot_be_reached_any_more_is_given_up_in_seconds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tries = Clock(), []
    monkeypatch.setattr(retry, "time", clock)

    def attempt() -> None:
        tries.append(clock.now)
        raise ConnectionError

    def understand(_: Exception) -> RetryableFailure:
        return RetryableFailure(StorageUnavailable("away"), maybe_applied=clock.now < 10)

    with pytest.raises(StorageUnavailable):
        call_with_retry(attempt, understand, deadline=300.0)
    assert 10 < tries[-1] < 26


@pytest.mark.fault("F30", "F27")
@pytest.mark.parametrize(("reached", "patient"), [(True, 60.0), (False, 5.0)])
def test_a_call_is_tried_again_for_a_minute_but_a_host_that_cannot_be_reached_for_seconds(
    monkeypatch: pytest.MonkeyPatch, *, reached: bool, patient: float
) -> None:
    clock, tries = Clock(), []
    monkeypatch.setattr(retry, "time", clock)

    def attempt() -> None:
        tries.append(clock.now)
        raise ConnectionError

    with pytest.raises(IdentityUnavailable):
        call_with_retry(
            attempt, lambda _: RetryableFailure(IdentityUnavailable("no token"), maybe_applied=reached), deadline=300.0
        )
    assert patient / 3 < tries[-1] <= patient  # it ends when the next pause would be too long, by its jitter
    assert len(tries) >= 4
