import os
import signal
import sys

import trio

from trio_agent import (
    Agent,
    RunContinued,
    RunFinish,
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


def make_agent(model: ScriptedModel) -> Agent:
    return Agent(model=model, name="clerk", tools=[pay])


async def work() -> None:
    agent = make_agent(ScriptedModel(["I pay.", call("c1", "pay", amount=7)]))
    async with open_runtime(store=SQLiteStore("runs.db"), agents=[agent]) as runtime:
        await runtime.start(agent, "Pay the invoice.")


async def main() -> None:
    done = await trio.run_process([sys.executable, __file__, "work"], check=False)
    print("the worker ended with", signal.Signals(-done.returncode).name)
    agent = make_agent(ScriptedModel([" Please look whether it is paid."]))
    async with open_runtime(store=SQLiteStore("runs.db"), agents=[agent]) as runtime:
        [listed] = (await runtime.runs()).runs
        run = await runtime.find(listed.id)
        async with run.subscribe() as events:
            async for event in events:
                match event:
                    case TextDelta(delta=text):
                        print("text", text)
                    case ToolCall(tool=requested):
                        print("call", requested.name, requested.input)
                    case RunContinued(reason=reason):
                        print("continued", reason)
                    case ToolResult(tool=outcome):
                        print("result", outcome.status, "-", outcome.output)
                    case RunFinish(run=summary):
                        print("finish", summary.finish_reason)


trio.run(work if sys.argv[1:] == ["work"] else main)
