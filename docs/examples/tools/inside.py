import trio

from trio_agent import Agent, current_run, open_runtime, tool
from trio_agent.testing import ScriptedModel, call

BALANCE = {"ada": 0}


@tool
async def pay(amount: int) -> str:
    """Pay an amount."""
    run = current_run()
    assert run is not None  # a model called this, so there is one
    user = run.metadata["user"]
    if BALANCE[user] < amount:
        run.request_cancel(f"{user} has no money left")
    return f"{user} has {BALANCE[user]}"


model = ScriptedModel([call("c1", "pay", amount=5)], ["Paid."])
agent = Agent(model=model, tools=[pay])


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Pay 5.", metadata={"user": "ada"})
        result = await run.wait()
    print(f"{result.finish_reason}: {result.reason}")


trio.run(main)
