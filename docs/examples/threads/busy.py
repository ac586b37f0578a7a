import trio

from trio_agent import Agent, Run, TextDelta, ThreadBusy, open_runtime
from trio_agent.testing import ScriptedModel

model = ScriptedModel(["Oslo is ", trio.Event(), "far."], ["Bergen is near."])
agent = Agent(model=model)


async def until_it_speaks(run: Run[str]) -> None:
    async with run.subscribe() as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break


async def main() -> None:
    async with open_runtime() as runtime:
        first = await runtime.start(agent, "How far is Oslo?", thread="trip")
        await until_it_speaks(first)
        try:
            await runtime.start(agent, "No, Bergen!", thread="trip")
        except ThreadBusy as busy:
            print("busy with the first:", busy.run_id == first.id)
        second = await runtime.start(agent, "No, Bergen!", thread="trip", on_busy="cancel")
        print((await first.wait()).finish_reason)
        print((await second.wait()).text)
        for message in (await runtime.thread_messages("trip")).messages:
            print(type(message).__name__, message.content)


trio.run(main)
