import trio
from weather import make_agent

from trio_agent import MemoryStore, ToolCall, ToolResult, open_runtime, tool
from trio_agent.abc import Store
from trio_agent.testing import InterruptingStore, ScriptedModel, Sweep, call, cancel_sweep

places: dict[str, str] = {}


@tool
async def reserve(table: str) -> str:
    """Reserve a table."""
    places[table] = "asked for"
    try:
        await trio.sleep(1)
        places[table] = "reserved"
        return "reserved"
    finally:
        if places[table] == "asked for":
            del places[table]


def script() -> ScriptedModel:
    return ScriptedModel([call("c1", "reserve", table="7")], ["It ", "is yours."])


async def check(store: Store) -> None:
    """What holds wherever the run was cancelled."""
    for info in await store.find(None, None, 10):
        entries = (await store.read(info.record.run_id, 0, 1000)).entries
        if not entries:
            continue  # cancelled while it was being created: another runtime closes it
        events = [entry.event for entry in entries]
        assert [entry.terminal for entry in entries] == [False] * (len(entries) - 1) + [True]
        calls = [event.tool.id for event in events if isinstance(event, ToolCall)]
        assert [event.tool.id for event in events if isinstance(event, ToolResult)] == calls
    assert set(places.values()) <= {"reserved"}


def test_at_every_checkpoint() -> None:
    async def scenario(sweep: Sweep) -> None:
        places.clear()
        store = MemoryStore()
        with sweep:  # this block is cancelled, at another checkpoint each time
            async with open_runtime(store=store) as runtime:
                run = await runtime.start(make_agent(script()), "Table 7, please.")
                await run.wait()
        await check(store)

    assert cancel_sweep(scenario) > 10


def test_at_every_operation_of_the_store() -> None:
    async def scenario(sweep: Sweep) -> None:
        places.clear()
        store = MemoryStore()
        with sweep:
            async with open_runtime(store=InterruptingStore(store, sweep.point)) as runtime:
                run = await runtime.start(make_agent(script()), "Table 7, please.")
                await run.wait()
        await check(store)

    assert cancel_sweep(scenario, steps=False) > 10
