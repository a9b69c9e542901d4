from dataclasses import replace

import msgspec
import pytest

from scoring_operator.api.intervals import Positions
from scoring_operator.planner.progress import (
    Completion,
    RunClock,
    RunSnapshot,
    finish,
    new_progress,
)
from tests.testkit.builders import NOW, a_batch, a_progress, later


def positions(text: str) -> Positions:
    return Positions.parse(text)


def test_new_progress_waits_for_all_devices_that_are_not_scored() -> None:
    progress = new_progress(RunSnapshot(fleet={}), 4, positions("1-2"))
    assert (progress.total, progress.recorded, progress.count("alreadyScored")) == (4, 2, 2)
    assert progress.waiting == positions("0,3")
    assert new_progress(RunSnapshot(fleet={}), 4, positions("")).outcomes == {}


def test_finished_progress_has_an_outcome_for_each_device() -> None:
    progress = replace(
        a_progress(5, already="0"),
        waiting=positions("3-4"),
        open_batches={"a": a_batch("1")},
        queued_batches=(a_batch("2"),),
    )
    end = Completion("Failed", "Cancelled", "", later(7))
    finished = finish(progress, end)
    assert finished.outcomes == {"alreadyScored": positions("0"), "notRun": positions("1-4")}
    assert (finished.waiting, finished.open_batches, finished.queued_batches) == (positions(""), {}, ())
    assert (finished.completion, finished.clock.elapsed(later(99))) == (end, 7.0)
    done = finish(a_progress(2, already="0-1"), end)
    assert done.outcomes == {"alreadyScored": positions("0-1")}


@pytest.mark.parametrize(("failures", "circuit_open"), [(19, False), (20, True)])
def test_circuit_is_open_after_twenty_consecutive_failures(failures: int, circuit_open: bool) -> None:  # noqa: FBT001  # a table
    assert replace(a_progress(), consecutive_failures=failures).circuit_open is circuit_open


def test_clock_counts_only_while_it_runs() -> None:
    clock = RunClock().resumed(NOW)
    assert (clock.started, clock.elapsed(later(5)), clock.resumed(later(5))) == (NOW, 5.0, clock)
    stopped = clock.stopped(later(5))
    assert (stopped.elapsed(later(99)), stopped.stopped(later(99))) == (5.0, stopped)
    again = stopped.resumed(later(100))
    assert (again.started, again.elapsed(later(101))) == (NOW, 6.0)


def test_time_before_the_start_of_the_clock_is_not_negative() -> None:
    assert RunClock(accumulated=2.0, since=NOW).elapsed(later(-5)) == 2.0


def test_running_clock_shifts_with_the_api_servers_and_a_stopped_one_does_not() -> None:
    running = RunClock(accumulated=5.0, since=NOW)
    assert running.shifted(3600).elapsed(later(3600 + 7)) == running.elapsed(later(7)) == 12
    assert running.shifted(-3600).elapsed(later(7 - 3600)) == 12
    assert running.stopped(later(7)).shifted(3600) == running.stopped(later(7))


def test_snapshot_is_stored_under_its_earlier_names() -> None:
    stored = {"fleet": {}, "lists": ["a"], "unreadable": [1, ["b"]]}
    snapshot = msgspec.convert(stored, RunSnapshot)
    assert (snapshot.device_list_names, snapshot.invalid_names) == (("a",), (1, ("b",)))
