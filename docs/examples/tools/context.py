import trio

from trio_agent import Agent, ToolContext, ToolProgress, tool
from trio_agent.testing import ScriptedModel, call


@tool
async def copy(context: ToolContext[list[str]], target: str) -> str:
    """Copy all files.

    Args:
        target: Where to.
    """
    files = context.deps
    for done, _ in enumerate(files, 1):
        context.progress({"done": done, "of": len(files)})
        await trio.sleep(0.01)
    return f"{len(files)} files are in {target} (call {context.call_id})"


model = ScriptedModel([call("c1", "copy", target="attic")], ["Done."])
agent = Agent(model=model, tools=[copy])


async def main() -> None:
    print(list(copy.schema["properties"]))
    async with agent.stream_events("Copy!", deps=["a.txt", "b.txt"]) as events:
        async for event in events:
            if isinstance(event, ToolProgress):
                print(event.tool.name, event.data)
    print(await copy(ToolContext(deps=["c.txt"], call_id="t1"), "cellar"))


trio.run(main)
