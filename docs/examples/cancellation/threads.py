import threading
import time

import trio

from trio_agent import Agent, ToolResult, open_runtime, tool
from trio_agent.testing import ScriptedModel, call

started = trio.Event()
answered = threading.Event()


@tool
def convert(file: str) -> str:
    """Convert a file."""
    for _ in range(1000):
        trio.from_thread.check_cancelled()
        time.sleep(0.01)  # a piece of work
    return f"{file} is converted"


@tool(abandon=True)
def ask_the_oracle(question: str) -> str:
    """Ask the oracle."""
    trio.from_thread.run_sync(started.set)
    answered.wait()  # stands for a library that can't be interrupted
    return f"{question} Because."


model = ScriptedModel(
    [call("c1", "convert", file="a.wav"), call("c2", "ask_the_oracle", question="Why?")]
)
agent = Agent(model=model, tools=[convert, ask_the_oracle])


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Convert a.wav, and ask the oracle why.")
        await started.wait()
        receipt = await run.cancel()
        print(f"{receipt.outcome}, abandoned: {receipt.abandoned}")
        async with run.subscribe() as events:
            async for event in events:
                if isinstance(event, ToolResult):
                    print(f"{event.tool.name}: {event.tool.status}")
    answered.set()


trio.run(main)
