"""Tests of the progress line."""

import sys

import pytest

from device_scorer.progress_line import UPDATE_INTERVAL_SECONDS, ProgressLine


def test_update_interval_is_one_second() -> None:
    assert UPDATE_INTERVAL_SECONDS == 1.0


def test_line_without_a_terminal_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine()
    line.show("half")
    line.clear()
    assert capsys.readouterr().err == ""


def test_line_on_a_terminal_is_shown_once_a_second_and_cleared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    line = ProgressLine(monotonic=lambda: now[0])
    for seconds, text in ((0.9, "early"), (1.0, "first"), (1.9, "too soon"), (2.0, "second")):
        now[0] = 100.0 + seconds
        line.show(text)
    line.clear()
    line.clear()
    assert capsys.readouterr().err == "\r\x1b[Kfirst\r\x1b[Ksecond\r\x1b[K"
