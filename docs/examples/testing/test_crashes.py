import trio
import trio.testing

from trio_agent import Agent, MemoryStore, ToolMessage, open_runtime, tool
from trio_agent.testing import CrashingStore, ScriptedModel, call


async def test_a_report_survives_its_server(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    sent: list[str] = []

    @tool
    async def send(to: str) -> str:
        """Send the report."""
        sent.append(to)
        door.crash()  # here, behind the act and before its result is known
        await trio.sleep_forever()
        return "sent"

    model = ScriptedModel([call("1", "send", to="ann")], ["I don't know whether it was sent."])
    agent = Agent(name="reporter", model=model, tools=[send])

    with CrashingStore(store) as door:
        async with open_runtime(store=door, agents=[agent]) as runtime:
            run = await runtime.start(agent, "Report!")
            await trio.sleep_forever()

    # Its lease lapses, and the next server goes on: the tool is not called again.
    async with open_runtime(store=CrashingStore(store), agents=[agent]) as runtime:
        result = await (await runtime.find(run.id)).wait()
    assert result.text == "I don't know whether it was sent."
    assert sent == ["ann"]
    told = model.requests[1].messages[-1]
    assert isinstance(told, ToolMessage)
    assert told.status == "unknown"
