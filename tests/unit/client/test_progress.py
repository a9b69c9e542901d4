"""The progress line."""

import io

import pytest

from fleetscore import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_after_the_delay_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_INTERVAL_SECONDS", 0.0)
    stream = Terminal()
    assert list(progress.track("ab", 2, "windows", stream=stream)) == ["a", "b"]
    assert stream.getvalue() == "\r0 of 2 windows\r1 of 2 windows" + "\r" + " " * len("1 of 2 windows") + "\r"


def test_quick_work_and_a_pipe_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, pipe = Terminal(), io.StringIO()
    list(progress.track("ab", 2, "windows", stream=quick))
    monkeypatch.setattr(progress, "DELAY_SECONDS", 0.0)
    list(progress.track("ab", 2, "windows", stream=pipe))
    assert quick.getvalue() == pipe.getvalue() == ""
