import trio
import trio.testing

from trio_agent import Agent, MemoryStore, RunContinued, ToolResult, open_runtime, tool
from trio_agent.testing import CrashingStore, ScriptedModel, call

store = MemoryStore()
servers = [CrashingStore(store), CrashingStore(store)]


@tool
async def pay(amount: int) -> str:
    """Pay an invoice."""
    servers[0].crash()
    await trio.lowlevel.checkpoint()
    return f"paid {amount}"


model = ScriptedModel([call("c1", "pay", amount=7)], ["Please look whether it is paid."])
agent = Agent(model=model, name="clerk", tools=[pay])


async def main() -> None:
    with servers[0]:
        async with open_runtime(store=servers[0], agents=[agent]) as runtime:
            run = await runtime.start(agent, "Pay the invoice.")
            await run.wait()
    async with open_runtime(store=servers[1], agents=[agent]) as runtime:
        run = await runtime.find(run.id)
        async with run.subscribe() as events:
            async for event in events:
                match event:
                    case RunContinued(reason=reason):
                        print("goes on:", reason)
                    case ToolResult(tool=outcome):
                        print(outcome.status, "-", outcome.output)
        print((await run.wait()).text)


trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
