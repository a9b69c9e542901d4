"""Log lines as JSON."""

import json
import logging
import time

import pytest

from scoring_operator.observability import logs
from tests.testkit.waiting import shortest


def test_log_line_is_json_with_its_run_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG")
    logs.current_run.set("scoring/hourly")
    logger = logging.getLogger("scoring_operator.x")
    logger.info("line\nbreak GET https://a/b?sig=CANARY&x=1 AccountKey=CANARY;")
    try:
        int("SharedAccessSignature=CANARY")
    except ValueError:
        logger.exception("failed")
    logging.getLogger("azure.core").info("CANARY")
    logging.getLogger("urllib3.connectionpool").debug("CANARY")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["run"] for line in lines] == ["scoring/hourly"] * 2
    assert lines[0]["level"] == "INFO"
    assert "ValueError" in lines[1]["error"]
    assert "CANARY" not in json.dumps(lines)


@pytest.mark.parametrize(
    "text",
    [
        "https://a/b?se=1&sig=CANARY%2Bx%3D&sp=r",
        "redirect=https%3A%2F%2Fa%2Fb%3Fsig%3DCANARY%26sp%3Dr",
        "next=https%253A%252F%252Fa%253Fsig%253DCANARY",
        "AccountName=a;AccountKey=CANARY/+==;EndpointSuffix=x",
        "Authorization: SharedKey account:CANARY/+=",
        "{'Authorization': 'SharedKeyLite account:CANARY='}",
        '{"accountKey": "CANARY with spaces", "a": 1}',
        "{'client_secret': 'CANARY'}",
        r'{"body": "{\"access_token\":\"CANARY\"}"}',
        '{"kind": "ExecCredential", "status": {"token": "CANARY"}}',
        "Authorization: Bearer CANARY.x-y_z",
        "authorization=bearer CANARY",
        "Authorization: Basic CANARY==",
        "Bearer%20CANARY",
        "client_assertion=eyJCANARY&x=1",
        "token is eyJhbGciOiJSUzI1NiJ9.CANARY.CANARY",
        "-----BEGIN RSA PRIVATE KEY-----\nCANARY\nCANARY\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nCANARY cut off",
    ],
)
@pytest.mark.fault("T13")
def test_secret_of_every_form_is_masked(text: str) -> None:
    assert "CANARY" not in (found := logs.redact(text))
    assert "***" in found


@pytest.mark.parametrize(
    "text",
    [
        "container 'models': 403 AuthorizationFailure; the role Storage Blob Data Reader is missing",
        "design=flat assignment=x the token has expired; Secret fleet-storage has no key connectionString",
        'GET /apis/batch/v1/jobs?limit=200: {"reason": "Forbidden", "message": "sig is missing"}',
        "the bearers of this news",
    ],
)
def test_text_without_a_secret_is_kept(text: str) -> None:
    assert logs.redact(text) == text


def test_text_around_a_secret_is_kept() -> None:
    assert logs.redact("GET https://a/b?sig=abc&sp=r failed") == "GET https://a/b?sig=***&sp=r failed"
    assert logs.redact('{"password": "a b", "n": 1}') == '{"password": "***", "n": 1}'


def test_text_of_16384_characters_is_kept_and_a_longer_one_is_cut() -> None:
    assert logs.redact("x" * 16_384) == "x" * 16_384
    assert logs.redact("x" * 16_385) == f"{'x' * 16_384}... (16,385 characters)"


def test_long_text_is_cut_after_its_secrets_are_masked() -> None:
    found = logs.redact("x" * 16_376 + "sig=" + "CANARY" * 1000 + "y" * 10**6)
    assert len(found) < 16_484
    assert "CANARY" not in found
    assert found.endswith("(1,022,380 characters)")


@pytest.mark.parametrize(
    "text", ["\\" * 10**6, "eyJ" * 10**6, "'sig'" * 10**6, "Authorization:" * 10**5, "sig%25" * 10**6]
)
def test_hostile_text_is_redacted_within_a_second(text: str) -> None:
    def seconds_to_redact() -> float:
        started = time.process_time()
        logs.redact(text)
        return time.process_time() - started

    assert shortest(seconds_to_redact, 1) < 1
