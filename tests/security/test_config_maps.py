"""The right to edit ConfigMaps in a run's namespace grants no further access; on a real API server."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import progress_config_map_name
from scoring_operator.api.scoringrun import parse_run
from tests.testkit.conditions import condition
from tests.testkit.in_memory_storage import InMemoryStorage
from tests.testkit.running_controller import MAX_RESOURCES, RunController, a_fleet
from tests.testkit.runs import Runs, ended, reported, until_status

OURS = "https://ours.blob.core.windows.net"
SCORER = {"serviceAccountName": "default", "maxResources": MAX_RESOURCES}


@dataclass
class Watched(InMemoryStorage):
    """Storage that remembers for which accounts it was asked."""

    accounts: set[str] = field(default_factory=set)

    def _answer(self, fleet: Fleet) -> None:
        self.accounts.add(fleet.storage.account_url)
        super()._answer(fleet)


def our_fleet(runs: Runs, **scorer: Any) -> Fleet:
    return a_fleet(runs.namespace, storage={"accountUrl": OURS}, scorer=SCORER | scorer)


def edit_progress(runs: Runs, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change what a run's progress ConfigMap says, as its namespace's editors can."""
    path = f"/api/v1/namespaces/{runs.namespace}/configmaps/{progress_config_map_name(parse_run(runs.get()))}"
    item = runs.cluster.api.request("GET", path)
    document = json.loads(zlib.decompress(b64decode(item["binaryData"]["progress"])))
    edit(document)
    item["binaryData"]["progress"] = b64encode(zlib.compress(json.dumps(document).encode())).decode()
    runs.cluster.api.request("PUT", path, item)


async def begun(runs: Runs, running_controller: RunController, storage: InMemoryStorage) -> int:
    """Return a run with some scored devices, whose operator has ended, and the number of its Jobs."""
    async with running_controller(storage, our_fleet(runs)):
        runs.create(parallelism=2)
        await until_status(runs, lambda status: status.get("devices", {}).get("scored", 0) >= 2)
    return len(runs.jobs())


def to_another_endpoint(document: dict[str, Any]) -> None:
    document["frozen"]["fleet"]["storage"]["accountUrl"] = "https://theirs.example"


def to_no_fleet(document: dict[str, Any]) -> None:
    document["frozen"]["fleet"] = {"name": "default", "image": "theirs.example/scorer"}


@pytest.mark.fault("T1", "T7")
@pytest.mark.parametrize("edit", [to_another_endpoint, to_no_fleet])
async def test_run_with_an_edited_saved_fleet_ends_without_another_endpoint(
    runs: Runs, running_controller: RunController, edit: Callable[[dict[str, Any]], None]
) -> None:
    storage = Watched([f"press-{number}" for number in range(30)])
    jobs = await begun(runs, running_controller, storage)
    edit_progress(runs, edit)
    async with running_controller(storage, our_fleet(runs)):
        status = await ended(runs)
        assert condition(status, "Failed")["reason"] == "FleetChanged"
        assert (await reported(runs))["reason"] == "FleetChanged"
        assert (await until_status(runs, lambda status: status["devices"]["active"] == 0))["devices"]["scored"] >= 2
    assert storage.accounts == {OURS}
    assert len(runs.created_jobs()) == jobs
    assert runs.jobs("report") == []


@pytest.mark.fault("T1")
async def test_edited_config_map_changes_no_account_and_no_placement_of_pods(
    runs: Runs, running_controller: RunController
) -> None:
    storage = Watched([f"press-{number}" for number in range(12)])
    await begun(runs, running_controller, storage)

    def edit(document: dict[str, Any]) -> None:
        theirs = {"serviceAccountName": "theirs", "podLabels": {"sidecar": "theirs"}, "nodeSelector": {"theirs": "1"}}
        document["frozen"]["fleet"]["scorer"] = theirs

    edit_progress(runs, edit)
    async with running_controller(storage, our_fleet(runs)):
        assert (await ended(runs))["devices"]["scored"] == 12
    assert {pod["serviceAccountName"] for pod in runs.pod_specs()} == {"default"}
    assert "theirs" not in json.dumps(runs.jobs() + runs.jobs("report"))


@pytest.mark.fault("T18")
async def test_inconsistent_progress_fails_the_run_and_not_the_operator(
    runs: Runs, running_controller: RunController
) -> None:
    storage = Watched([f"press-{number}" for number in range(30)])
    await begun(runs, running_controller, storage)

    def edit(document: dict[str, Any]) -> None:
        document.update(total=10**9, waiting=f"0-{10**9 - 1}", outcomes={}, queue=[], open={})

    edit_progress(runs, edit)
    async with running_controller(storage, our_fleet(runs)):
        assert condition(await ended(runs), "Failed")["reason"] == "ProgressInvalid"
        runs.create("next")
        assert (await ended(runs, "next"))["phase"] == "Complete"
