"""docs/coming-from-pydantic-ai.md"""

from pathlib import Path

import trio
from program_kit import run_example

from trio_agent.testing.openai import (
    RecordedRequest,
    Script,
    Step,
    finish,
    pause,
    text,
    tool_call,
    usage,
)

CALL: list[Step] = [
    tool_call("c1", "get_weather", ['{"city": ', '"Oslo"}']),
    finish("tool_calls"),
    usage(5, 2),
]
SAY: list[Step] = [text("It "), text("snows."), finish(), usage(9, 3)]


async def test_run(tmp_path: Path) -> None:
    output = await run_example("pydantic_ai/run", [CALL, SAY], tmp_path)
    assert output == "It snows.\n19 tokens\n"


async def test_stream(tmp_path: Path) -> None:
    assert await run_example("pydantic_ai/stream", [SAY], tmp_path) == "It snows.\n"


async def test_events(tmp_path: Path) -> None:
    assert await run_example("pydantic_ai/events", [CALL, SAY], tmp_path) == (
        "[get_weather {'city': 'Oslo'}]\n[Oslo: -3 degrees, snow]\nIt snows.\n2 steps\n"
    )


async def test_history(tmp_path: Path) -> None:
    def recall(request: RecordedRequest) -> list[Step]:
        said = [message["content"] for message in request.body["messages"]]
        assert said == ["My name is Ada.", "Hello, Ada.", "What is my name?"]
        return [text("Ada"), finish()]

    script: Script = [[text("Hello, Ada."), finish()], recall]
    assert await run_example("pydantic_ai/history", script, tmp_path) == "Ada\n"


async def test_dependencies(tmp_path: Path) -> None:
    def tell(request: RecordedRequest) -> list[Step]:
        return [text(f"{request.body['messages'][-1]['content']} orders"), finish()]

    script: Script = [
        [tool_call("c1", "count_orders", '{"customer": "ada"}'), finish("tool_calls")],
        tell,
    ]
    assert await run_example("pydantic_ai/dependencies", script, tmp_path) == "25 orders\n"


async def test_limits(tmp_path: Path) -> None:
    assert await run_example("pydantic_ai/limits", [CALL], tmp_path) == (
        "max-steps 1\n['UserMessage', 'AssistantMessage', 'ToolMessage']\n"
    )


async def test_cancel(tmp_path: Path) -> None:
    script: Script = [[text("Once"), pause(trio.Event())]]
    assert await run_example("pydantic_ai/cancel", script, tmp_path) == (
        "cancelled\n2 messages: Once\n"
    )


async def test_scripted(tmp_path: Path) -> None:
    assert await run_example("pydantic_ai/scripted", [], tmp_path) == ("Oslo: snow\n")


async def test_resume(tmp_path: Path) -> None:
    script: Script = [[text("Once "), text("upon "), text("a time."), finish()]]
    assert await run_example("pydantic_ai/resume", script, tmp_path) == (
        "'Once ' then the reader is cut off\n'upon '\n'a time.'\nlater:\n'upon '\n'a time.'\n"
    )
