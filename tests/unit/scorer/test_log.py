"""Tests of log lines: JSON for programs, text on a terminal, never a secret."""

import json
import sys
from datetime import datetime

import pytest

from device_scorer import log

SECRETS = [
    "https://a/b?sv=1&sig=canary&x=1",
    "AccountName=a;AccountKey=canary;EndpointSuffix=core",
    "SharedAccessSignature=canary",
    "access_token=canary",
    "client_assertion=canary",
    "Authorization: Bearer canary.x-y_z~/+==",
    "redirect=https%3A%2F%2Fa%2Fb%3Fsig%3Dcanary%26sp%3Dr",
    "next=https%253A%252F%252Fa%253Fsig%253Dcanary",
    "Authorization: SharedKey account:canary/+=",
    "{'Authorization': 'SharedKeyLite account:canary='}",
    '{"accountKey": "canary with spaces", "a": 1}',
    "{'client_secret': 'canary'}",
    r'{"body": "{\"access_token\":\"canary\"}"}',
    "authorization=bearer canary",
    "Authorization: Basic canary==",
    "Bearer%20canary",
    "token is eyJhbGciOiJSUzI1NiJ9.canary.canary",
    "-----BEGIN PRIVATE KEY-----\ncanary cut off",
]


@pytest.mark.fault("T13")
@pytest.mark.parametrize("text", SECRETS)
def test_secret_is_redacted_in_text_and_fields(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.error(text, detail=text)
    assert "canary" not in log.redact(text)
    assert "canary" not in capsys.readouterr().err


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_line_for_programs_is_json_with_time_level_and_fields(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    getattr(log, level)("stopped", device="ä\n", count=3)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert datetime.fromisoformat(found.pop("time")).utcoffset() is not None
    assert found == {"level": level, "message": "stopped", "device": "ä\n", "count": 3}


@pytest.mark.parametrize(
    ("level", "line"), [("info", "stopped  device=a\n"), ("warning", "warning: stopped  device=a\n")]
)
def test_line_on_a_terminal_is_plain_text(
    level: str, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    getattr(log, level)("stopped", device="a")
    assert capsys.readouterr().err == line


def test_log_is_bounded_and_a_secret_at_the_end_is_not_cut_in_half() -> None:
    found = log.redact("x" * (log.MAX_TEXT_CHARS - 8) + "sig=" + "canary" * 1000 + "y" * 10**6)
    assert log.MAX_TEXT_CHARS == 16_384
    assert len(found) < log.MAX_TEXT_CHARS + 100
    assert "canary" not in found


def test_control_characters_cannot_forge_a_line_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log.info("version 1.9\r\x1b[2Kfine", device="a\x07")
    assert capsys.readouterr().err == "version 1.9\\r\\x1b[2Kfine  device=a\\x07\n"
