"""The progress line."""

import io

from fleetscore import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_after_the_delay_and_removed() -> None:
    assert (progress.DELAY_SECONDS, progress.INTERVAL_SECONDS) == (2, 0.5)
    stream = Terminal()
    items = progress.track("ab", 2, "windows", stream=stream, delay_seconds=0, interval_seconds=0)
    assert list(items) == ["a", "b"]
    assert stream.getvalue() == "\r0 of 2 windows\r1 of 2 windows" + "\r" + " " * len("1 of 2 windows") + "\r"


def test_quick_work_and_a_pipe_show_nothing() -> None:
    quick, pipe = Terminal(), io.StringIO()
    list(progress.track("ab", 2, "windows", stream=quick, delay_seconds=600))
    list(progress.track("ab", 2, "windows", stream=pipe, delay_seconds=0))
    assert quick.getvalue() == pipe.getvalue() == ""
