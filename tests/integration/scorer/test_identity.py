"""Tests of scoring with workload identity, against a fake Entra tenant and an Azurite that requires its tokens."""

import contextlib
import io
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from device_scorer.cli import build_parser
from device_scorer.cli import score as score_command
from device_scorer.settings import Settings, read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_scoring_store, open_store
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, RetryPolicy
from tests.testkit.entra import ASSERTION, SIGNATURE, Workload, token
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.scorer_fleet import END, PREDICTIONS, START, a_model, bundle, readings
from tests.testkit.waiting import until


class Result(NamedTuple):
    """The exit code and both outputs of a command."""

    code: int
    out: str
    err: str


def score(workload: Workload, monkeypatch: pytest.MonkeyPatch, policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> Result:
    """Score press-1 in this process, as a pod with workload identity does."""
    for name, value in {**workload.storage.environment(), "FLEETSCORE_AUTH": "workloadIdentity"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    workload.storage.put("models", "press-1.joblib", bundle({"1": a_model()}))
    workload.storage.put("data", "20180828T2300Z/press-1.csv", readings("press-1"))
    arguments = build_parser("score").parse_args(["--window-start", START, "--window-end", END, "--", "press-1"])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = score_command.run(arguments, open_store=lambda settings: open_scoring_store(settings, policy))
    return Result(code, out.getvalue(), err.getvalue())


@pytest.mark.fault("F30")
@pytest.mark.parametrize("code", ["AADSTS700213", "AADSTS70021"])
def test_device_is_scored_after_rejected_token_exchanges(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, code: str, record_measurement: RecordMeasurement
) -> None:
    workload.platform.rejections += [code] * 3
    began = time.monotonic()
    assert score(workload, monkeypatch).code == 0
    assert workload.platform.asked == 4
    assert workload.storage.names("predictions") == [f"{PREDICTIONS}/press-1.csv"]
    record_measurement(f"3 rejected exchanges cost {time.monotonic() - began:.1f} s, no device lost")


@pytest.mark.fault("F30")
def test_token_exchanges_that_keep_failing_end_in_75(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    workload.platform.rejections += ["AADSTS700213"] * 1000
    result = score(workload, monkeypatch, RetryPolicy(max_retry_seconds=5.0))
    assert (result.code, "IdentityUnavailable" in result.err, "AADSTS700213" in result.err) == (75, True, True)
    assert workload.platform.asked > 1


def test_wrong_identity_ends_in_75_after_one_exchange(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    workload.platform.rejections += ["AADSTS700016"] * 1000
    result = score(workload, monkeypatch)
    assert (result.code, "check client id" in result.err) == (75, True)
    assert workload.platform.asked == 1


@pytest.mark.fault("T13")
def test_token_is_in_no_line_at_any_log_level(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workload.platform.rejections += ["AADSTS700213", "AADSTS700016"]
    with caplog.at_level(logging.DEBUG):
        rejected, scored = score(workload, monkeypatch), score(workload, monkeypatch)
    assert (rejected.code, scored.code) == (75, 0)
    texts = rejected.out + rejected.err + scored.out + scored.err + caplog.text
    assert [secret for secret in (SIGNATURE, ASSERTION, token().split(".")[1][:30]) if secret in texts] == []


def test_one_token_serves_all_containers_of_a_process(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    assert score(workload, monkeypatch).code == 0
    assert workload.platform.asked == 1


def test_rotated_service_account_token_is_read_again(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A token that is about to expire is replaced by one for the assertion that the kubelet has written meanwhile."""
    seen: list[str] = []

    def issue(form: Mapping[str, str]) -> dict[str, Any]:
        seen.append(form["client_assertion"])
        (tmp_path / "federated-token").write_text(f"rotated-{len(seen)}")
        return {"token_type": "Bearer", "expires_in": 1, "access_token": token()}

    monkeypatch.setattr(workload.platform, "token", issue)
    environment = {**workload.storage.environment(), "FLEETSCORE_AUTH": "workloadIdentity"}
    store = open_scoring_store(read_settings(environment))
    # obstore replaces a token that expires within five minutes, at most every tenth of a second.
    until(lambda: store.read("data", "none.csv") is None and len(seen) > 1, "a second token")
    assert seen[:2] == [ASSERTION, "rotated-1"]


@pytest.mark.parametrize("opener", [open_scoring_store, open_store], ids=["obstore", "SDK"])
@pytest.mark.parametrize("form", ["https://{host}/", "https://{host}", "{host}"])
def test_authority_host_of_another_cloud_may_have_a_scheme_and_a_slash(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, form: str, opener: Callable[[Settings], Store]
) -> None:
    environment = {**workload.storage.environment(), "FLEETSCORE_AUTH": "workloadIdentity"}
    host = workload.platform.url.removeprefix("https://")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", form.format(host=host))
    store = opener(read_settings({**environment, "AZURE_AUTHORITY_HOST": form.format(host=host)}))
    assert store.head("data", "none.csv") is None
    assert workload.platform.asked == 1
