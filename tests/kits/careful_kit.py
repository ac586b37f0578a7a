"""A run in which all happens that may: it breaks off, is taken back, asks, sleeps and goes on."""

import trio

from trio_agent import Agent, ModelError, Run, ToolAsked, ask_user, tool
from trio_agent.testing import ScriptedModel, call

CUT = ModelError("cut-stream", "it broke off", retryable=True)


@tool(approval=True)
def refund(amount: int) -> str:
    """Give money back."""
    return f"gave {amount}"


def make_careful() -> Agent:
    """Breaks off in two steps, once in its text and once in a call, and waits in between."""
    model = ScriptedModel(
        ["Let ", "me ", CUT],
        ["Look", ": ", call("c0", "refund", amount=1), CUT],
        ["Look: ", call("c1", "refund", amount=5), call("c2", "ask_user", question="why?")],
        ["It ", "is ", CUT],
        ["All ", "done."],
    )
    return Agent(model=model, tools=[refund, ask_user()], name="careful")


async def answer_all(run: Run) -> None:
    """Answer whatever is asked, one after the other."""
    async with run.subscribe() as events:
        async for event in events:
            if isinstance(event, ToolAsked):
                output = {"output": "é\n"} if event.kind == "input" else {"approved": True}
                await run.answer(event.tool.id, **output)


async def to_its_end(run: Run) -> None:
    """Answer until it has ended."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_all, run)
        await run.wait()
