"""The ways in which people wait for a run, with the real kubectl: each returns at the ends that the user page names."""

import asyncio
from collections.abc import Sequence

from localcluster.errors import ClusterError
from tests.testkit.in_memory_storage import storage_with_devices
from tests.testkit.running_controller import RunController
from tests.testkit.runs import Runs, ended, hour

EITHER_END = "jsonpath={.status.completionTime}"
SETTLED = "condition=Reconciling=false"
COMPLETE, FAILED = "condition=Complete", "condition=Failed"
ENDS = {"complete": COMPLETE, "rejected": FAILED, "cancelled": FAILED, "late": FAILED}


async def returns(runs: Runs, name: str, forms: Sequence[str], *, seconds: float = 180) -> list[str]:
    """Return the forms of `kubectl wait` that return before the timeout."""

    def wait(form: str) -> bool:
        command = ("-n", runs.namespace, "wait", f"sr/{name}", f"--for={form}", f"--timeout={seconds}s")
        try:
            runs.cluster.kubectl(*command)
        except ClusterError:
            return False
        return True

    done = await asyncio.gather(*(asyncio.to_thread(wait, form) for form in forms))
    return [form for form, returned in zip(forms, done, strict=True) if returned]


async def test_kubectl_waits_for_each_end_also_after_later_edits(runs: Runs, running_controller: RunController) -> None:
    storage = storage_with_devices(2)
    async with running_controller(storage):
        runs.create("complete", window=hour(1))
        runs.create("rejected", window=hour(2), fleet="missing")
        runs.create("cancelled", window=hour(3), suspend=True, cancel=True)
        runs.create("suspended", window=hour(4), suspend=True)
        await ended(runs, "complete")
        storage.down = True
        runs.create("late", window=hour(5), pendingDeadlineSeconds=1)
        for name in ENDS:
            await ended(runs, name)
            runs.change(name, ttlSecondsAfterFinished=100_000, historyLimit=5)
        for name, end in ENDS.items():
            assert await returns(runs, name, [EITHER_END, SETTLED, end]) == [EITHER_END, SETTLED, end], name
        assert await returns(runs, "suspended", [EITHER_END, SETTLED, COMPLETE, FAILED], seconds=1) == []
        assert await returns(runs, "rejected", [COMPLETE], seconds=1) == []
        command = ("-n", runs.namespace, "wait", "sr/rejected", "--for=delete", "--timeout=180s")
        waiting = asyncio.create_task(asyncio.to_thread(runs.cluster.kubectl, *command))
        runs.change("rejected", ttlSecondsAfterFinished=0)
        await waiting
