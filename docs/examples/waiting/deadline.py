import trio

from trio_agent import Agent, ToolAnswered, ToolResult, open_runtime, tool
from trio_agent.testing import ScriptedModel, call


@tool(approval=True)
async def refund(amount: int) -> str:
    """Give money back."""
    return f"{amount} euros are on their way"


model = ScriptedModel([call("c1", "refund", amount=20)], ["Nobody could allow it."])
agent = Agent(model=model, tools=[refund])


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "My kettle broke.", limits={"answer_deadline": 0.2})
        async with run.subscribe() as events:
            async for event in events:
                match event:
                    case ToolAnswered(approved=approved, reason=reason):
                        print("approved:", approved, "-", reason)
                    case ToolResult(tool=outcome, reason=reason):
                        print(outcome.status, reason, "-", outcome.output)
        print((await run.wait()).text)


trio.run(main)
