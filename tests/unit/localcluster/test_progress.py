import io

import pytest

from localcluster.progress import StepProgress, progress_line


def test_progress_line_has_description_duration_and_usual_duration() -> None:
    assert progress_line("building helm", 31, 140) == "building helm: 0:31 (usually 2:20)"
    assert progress_line("waiting", 61, None) == "waiting: 1:01"


def test_progress_in_a_log_consists_of_whole_lines() -> None:
    stream = io.StringIO()
    with StepProgress(stream, now=lambda: 7.0).step("building", usual_seconds=5):
        pass
    first, last = stream.getvalue().splitlines()
    assert first == "building: 0:00 (usually 0:05)"
    assert last.startswith("building: done in ")


def test_failed_step_is_reported_as_stopped() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), StepProgress(stream).step("dividing"):
        _ = 1 // 0
    assert stream.getvalue().splitlines()[-1].startswith("dividing: stopped after ")
