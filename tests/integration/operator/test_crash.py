"""The operator killed by SIGKILL in the middle of a run, on a real API server."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.testkit.runs import Runs

DEVICES = 40


@contextmanager
def an_operator(runs: Runs) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.testkit.running_controller"]
    process = subprocess.Popen([*command, str(runs.cluster.kubeconfig), runs.namespace, str(DEVICES)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.fault("F2")
def test_a_run_whose_operator_is_killed_three_times_creates_each_job_once_and_scores_every_device(runs: Runs) -> None:
    runs.create(parallelism=10)
    for scored in (1, 12, 25):
        with an_operator(runs):
            runs.until_scored(scored)
    with an_operator(runs):
        status = runs.until_ended(seconds=120)
    deadline = time.monotonic() + 10
    while (created := runs.created_jobs()).total() < DEVICES and time.monotonic() < deadline:
        time.sleep(0.2)  # the audit log is written in batches
    assert (created.total(), len(created)) == (DEVICES, DEVICES)
    assert status["phase"] == "Complete"
    assert status["devices"]["scored"] == status["devices"]["total"] == DEVICES
    assert status["results"]["rows"] == 60 * DEVICES
