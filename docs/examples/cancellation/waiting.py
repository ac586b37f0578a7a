import trio

from trio_agent import Agent, open_runtime, tool
from trio_agent.testing import ScriptedModel, call

started, saved = trio.Event(), trio.Event()


@tool
async def save() -> str:
    """Save the document."""
    with trio.CancelScope(shield=True):  # half a document would be worse than waiting
        started.set()
        await saved.wait()
    return "saved"


agent = Agent(model=ScriptedModel([call("c1", "save")], ["Saved."]), tools=[save])


async def main() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "Save it.")
        await started.wait()
        with trio.move_on_after(0.1) as patience:
            await run.cancel("closing")
        print("gave up waiting:", patience.cancelled_caught)
        print(run.status)
        saved.set()
        print(await run.cancel("a second reason"))
        print((await run.wait()).reason)


trio.run(main)
