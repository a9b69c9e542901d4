"""backfill under the scheduler's account, with the engine at work, on a real API server."""

import argparse
import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scoring_operator.cli import backfill, main
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.paths import EXAMPLES
from tests.testkit.running_controller import RunController
from tests.testkit.runs import Runs, ended, hour
from tests.testkit.scheduler import Scheduler

EXAMPLE = EXAMPLES / "backfill.yaml"


@pytest.fixture
def scheduler(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    scheduler = Scheduler(runs.cluster, runs.namespace, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(scheduler.kubeconfig))
    return scheduler


async def fill(scheduler: Scheduler, *more: str) -> int:
    """Backfill the first six hours of a day, as the command does."""
    parser = argparse.ArgumentParser()
    backfill.add_arguments(parser)
    words = ["--schedules-file", str(scheduler.file), "--schedule", "hourly", *more]
    span = ["--namespace", scheduler.namespace, "--from", "2018-08-01", "--to", "2018-08-01T06:00:00Z"]
    return await asyncio.to_thread(backfill.run, parser.parse_args([*words, *span]), poll_interval=0.3)


async def two_runs_that_ended(runs: Runs) -> None:
    """Create a complete run of the first window and a cancelled one of the second."""
    runs.create("hourly-20180801t000000z", window=hour(0))
    runs.create("hourly-20180801t010000z", window=hour(1), cancel=True)
    assert (await ended(runs, "hourly-20180801t000000z"))["phase"] == "Complete"
    assert (await ended(runs, "hourly-20180801t010000z"))["phase"] == "Cancelled"


def all_runs(runs: Runs) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in runs.cluster.api.request("GET", runs.path)["items"]}


@pytest.mark.fault("F21")
async def test_backfill_creates_missing_runs_within_its_parallelism(
    runs: Runs, running_controller: RunController, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_controller(storage_with_devices(2)):
        await two_runs_that_ended(runs)
        before = all_runs(runs)
        assert await fill(scheduler, "--max-concurrent", "2") == 0
        output = capsys.readouterr().out
        assert "1 complete, 0 under way, 1 without a complete run, 4 without any; 5 runs to create" in output
        after = all_runs(runs)
        made = {name: item for name, item in after.items() if name not in before}
        assert sorted(made) == [
            "hourly-20180801t010000z-2",
            *(f"hourly-20180801t0{start}0000z" for start in range(2, 6)),
        ]
        assert {item["status"]["phase"] for item in made.values()} == {"Complete"}
        assert {item["metadata"]["labels"]["fleetscore.dev/backfill"] for item in made.values()} == {"hourly"}
        for item in made.values():
            began = item["metadata"]["creationTimestamp"]
            others = [other for other in made.values() if other is not item]
            there = [o for o in others if o["metadata"]["creationTimestamp"] < began < o["status"]["completionTime"]]
            assert len(there) <= 1
        assert await fill(scheduler) == 0
    assert all_runs(runs).keys() == after.keys()
    assert (
        "6 complete, 0 under way, 0 without a complete run, 0 without any; 0 runs to create" in capsys.readouterr().out
    )


async def test_backfill_gaps_only_skips_windows_with_failed_runs(
    runs: Runs, running_controller: RunController, scheduler: Scheduler
) -> None:
    async with running_controller(storage_with_devices(1)):
        await two_runs_that_ended(runs)
        assert await fill(scheduler, "--gaps-only", "--max-concurrent", "4") == 0
    assert sorted(all_runs(runs)) == [f"hourly-20180801t0{start}0000z" for start in range(6)]


async def test_backfill_names_failed_runs_and_retries_them_when_repeated(
    runs: Runs, running_controller: RunController, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = storage_with_devices(0)
    async with running_controller(storage):
        assert await fill(scheduler, "--max-concurrent", "6") == 1
        output = capsys.readouterr().out
        assert "6 of 6 runs are not complete: hourly-20180801t000000z (NoDevices)" in output
        storage.models.append("press-1")
        assert await fill(scheduler, "--max-concurrent", "6") == 0
    assert len(all_runs(runs)) == 12


def test_interrupted_backfill_prints_one_line_and_its_runs_continue(runs: Runs, scheduler: Scheduler) -> None:
    words = ["--schedules-file", str(scheduler.file), "--namespace", scheduler.namespace, "--schedule", "hourly"]
    process = subprocess.Popen(
        [sys.executable, "-m", "scoring_operator", "backfill", *words, "--from", "2018-08-01", "--to", "2018-08-02"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    while "created (1 of 24)" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)  # no operator runs here: the command would wait forever
    output, _ = process.communicate(timeout=180)
    assert output.splitlines() == [
        "interrupted; existing runs continue, and the same command creates the remaining ones"
    ]
    assert process.returncode == 130
    assert list(all_runs(runs)) == ["hourly-20180801t000000z"]


async def test_backfill_example_runs_under_restricted_pod_security(
    runs: Runs, running_controller: RunController, scheduler: Scheduler
) -> None:
    runs.cluster.kubectl("label", "namespace", runs.namespace, "pod-security.kubernetes.io/enforce=restricted")
    runs.cluster.kubectl("-n", runs.namespace, "create", "-f", str(EXAMPLE))
    runs.cluster.kubectl(
        "-n", runs.namespace, "wait", "job/backfill-hourly", "--for=condition=Complete", "--timeout=180s"
    )
    pod = yaml.safe_load(EXAMPLE.read_text())["spec"]["template"]["spec"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    assert pod["serviceAccountName"] == "fleetscore-scheduler"
    assert volume["configMap"]["name"] == "fleetscore-schedules"
    async with running_controller(storage_with_devices(1)):  # the simulated pod did nothing: the test is the pod
        where = ["--schedules-file", str(scheduler.file), "--namespace", scheduler.namespace]
        assert await asyncio.to_thread(main, [*container["args"], *where]) == 0
    assert len(all_runs(runs)) == 6
