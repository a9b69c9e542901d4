"""Tasks in parallel within a time limit."""

import threading
from types import SimpleNamespace

import pytest

from fleetscore.doctor import parallel
from fleetscore.doctor.findings import Unseen
from fleetscore.doctor.parallel import run_tasks, unseen_error
from fleetscore.errors import AccessDenied


def fails() -> None:
    raise AccessDenied("container models cannot be read; run `az login`")


def breaks() -> None:
    raise KeyError("spec")


def test_results_are_by_key_and_errors_are_unseen_facts() -> None:
    found = run_tasks({"one": lambda: 1, "denied": fails, "broken": breaks}, 10)
    assert found["one"] == 1
    assert found["denied"] == Unseen("container models cannot be read", "run `az login`")
    assert found["broken"].reason == "the check failed: KeyError: 'spec'"


def test_tasks_run_at_the_same_time() -> None:
    together = threading.Barrier(4)
    assert list(run_tasks({n: lambda: together.wait(120) >= 0 for n in range(4)}, 240).values()) == [True] * 4


def test_late_task_is_unseen_and_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    times = iter([0.0, 0.0, 60.0])  # at the beginning, before the first result, and before the second one
    monkeypatch.setattr(parallel, "time", SimpleNamespace(monotonic=lambda: next(times)))
    found = run_tasks({"late": release.wait, "quick": lambda: 2}, 60)
    release.set()
    assert found["quick"] == 2
    assert found["late"] == Unseen("there was no answer in 60 s", "check the network, and try again", is_late=True)


def test_error_without_a_next_step_has_one() -> None:
    assert unseen_error(AccessDenied("no")) == Unseen("no", "try again")
