import trio

from trio_agent import Agent, tool
from trio_agent.testing import ScriptedModel, call

two_at_a_time = trio.CapacityLimiter(2)
peak = 0


@tool
async def fetch(page: int) -> str:
    """Fetch a page."""
    global peak
    async with two_at_a_time:
        peak = max(peak, int(two_at_a_time.borrowed_tokens))
        await trio.sleep(0.01)
    return f"page {page}"


model = ScriptedModel([call(f"c{page}", "fetch", page=page) for page in range(5)], ["Done."])
agent = Agent(model=model, tools=[fetch])


async def main() -> None:
    result = await agent.run("Fetch five pages.")
    print(f"{len(model.requests[1].messages) - 2} results, at most {peak} at a time")
    print(result.text)


trio.run(main)
