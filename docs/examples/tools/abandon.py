import threading

import trio

from trio_agent import Agent, ToolResult, tool
from trio_agent.testing import ScriptedModel, call

printer_is_free = threading.Event()


@tool(abandon=True, deadline=0.5)
def print_page(text: str) -> str:
    """Print a page."""
    printer_is_free.wait()  # stands for a library that can't be interrupted
    return f"printed {text!r}"


model = ScriptedModel([call("c1", "print_page", text="Hello")], ["I can't tell if it is printed."])
agent = Agent(model=model, tools=[print_page])


async def main() -> None:
    async with agent.stream_events("Print 'Hello'.") as events:
        async for event in events:
            if isinstance(event, ToolResult):
                print(f"{event.tool.status}: {event.tool.output}")
    printer_is_free.set()


trio.run(main)
