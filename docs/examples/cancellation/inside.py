import trio

from trio_agent import Agent, current_run, tool
from trio_agent.testing import ScriptedModel, call


@tool
async def hang_up() -> str:
    """End the conversation."""
    run = current_run()
    assert run is not None
    run.request_cancel("the caller hung up")
    await trio.lowlevel.checkpoint()
    return "never"


@tool
def hang_up_in_a_thread() -> str:
    """End the conversation."""
    run = current_run()
    assert run is not None
    run.request_cancel("the caller hung up")
    return "hung up"


async def main() -> None:
    for made in (hang_up, hang_up_in_a_thread):
        model = ScriptedModel([call("c1", made.name)], ["Hello?"])
        result = await Agent(model=model, tools=[made]).run("Bye.")
        print(f"{result.finish_reason}: {result.reason}; {result.messages[-1].content}")


trio.run(main)
