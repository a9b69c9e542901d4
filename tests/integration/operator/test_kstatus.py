"""The statuses of runs, computed by the real kstatus of cli-utils, as Helm 4, Flux and kpt do."""

import asyncio
import itertools
import json
import subprocess
from typing import Any

import pytest

from localcluster.toolchain.tools import ensure_program
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.kstatus import kstatus
from tests.testkit.running_controller import RunController
from tests.testkit.runs import Runs, hour


def computed(*objects: dict[str, Any]) -> list[str]:
    """Return the status of each object by the program kstatus."""
    lines = "\n".join(json.dumps(one) for one in objects) + "\n"
    program = str(ensure_program("kstatus"))
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


async def test_run_is_in_progress_until_its_end_which_decides(runs: Runs, running_controller: RunController) -> None:
    runs.create("unhandled", window=hour(1))
    assert computed(runs.get("unhandled")) == ["InProgress"]
    async with running_controller(storage_with_devices(2)):
        runs.create("suspended", window=hour(2), suspend=True)
        runs.create("rejected", window=hour(3), fleet="missing")
        await asyncio.to_thread(runs.until, lambda status: status.get("phase") == "Suspended", "suspended")
        for name in ("unhandled", "rejected"):
            await asyncio.to_thread(runs.until_ended, name)
        found = [runs.get(name) for name in ("suspended", "unhandled", "rejected")]
    assert computed(*found) == ["InProgress", "Current", "Failed"]


@pytest.mark.needs_services
def test_double_of_the_unit_tests_agrees_with_the_program() -> None:
    values = (None, "True", "False", "Unknown")
    found = []
    for observed, *states in itertools.product((1, 2), values, values, values):
        types = ("Ready", "Reconciling", "Stalled")
        conditions = [{"type": type_, "status": state} for type_, state in zip(types, states, strict=True) if state]
        status = {"observedGeneration": observed, "conditions": conditions}
        metadata = {"name": "a", "generation": 2}
        found.append(
            {"apiVersion": "fleetscore.dev/v1alpha1", "kind": "ScoringRun", "metadata": metadata, "status": status}
        )
    assert computed(*found) == [kstatus(one) for one in found]
    assert set(computed(*found)) == {"InProgress", "Failed", "Current"}
