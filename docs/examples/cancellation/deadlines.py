import trio
from trio.testing import MockClock

from trio_agent import Agent, Limits, Result, tool
from trio_agent.testing import ScriptedModel, call


@tool
async def search(query: str) -> str:
    """Search the library."""
    await trio.sleep_forever()
    return f"books about {query}"


async def run(limits: Limits) -> Result:
    model = ScriptedModel(["I look. ", call("c1", "search", query="whales")], ["Nothing."])
    return await Agent(model=model, tools=[search], limits=limits).run("Find a book.")


async def main() -> None:
    result = await run(Limits(run_deadline=30))
    print(f"{result.finish_reason} ({result.reason}): {result.text!r}")

    result = await run(Limits(step_deadline=30))
    print(f"{result.finish_reason} ({result.reason}): {result.text!r}")

    result = await run(Limits(tool_deadline=30))
    print(f"{result.finish_reason}: {result.text!r}")


trio.run(main, clock=MockClock(autojump_threshold=0))  # jumps over the 30 seconds
