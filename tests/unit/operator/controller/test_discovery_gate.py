import asyncio

from scoring_operator.controller.discovery_gate import MAX_DISCOVERIES, DiscoveryGate


async def test_discoveries_of_one_namespace_do_not_delay_those_of_another() -> None:
    gate, began = DiscoveryGate(), []

    async def discover(namespace: str, end: asyncio.Event) -> None:
        async with gate.slot(namespace):
            began.append(namespace)
            await end.wait()

    end = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for namespace in ["crowd"] * 5 + ["honest"]:
            tasks.create_task(discover(namespace, end))
        await asyncio.sleep(0)
        assert began == ["crowd"] * MAX_DISCOVERIES + ["honest"]
        end.set()
    assert began.count("crowd") == 5
    assert MAX_DISCOVERIES == 2
