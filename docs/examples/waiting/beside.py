import trio

from trio_agent import Agent, SQLiteStore, ToolAsked, open_run, open_runtime, tool
from trio_agent.testing import ScriptedModel, call


@tool(approval=True)
async def refund(amount: int) -> str:
    """Give money back."""
    return f"{amount} euros are on their way"


model = ScriptedModel([call("c1", "refund", amount=20)], ["You get 20 euros."])
agent = Agent(model=model, name="desk", tools=[refund])


async def approve(run_id: str) -> None:
    async with open_run(SQLiteStore("runs.db", follow=True), run_id) as run:
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, ToolAsked):
                    await run.answer(event.tool.id, approved=True, by="bob")
                    break
        print((await run.wait()).text)


async def main() -> None:
    async with open_runtime(store=SQLiteStore("runs.db"), agents=[agent]) as runtime:
        run = await runtime.start(agent, "My kettle broke.")
        await approve(run.id)  # in another process, beside the server


trio.run(main)
