import trio

from trio_agent import (
    Agent,
    RunContinued,
    SQLiteStore,
    ToolCall,
    ToolResult,
    open_runtime,
    tool,
)
from trio_agent.testing import ScriptedModel, call


@tool
async def pay(amount: int) -> str:
    """Pay an invoice."""
    await trio.sleep(60)
    return f"paid {amount}"


@tool(retry_safe=True)
async def look_up(invoice: int) -> str:
    """Look an invoice up."""
    await trio.sleep(0 if restarted else 60)
    return f"invoice {invoice} is paid"


restarted = False


def make_agent(model: ScriptedModel) -> Agent:
    return Agent(model=model, name="clerk", version="1", tools=[pay, look_up])


async def first_server() -> str:
    model = ScriptedModel([call("c1", "pay", amount=7), call("c2", "look_up", invoice=3)])
    agent = make_agent(model)
    async with open_runtime(store=SQLiteStore("runs.db"), agents=[agent]) as runtime:
        run = await runtime.start(agent, "Pay invoice 3.")
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, ToolCall) and event.tool.id == "c2":
                    break
        await runtime.drain(grace=0.1)
    return run.id


async def next_server(run_id: str) -> None:
    agent = make_agent(ScriptedModel(["It is paid already."]))
    async with open_runtime(store=SQLiteStore("runs.db"), agents=[agent]) as runtime:
        run = await runtime.find(run_id)
        async with run.subscribe() as events:
            async for event in events:
                match event:
                    case RunContinued(reason=reason):
                        print("goes on:", reason)
                    case ToolResult(tool=outcome):
                        print(outcome.name, outcome.status, "-", outcome.output)
        print((await run.wait()).text)


async def main() -> None:
    global restarted
    run_id = await first_server()
    restarted = True
    await next_server(run_id)


trio.run(main)
