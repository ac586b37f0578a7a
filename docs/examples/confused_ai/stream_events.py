import trio

from trio_agent import (
    Agent,
    RunError,
    RunFinish,
    StepFinish,
    TextDelta,
    ToolCall,
    ToolResult,
    tool,
)


@tool
async def search(query: str) -> list[str]:
    """Search the library."""
    return [f"{query}: an introduction"]


agent = Agent(
    name="streamer",
    instructions="Be helpful.",
    model="gpt-4o-mini",
    tools=[search],
)


async def main() -> None:
    async with agent.stream_events("Research quantum computing") as events:
        async for event in events:
            match event:
                case TextDelta(delta=text):
                    print(text, end="", flush=True)
                case ToolCall(tool=call):
                    print(f"\nCalling tool: {call.name} {call.input}")
                case ToolResult(tool=outcome):
                    print(f"Tool result: {outcome.name} {outcome.output}")
                case StepFinish(step_number=number):
                    print(f"\nStep {number} done")
                case RunFinish(run=run):
                    print(f"Completed in {run.steps} steps: {run.finish_reason}")
                case RunError(error=error):
                    print(f"\nStream error: {error.code}: {error.message}")


trio.run(main)
