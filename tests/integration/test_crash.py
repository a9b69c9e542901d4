"""The operator killed by SIGKILL in the middle of a run, on a real API server."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.conftest import Runs

DEVICES = 40


@contextmanager
def an_operator(runs: Runs) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.integration.operating"]
    process = subprocess.Popen([*command, str(runs.cluster.kubeconfig), runs.namespace, str(DEVICES)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def created_jobs(runs: Runs) -> list[str]:
    """Names of the Jobs that the API server created in the namespace, by its audit log, with repetitions."""
    names = []
    for line in runs.cluster.audit_log.read_text().splitlines():
        entry = json.loads(line)
        target = entry.get("objectRef", {})
        if (entry["verb"], target.get("resource"), target.get("namespace")) != ("create", "jobs", runs.namespace):
            continue
        if entry.get("stage") == "ResponseComplete" and entry["responseStatus"]["code"] == 201:
            names.append(target["name"])
    return names


def test_a_run_whose_operator_is_killed_three_times_creates_each_job_once_and_scores_every_device(runs: Runs) -> None:
    runs.create(parallelism=10)
    for scored in (1, 12, 25):
        with an_operator(runs):
            runs.until_scored(scored)
    with an_operator(runs):
        status = runs.until_ended(seconds=120)
    deadline = time.monotonic() + 10
    while len(created := created_jobs(runs)) < DEVICES and time.monotonic() < deadline:
        time.sleep(0.2)  # the audit log is written in batches
    assert len(created) == len(set(created)) == DEVICES
    assert status["phase"] == "Complete"
    assert status["devices"]["scored"] == status["devices"]["total"] == DEVICES
    assert status["results"]["rows"] == 60 * DEVICES
