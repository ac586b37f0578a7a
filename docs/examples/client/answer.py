from functools import partial

import trio

from trio_agent import (
    Agent,
    StepDiscard,
    StepStart,
    TextDelta,
    ToolAnswered,
    ToolAsked,
    open_runtime,
    tool,
)
from trio_agent.client import Client, open_client
from trio_agent.servers import serve_http
from trio_agent.testing import ScriptedModel, call


@tool(approval=True)
async def refund(amount: int) -> str:
    """Give money back."""
    return f"{amount} euros are on their way"


model = ScriptedModel(["One moment. ", call("c1", "refund", amount=20)], ["You get 20 euros."])
agent = Agent(model=model, name="desk", tools=[refund])


async def follow(client: Client, run_id: str) -> str:
    """Answer for the user, and return the text of the run."""
    text, kept = "", ""
    async with client.subscribe(run_id) as events:
        async for remote in events:
            match remote.event:
                case StepStart():
                    kept = text
                case TextDelta(delta=delta):
                    text += delta
                case StepDiscard():
                    text = kept
                case ToolAsked(tool=asked):
                    print(f"{asked.name} {asked.input}? yes")
                    await client.say(run_id, "And hurry.")
                    shown = asked.input
                    await client.answer(run_id, asked.id, approved=True, arguments=shown)
                case ToolAnswered(tool=answered, approved=approved):
                    print(f"{answered.name} approved: {approved}")
    return text


async def main() -> None:
    async with open_runtime(agents=[agent]) as runtime, trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve_http, runtime, [agent]))
        async with open_client(url) as client:
            run_id = await client.start("My kettle broke.")
            print(await follow(client, run_id))
        nursery.cancel_scope.cancel()


trio.run(main)
