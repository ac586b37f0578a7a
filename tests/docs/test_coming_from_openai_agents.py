"""docs/coming-from-openai-agents.md"""

from pathlib import Path

import pytest
import trio
from program_kit import run_example

from trio_agent.testing.openai import (
    Answer,
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
    output = await run_example("openai_agents/run", [CALL, SAY], tmp_path)
    assert output == "It snows.\n19 tokens\n"


async def test_stream(tmp_path: Path) -> None:
    assert await run_example("openai_agents/stream", [SAY], tmp_path) == "It snows.\n"


async def test_events(tmp_path: Path) -> None:
    assert await run_example("openai_agents/events", [CALL, SAY], tmp_path) == (
        "[get_weather {'city': 'Oslo'}]\n[Oslo: -3 degrees, snow]\nIt snows.\n2 steps\n"
    )


async def test_session(tmp_path: Path) -> None:
    def recall(request: RecordedRequest) -> Answer:
        said = [message["content"] for message in request.body["messages"]]
        assert said == ["My name is Ada.", "Hello, Ada.", "What is my name?"]
        return [text("Ada"), finish()]

    script: Script = [[text("Hello, Ada."), finish()], recall]
    assert await run_example("openai_agents/session", script, tmp_path) == "Ada\n"
    assert (tmp_path / "conversations.db").exists()


async def test_handoff(tmp_path: Path) -> None:
    def pay(request: RecordedRequest) -> Answer:
        system, user = request.body["messages"]
        assert system["content"] == "You handle refunds."
        assert user["content"] == "pay it back"
        return [text("Paid."), finish()]

    def tell(request: RecordedRequest) -> Answer:
        return [text(f"Good news: {request.body['messages'][-1]['content']}"), finish()]

    ask = tool_call("c1", "refunds", '{"prompt": "pay it back"}')
    script: Script = [[ask, finish("tool_calls")], pay, tell]
    assert await run_example("openai_agents/handoff", script, tmp_path) == "Good news: Paid.\n"


@pytest.mark.parametrize(
    ("amount", "told"),
    [(20, "20 euros are on their way"), (90, "the user did not allow this call")],
)
async def test_approve(amount: int, told: str, tmp_path: Path) -> None:
    def tell(request: RecordedRequest) -> Answer:
        return [text(request.body["messages"][-1]["content"]), finish()]

    asked = tool_call("c1", "refund", f'{{"amount": {amount}}}')
    script: Script = [[asked, finish("tool_calls")], tell]
    assert await run_example("openai_agents/approve", script, tmp_path) == f"{told}\n"


@pytest.mark.parametrize(
    ("verdict", "output"),
    [("Yes", "do it yourself: cancelled\n"), ("No", "x is 4.\n")],
)
async def test_guardrail(verdict: str, output: str, tmp_path: Path) -> None:
    judged = trio.Event()

    def answer(request: RecordedRequest) -> Answer:
        if request.body["messages"][0]["role"] != "system":
            return [text("x is "), pause(judged), text("4."), finish()]
        if verdict == "No":
            judged.set()
        return [text(verdict), finish()]

    script: Script = [answer, answer]
    assert await run_example("openai_agents/guardrail", script, tmp_path) == output


async def test_cancel(tmp_path: Path) -> None:
    script: Script = [[text("Once"), pause(trio.Event())]]
    assert await run_example("openai_agents/cancel", script, tmp_path) == "cancelled\n"


async def test_scripted(tmp_path: Path) -> None:
    assert await run_example("openai_agents/scripted", [], tmp_path) == ""


async def test_readers(tmp_path: Path) -> None:
    script: Script = [[text("Once "), text("upon"), finish()]]
    assert await run_example("openai_agents/readers", script, tmp_path) == (
        "live, 3: 'Once '\nlive, 4: 'upon'\nlate, 3: 'Once '\nlate, 4: 'upon'\n"
    )
