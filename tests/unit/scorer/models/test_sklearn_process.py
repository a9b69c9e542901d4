"""Tests of the process that forks workers, as the scorer starts and replaces it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_scorer.errors import ConfigurationInvalid
from device_scorer.models import sklearn_process
from device_scorer.models.sklearn_process import (
    MIN_MEMORY_BYTES,
    START_SECONDS,
    STOP_SECONDS,
    MemoryBudget,
    ScikitLearnProcess,
    memory_of_workers,
    shared_process,
)
from tests.testkit.processes import has_ended
from tests.testkit.waiting import until


@pytest.fixture
def process() -> Iterator[ScikitLearnProcess]:
    process = ScikitLearnProcess()
    yield process
    process.stop()


def server_of(process: ScikitLearnProcess) -> sklearn_process._Server:
    assert process._server is not None
    return process._server


def pid_of(process: ScikitLearnProcess) -> int:
    return server_of(process)._process.pid


def test_server_has_120_s_to_start_5_s_to_stop_and_64_mib_at_least() -> None:
    assert (START_SECONDS, STOP_SECONDS, MIN_MEMORY_BYTES) == (120.0, 5.0, 67_108_864)


@pytest.mark.slow
def test_server_is_started_once_and_replaced_if_it_ends(process: ScikitLearnProcess) -> None:
    process.connect(2**28).close()
    first = pid_of(process)
    process.connect(2**28).close()
    assert pid_of(process) == first
    os.kill(first, signal.SIGKILL)
    until(server_of(process).has_ended, "the end of the server")
    process.connect(2**28).close()
    assert pid_of(process) != first


@pytest.mark.slow
def test_stopped_server_leaves_no_process(process: ScikitLearnProcess) -> None:
    with process.connect(2**28):
        children = Path(f"/proc/{pid_of(process)}/task/{pid_of(process)}/children")
        worker = until(lambda: children.read_text().split(), "a worker")[0]
        process.stop()
    until(lambda: has_ended(int(worker)), "no worker")
    assert not Path(f"/proc/{pid_of(process)}").exists()


@pytest.mark.slow
def test_server_receives_no_secret_of_the_storage_account(
    process: ScikitLearnProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "secret")
    monkeypatch.setenv("FLEETSCORE_AUTH", "sas")
    monkeypatch.setenv("CUSTOM_SETTING", "kept")
    process.connect(2**28).close()
    names = {line.partition(b"=")[0] for line in Path(f"/proc/{pid_of(process)}/environ").read_bytes().split(b"\0")}
    assert not any(name.startswith((b"AZURE_", b"FLEETSCORE_")) for name in names)
    assert {b"CUSTOM_SETTING", b"OMP_NUM_THREADS", b"OPENBLAS_NUM_THREADS"} <= names


@pytest.mark.parametrize("program", ["/bin/false", "/nonexistent", "/bin/cat"])
def test_server_that_does_not_start_is_an_error_with_the_cure(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(ConfigurationInvalid, match=r"cannot start: .*; give the pod more memory, CPU or processes"):
        ScikitLearnProcess().connect(2**28)


def test_server_that_is_not_ready_in_time_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    process = ScikitLearnProcess(start_seconds=0.2, stop_seconds=0.1)
    with pytest.raises(ConfigurationInvalid, match=r"it needs more than 0\.2 seconds"):
        process.connect(2**28)


def test_all_bundles_of_a_process_share_one_server() -> None:
    assert shared_process() is shared_process()


def test_budget_is_shared_in_the_order_of_arrival() -> None:
    budget, order = MemoryBudget(100), []
    assert budget.acquire(60) == 60

    def take(name: str, count: int) -> None:
        share = budget.acquire(count)
        order.append(name)
        budget.release(share)

    large = threading.Thread(target=take, args=["large", 1000])
    large.start()
    until(budget._turn.locked, "the large share waits")
    small = threading.Thread(target=take, args=["small", 10])
    small.start()
    budget.release(60)
    large.join(120)
    small.join(120)
    assert order == ["large", "small"]
    assert budget.acquire(1000) == 100


@pytest.mark.parametrize(
    ("content", "expected"),
    [("1073741824\n", 512 * 2**20), ("max\n", None), ("1000000", MIN_MEMORY_BYTES)],
    ids=["limit", "no limit", "tiny limit"],
)
def test_workers_use_half_of_the_containers_memory(content: str, expected: int | None, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(content)
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    assert memory_of_workers([str(tmp_path / "absent"), str(limit)]) == (expected or half)
