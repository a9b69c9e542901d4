import io
import threading
from pathlib import Path

from localcluster.locks import hold_lock
from localcluster.progress import StepProgress
from tests.testkit.waiting import until


def test_second_holder_waits_for_the_first_and_names_it(tmp_path: Path) -> None:
    lock, stream, order = tmp_path / "locks" / "mine.lock", io.StringIO(), list[str]()

    def take_second() -> None:
        with hold_lock(lock, StepProgress(stream), "another build"):
            order.append("second")

    second = threading.Thread(target=take_second)
    with hold_lock(lock, StepProgress(io.StringIO()), "another build"):
        second.start()
        until(lambda: "waiting for another build" in stream.getvalue(), "the second holder waits")
        order.append("first")
    second.join(180)
    assert order == ["first", "second"]


def test_free_lock_is_taken_without_output(tmp_path: Path) -> None:
    stream = io.StringIO()
    for _ in range(2):
        with hold_lock(tmp_path / "mine.lock", StepProgress(stream), "another build"):
            pass
    assert stream.getvalue() == ""
