"""The outbox in a store: no change is lost, and one report sends at a time."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from device_scorer.errors import StorageUnavailable
from device_scorer.notify.outbox import Entry, Outbox
from device_scorer.report.outbox_store import MAX_WAIT_SECONDS, OutboxStore, process_name
from device_scorer.store.folder import FolderStore

NOW = datetime(2018, 8, 29, tzinfo=UTC)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.value = NOW

    def __call__(self) -> datetime:
        return self.value

    def sleep(self, seconds: float) -> None:
        self.value += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def boxes(tmp_path: Path, clock: Clock) -> OutboxStore:
    return OutboxStore(FolderStore(tmp_path), "plant", "one", [], clock, clock.sleep)


def adding(id_: str) -> Callable[[Outbox], Outbox]:
    return lambda box: box.with_entries([Entry("hook", id_, {"id": id_})])


def ending(sender: str, sent: Sequence[tuple[str, str]]) -> Callable[[Outbox], Outbox]:
    return lambda box: box.without(sent).without_turn_of(sender)


def pending(outbox: Outbox) -> list[str]:
    return [entry.id for entry in outbox.pending]


def test_outbox_has_one_name_per_fleet(boxes: OutboxStore) -> None:
    assert replace(boxes, fleet="a/b").name == "_outbox/a%2Fb.json"


def test_process_has_one_name_that_fits_into_the_outbox() -> None:
    assert process_name() == process_name()
    assert len(process_name()) == 16


class RacingStore(FolderStore):
    """A store in which another report adds an entry before each of some writes."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder)
        self.folder, self.left = folder, times

    def write(self, container: str, name: str, content: bytes, **more: Any) -> str | None:
        if self.left:
            self.left -= 1
            OutboxStore(FolderStore(self.folder), "plant").update(adding(f"other-{self.left}"))
        return super().write(container, name, content, **more)


def test_changes_at_the_same_time_are_all_kept(boxes: OutboxStore, tmp_path: Path) -> None:
    found = replace(boxes, store=RacingStore(tmp_path, 3)).update(adding("mine"))
    assert pending(found) == ["other-2", "other-1", "other-0", "mine"]


def test_outbox_that_changes_all_the_time_is_a_transient_error(boxes: OutboxStore, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="changed by other reports 20 times"):
        replace(boxes, store=RacingStore(tmp_path, 20)).update(adding("mine"))


def test_report_waits_for_its_turn_and_then_finds_what_is_left(boxes: OutboxStore, clock: Clock) -> None:
    boxes.begin_turn(adding("a"))

    def end_the_first_turn(seconds: float) -> None:
        clock.sleep(seconds)
        boxes.update(ending("one", [("hook", "a")]))

    found = replace(boxes, sender="two", sleep=end_the_first_turn).begin_turn(adding("b"))
    assert (found.sender, pending(found)) == ("two", ["b"])


def test_report_without_pending_notices_waits_for_no_turn(boxes: OutboxStore, clock: Clock) -> None:
    found = replace(boxes, sender="two").begin_turn(lambda box: box)
    assert (found.sender, clock.value) == ("", NOW)


def test_turn_of_a_report_that_was_stopped_ends_while_another_one_waits(boxes: OutboxStore, clock: Clock) -> None:
    boxes.begin_turn(adding("a"))
    found = replace(boxes, sender="two").begin_turn(adding("b"))
    assert (found.sender, pending(found)) == ("two", ["a", "b"])
    assert clock.value - NOW < timedelta(seconds=MAX_WAIT_SECONDS)


def test_report_of_the_same_process_continues_its_turn(boxes: OutboxStore, clock: Clock) -> None:
    boxes.begin_turn(adding("a"))
    assert (boxes.begin_turn(adding("b")).sender, clock.value) == ("one", NOW)


def test_wait_for_a_turn_is_bounded(boxes: OutboxStore, clock: Clock) -> None:
    def begin_again(seconds: float) -> None:
        clock.sleep(seconds)
        boxes.begin_turn(lambda box: box)

    boxes.begin_turn(adding("a"))
    found = replace(boxes, sender="two", sleep=begin_again).begin_turn(adding("b"))
    assert (found.sender, pending(found)) == ("one", ["a", "b"])
    assert clock.value - NOW < timedelta(seconds=MAX_WAIT_SECONDS + 10)


def _send_turns(folder: Path, log: Path, sender: str, turns: Sequence[int]) -> None:
    boxes = OutboxStore(FolderStore(folder), "plant", sender, sleep=lambda seconds: time.sleep(seconds / 5))
    for number in turns:
        outbox = boxes.begin_turn(adding(f"{sender}-{number}"))
        if outbox.sender != sender:
            continue
        for entry in outbox.pending:
            with log.open("a") as file:
                file.write(f"{entry.id}\n")
        boxes.update(ending(sender, [entry.key for entry in outbox.pending]))


def test_processes_at_the_same_time_send_each_notice_once_in_order(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_send_turns, args=(tmp_path / "store", log, name, range(10)))
        for name in ("a", "b", "c", "d")
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
    finally:
        for process in processes:
            process.kill()
    assert [process.exitcode for process in processes] == [0] * 4
    lines = log.read_text().splitlines()
    assert sorted(lines) == sorted(f"{name}-{number}" for name in "abcd" for number in range(10))
    for name in "abcd":
        assert [line for line in lines if line[0] == name] == [f"{name}-{number}" for number in range(10)]


def test_report_waits_160_seconds_for_its_turn() -> None:
    assert MAX_WAIT_SECONDS == 160.0
