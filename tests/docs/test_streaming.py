"""docs/streaming.md"""

from pathlib import Path

import pytest
import trio
from program_kit import REPOSITORY, run_example
from server_kit import open_server, talking_model

from trio_agent.testing.openai import (
    Answer,
    RecordedRequest,
    Step,
    cut,
    finish,
    pause,
    text,
    tool_call,
    usage,
)

FIVE = [text("one "), text("two "), text("three "), text("four "), text("five"), finish()]


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (finish(), "[that was all]"),
        (finish("length"), "[not all: length]"),
        (cut(), "[failed: cut-stream]"),
    ],
)
async def test_ends(end: Step, said: str, tmp_path: Path) -> None:
    output = await run_example("streaming/ends", [[text("Trio is"), end]], tmp_path)
    assert output == f"Trio is\n{said}\n"


async def test_conversation(tmp_path: Path) -> None:
    heard: list[list[str]] = []

    def second(request: RecordedRequest) -> Answer:
        heard.append([message["content"] for message in request.body["messages"]])
        return [text("Narvik."), finish(), usage(20, 2)]

    script = [[text("Oslo."), finish(), usage(10, 2)], second]
    output = await run_example("streaming/conversation", script, tmp_path)
    assert output == "Oslo.\nNarvik.\n4 messages, 22 tokens\n"
    assert heard == [["Name a town in Norway.", "Oslo.", "And one in the north?"]]


async def test_trimmed(tmp_path: Path) -> None:
    assert await run_example("streaming/trimmed", [], tmp_path) == (
        "UserMessage And how is the weather there?\nAssistantMessage \nToolMessage 7 degrees\n"
    )


async def test_resume(tmp_path: Path) -> None:
    assert await run_example("streaming/resume", [FIVE], tmp_path) == (
        "one two | three | four five\nthe log is gone: start anew\n"
    )


async def test_viewers(tmp_path: Path) -> None:
    assert await run_example("streaming/viewers", [FIVE], tmp_path) == (
        "quick: one two three four five\n"
        "slow: one two three four five\n"
        "late: one two three four five\n"
    )


async def test_policy(tmp_path: Path) -> None:
    script = [[text("Once "), pause(trio.Event())]]
    assert await run_example("streaming/policy", script, tmp_path) == (
        "RunStart\ncancelled: nobody watches\n"
    )


async def test_agents(tmp_path: Path) -> None:
    script = [
        [
            text("I ask a lawyer."),
            *tool_call("1", "lawyer", '{"prompt": "?"}'),
            finish("tool_calls"),
        ],
        [*tool_call("1", "read", '{"pages": 12}'), finish("tool_calls")],
        [text("It holds."), finish()],
        [text("The lawyer says yes."), finish()],
    ]
    expected = (REPOSITORY / "docs" / "streaming.md").read_text()
    output = await run_example("streaming/agents", script, tmp_path)
    assert f"$ python agents.py\n{output}```\n" in expected
    assert output.count("\n") == 4


async def test_map(tmp_path: Path) -> None:
    french = {"bread": "pain", "butter": "beurre", "cheese": "fromage"}

    def answer(request: RecordedRequest) -> Answer:
        return [text(french[request.body["messages"][-1]["content"]]), finish()]

    output = await run_example("streaming/map", [answer] * 3, tmp_path)
    assert output == "bread pain\nbutter beurre\ncheese fromage\n"


async def test_producer(tmp_path: Path) -> None:
    assert await run_example("streaming/producer", [], tmp_path) == (
        "1 reading {'celsius': -3}\n2 reading {'celsius': -2}\n3 reading {'celsius': -4}\nTrue\n"
    )


async def test_remote(tmp_path: Path) -> None:
    async with open_server(talking_model("one ", "two")) as server:
        output = await run_example("streaming/remote", [], tmp_path, server.url)
    assert output == "one two\n[stop]\n"
