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
