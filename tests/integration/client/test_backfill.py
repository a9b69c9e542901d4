"""`backfill` and `status --watch` on a real API server, next to the real controller with simulated pods."""

import asyncio
import json

import pytest

from fleetscore.cli import main
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.running_controller import RunController
from tests.testkit.runs import Runs, hour

RANGE = ("--from", "2018-08-01T10:00Z", "--to", "2018-08-01T13:00Z")


@pytest.fixture
def client(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Return the namespace of a test, with its cluster in KUBECONFIG."""
    monkeypatch.setenv("KUBECONFIG", str(runs.cluster.kubeconfig))
    return runs


async def test_backfill_creates_the_missing_runs_only_and_waits_for_them(
    client: Runs, running_controller: RunController, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(*words: str) -> str:
        assert await asyncio.to_thread(main, [*words, "-n", client.namespace]) == 0
        return capsys.readouterr().out

    client.create("existing", window=hour(11))
    async with running_controller(storage_with_devices(2)):
        watched = await run("status", "existing", "--watch")
        lines = (await run("backfill", *RANGE, "--max-concurrent", "2")).splitlines()
        again = await run("backfill", *RANGE)
    assert watched.splitlines()[-2:] == ["  0 anomalies", "  all 2 devices have an outcome"]
    assert lines[0] == "3 windows: 1 complete, 2 missing; 2 runs are created"
    assert lines[1:3] == [
        "backfill-20180801t100000z: created for 2018-08-01T10:00Z/1h",
        "backfill-20180801t120000z: created for 2018-08-01T12:00Z/1h",
    ]
    assert max(lines[3:]).startswith("backfill-20180801t120000z: Complete, 2 of 2 devices done, 0 active (")
    assert again == "3 windows: 3 complete; 0 runs are created\n"
    found = json.loads(await run("backfill", *RANGE, "--dry-run", "client", "-o", "json"))
    assert [one["State"] for one in found] == ["complete"] * 3
    labels = client.get("backfill-20180801t100000z")["metadata"]["labels"]
    assert labels["fleetscore.dev/backfill"] == "backfill"
