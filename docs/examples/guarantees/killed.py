import logging
import os
import signal
import sys

import trio

from trio_agent import (
    Agent,
    RunError,
    SQLiteStore,
    TextDelta,
    ToolCall,
    ToolResult,
    open_runtime,
    tool,
)
from trio_agent.testing import ScriptedModel, call


@tool
async def pay(amount: int) -> str:
    """Pay an invoice."""
    os.kill(os.getpid(), signal.SIGKILL)
    return f"paid {amount}"


async def work() -> None:
    agent = Agent(model=ScriptedModel(["I pay.", call("c1", "pay", amount=7)]), tools=[pay])
    async with open_runtime(store=SQLiteStore("runs.db")) as runtime:
        await runtime.start(agent, "Pay the invoice.")


async def main() -> None:
    done = await trio.run_process([sys.executable, __file__, "work"], check=False)
    logging.getLogger("trio_agent").setLevel(logging.ERROR)  # it warns of runs that it closes
    print("the worker ended with", signal.Signals(-done.returncode).name)
    async with open_runtime(store=SQLiteStore("runs.db")) as runtime:
        [info] = await runtime.store.find(None, None, 1)
        run = await runtime.find(info.record.run_id)
        async with run.subscribe() as events:
            async for event in events:
                match event:
                    case TextDelta(delta=text):
                        print("text", text)
                    case ToolCall(tool=requested):
                        print("call", requested.name, requested.input)
                    case ToolResult(tool=outcome):
                        print("result", outcome.status, "-", outcome.output)
                    case RunError(error=error):
                        print("error", error.code)


trio.run(work if sys.argv[1:] == ["work"] else main)
