from pathlib import Path
from typing import Any

import pytest

from fleetscore.console.storage_watch import start_watch, watch_storage
from fleetscore.contract.console_log import last_fault
from fleetscore.errors import AccessDenied, StorageUnavailable
from fleetscore.store.folder import FolderStore


class FailingStore:
    """A store whose reads fail with the errors of a list, one for each check; None for a check without an error."""

    location = "https://storage.example.com"

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.roles: list[str] = []

    def read(self, role: str, name: str) -> None:
        self.roles.append(role)
        assert name == "_fleetscore-console"
        if self.errors and (error := self.errors.pop(0)):
            raise error


def lines_of(store: Any, checks: int) -> list[str]:
    lines: list[str] = []
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) == checks

    watch_storage(store, lines.append, wait)
    assert waits == [60] * checks
    return lines


def test_fault_is_written_at_each_check_and_its_end_once() -> None:
    denied, down = AccessDenied("models cannot be read; ask"), StorageUnavailable("no\x1b[2Kroute\nto host; try again")
    lines = lines_of(FailingStore(denied, down, None, None, None, None), 4)
    assert lines == [
        "storage cannot be read: models cannot be read; ask",
        "storage cannot be read: no?[2Kroute to host; try again",
        "storage can be read again",
    ]
    assert last_fault(lines[:2]) == "no?[2Kroute to host; try again"


def test_readable_storage_writes_nothing_and_both_containers_are_read() -> None:
    store = FailingStore()
    assert lines_of(store, 2) == []
    assert store.roles == ["predictions", "models"] * 2


def test_watch_of_a_folder_ends_with_the_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start_watch(FolderStore(tmp_path))
    assert capsys.readouterr().err == ""
