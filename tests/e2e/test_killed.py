"""The operator's process is killed in the middle of a run, and the results are the same."""

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.testkit.release import Release
from tests.testkit.waiting import until

DEVICES = 40
TIME_DEPENDENT_FIELDS = (
    "startTime", "firstPodTime", "lastProgressTime", "completionTime", "duration", "podSeconds", "conditions",
    "message", "report", "sensors", "incidents",
)  # fmt: skip


def lasting(status: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key not in TIME_DEPENDENT_FIELDS}


@pytest.mark.fault("F2")
def test_operator_killed_three_times_leaves_the_results_unchanged(
    release: Release, fleet_of: Callable[[int], Path]
) -> None:
    release.upload(fleet_of(DEVICES))
    baseline_container = f"{release.storage.predictions}-baseline"
    release.storage.azurite.create_container(baseline_container)
    release.fleets = [release.fleet("baseline", baseline_container), release.fleet("default")]
    release.install()
    release.start_run("baseline", fleet="baseline", parallelism=6)
    baseline_run = release.wait_for_end("baseline", seconds=300)

    release.start_run("killed", fleet="default", parallelism=6)
    moments = sorted(secrets.SystemRandom().sample(range(DEVICES - 10), 3))
    print(f"killed when more than {moments} Jobs were created")
    for moment in moments:
        until(partial(release.more_jobs_than, "killed", moment), description=f"more than {moment} Jobs")
        release.kill_operator()
    killed = release.wait_for_end("killed", seconds=300)

    assert release.created_jobs("killed") == dict.fromkeys(release.created_jobs("killed"), 1)
    assert len(release.created_jobs("killed")) == DEVICES
    assert release.devices("killed") == {"total": DEVICES, "scored": DEVICES}
    assert lasting(killed) == lasting(baseline_run)
    assert release.predictions() == release.predictions(baseline_container)
    assert len(release.predictions()) == DEVICES
