"""OpenAIResponsesModel against a scripted provider on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from model_kit import ASK, Emitted, answer_of, failure_of

from trio_agent._agent import Agent
from trio_agent._errors import ModelError
from trio_agent._events import ToolRequest, Usage
from trio_agent._messages import AssistantMessage, File, Text, ToolMessage, UserMessage
from trio_agent.models._model import Model
from trio_agent.models._parts import (
    ModelFinish,
    ModelPart,
    ModelRequest,
    ReasoningPart,
    TextPart,
    ToolInputPart,
    ToolSpec,
)
from trio_agent.models.openai_responses._model import OpenAIResponsesModel
from trio_agent.testing import openai_responses as scripted
from trio_agent.testing.openai_responses import ScriptedServer, open_scripted_responses
from trio_agent.tools import tool


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def opened(
    *script: scripted.ResponseAnswer, **config: Any
) -> AsyncIterator[tuple[ScriptedServer, Model]]:
    async with (
        open_scripted_responses(script) as server,
        OpenAIResponsesModel("m", base_url=server.base_url, **config).open() as model,
    ):
        yield server, model


async def ask(*answer: scripted.ResponseStep, **config: Any) -> tuple[Emitted, ModelFinish]:
    return await answer_of(opened(answer, **config))


async def fail(*answer: scripted.ResponseStep, **config: Any) -> tuple[Emitted, ModelError]:
    return await failure_of(opened(answer, **config))


async def test_a_whole_answer() -> None:
    parts, finish = await ask(
        scripted.reasoning("Hm.", "So."),
        scripted.text("Let me ", "see."),
        scripted.tool_call("call_1", "f", ['{"a":', "1}"]),
        scripted.finish(input_tokens=9, output_tokens=5, cached=4, thought=2),
    )
    assert parts == [
        ReasoningPart("Hm."),
        ReasoningPart("\n\nSo."),
        TextPart("Let me "),
        TextPart("see."),
        ToolInputPart("call_1", "f", ""),
        ToolInputPart("call_1", "f", '{"a":'),
        ToolInputPart("call_1", "f", "1}"),
    ]
    assert (finish.reason, finish.model) == ("tool-calls", "m")
    assert finish.usage == Usage(9, 5, 14, 4, 2)
    ((origin, state),) = finish.provider.items()
    assert origin.startswith("openai-responses@127.0.0.1")
    assert [item["type"] for item in state["output"]] == ["reasoning", "message", "function_call"]
    assert state["output"][0]["encrypted_content"].startswith("gAAAA")


async def test_the_request() -> None:
    config = {
        "api_key": "sk-1",
        "organization": "org",
        "project": "proj",
        "options": {"reasoning": {"effort": "low"}},
    }
    async with opened([scripted.finish()], **config) as (server, model):
        spec = ToolSpec("f", "Does.", {"type": "object"})
        await model.generate(ModelRequest((UserMessage("Hi"),), "Be.", (spec,)), Emitted())
    (request,) = server.requests
    assert request.path == "/v1/responses"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["openai-organization"] == "org"
    assert request.headers["openai-project"] == "proj"
    assert request.body == {
        "model": "m",
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low"},
        "instructions": "Be.",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "tools": [
            {
                "type": "function",
                "name": "f",
                "description": "Does.",
                "parameters": {"type": "object"},
                "strict": False,
            }
        ],
    }


@pytest.mark.parametrize(
    "suffix", ["", "/", "/responses", "/responses/", "/responses?api-version=1"]
)
async def test_what_people_paste(suffix: str) -> None:
    async with open_scripted_responses([[scripted.text("a"), scripted.finish()]]) as server:
        model = OpenAIResponsesModel("m", base_url=server.base_url + suffix)
        await model.generate(ASK, Emitted())
    query = "?" + suffix.partition("?")[2] if "?" in suffix else ""
    assert server.requests[0].path == f"/v1/responses{query}"


def test_what_it_is_called() -> None:
    assert OpenAIResponsesModel("gpt-5").name == "gpt-5"
    with pytest.raises(ValueError, match="system_role"):
        OpenAIResponsesModel("m", system_role="tool")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="organization"):
        OpenAIResponsesModel("m", organization="a\nb")


async def test_without_a_key() -> None:
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        await OpenAIResponsesModel("m").generate(ASK, Emitted())


@tool
async def weather(city: str) -> str:
    """Tell the weather."""
    await trio.lowlevel.checkpoint()
    return f"Sunny in {city}"


@pytest.mark.parametrize("store", [False, True])
async def test_a_conversation_with_tools_an_image_and_reasoning(store: bool) -> None:
    """The provider refuses what it did not give, and items without those that they belong to."""
    script = [
        [
            scripted.reasoning("Look."),
            scripted.text("Let me see.", phase="commentary"),
            scripted.tool_call("call_1", "weather", '{"city": "Rome"}'),
            scripted.reasoning("And there?"),
            scripted.tool_call("call_2", "weather", '{"city": "Oslo"}'),
            scripted.finish(),
        ],
        [
            scripted.item("web_search_call", status="completed", action={"query": "x"}),
            scripted.reasoning(),
            scripted.tool_call("call_1", "weather", "{broken"),
            scripted.finish(),
        ],
        [
            scripted.reasoning("Done."),
            scripted.text("Sunny.", phase="final_answer"),
            scripted.finish(),
        ],
        [scripted.text("Bye."), scripted.finish()],
    ]
    image = UserMessage((Text("Where is this?"), File("image/png", data=b"png")))
    async with open_scripted_responses(script) as server:
        model = OpenAIResponsesModel("m", base_url=server.base_url, options={"store": store})
        agent = Agent(model=model, tools=[weather])
        result = await agent.run(messages=(image,))
        assert result.text == "Let me see.Sunny."
        second = await agent.run(messages=(*result.messages, UserMessage("Thanks.")))
        assert second.text == "Bye."
    last = server.requests[-1].body["input"]
    assert [(item["type"], item.get("role", item.get("call_id"))) for item in last] == [
        ("message", "user"),
        ("reasoning", None),
        ("message", "assistant"),
        ("function_call", "call_1"),
        ("reasoning", None),
        ("function_call", "call_2"),
        ("function_call_output", "call_1"),
        ("function_call_output", "call_2"),
        ("web_search_call", None),
        ("reasoning", None),
        ("function_call", "call_1-2"),
        ("function_call_output", "call_1-2"),
        ("reasoning", None),
        ("message", "assistant"),
        ("message", "user"),
    ]
    answered = [item for item in last if item["type"] != "function_call_output"][1:-1]
    assert all(("id" in item) is store for item in answered)
    assert all("encrypted_content" in item for item in last if item["type"] == "reasoning")
    assert [item["phase"] for item in last if item.get("role") == "assistant"] == [
        "commentary",
        "final_answer",
    ]


async def test_an_answer_that_somebody_edited_goes_back_without_its_state() -> None:
    async with opened(
        [scripted.reasoning("Hm."), scripted.tool_call("call_1", "f"), scripted.finish()],
        [scripted.text("Fine."), scripted.finish()],
    ) as (server, model):
        finish = await model.generate(ASK, Emitted())
        edited = AssistantMessage("Wait.", (ToolRequest("call_1", "f", {}),), "", finish.provider)
        messages = (UserMessage("Hi"), edited, ToolMessage("call_1", "x"))
        assert (await model.generate(ModelRequest(messages), Emitted())).reason == "stop"
    types = [item["type"] for item in server.requests[1].body["input"]]
    assert types == ["message", "message", "function_call", "function_call_output"]


async def test_what_was_stored_may_go_on_stateless() -> None:
    async with opened(
        [scripted.reasoning("Hm."), scripted.tool_call("call_1", "f"), scripted.finish()],
        [scripted.text("Fine."), scripted.finish()],
    ) as (server, model):
        stored = ModelRequest(ASK.messages, options={"store": True})
        finish = await model.generate(stored, Emitted())
        answer = AssistantMessage("", (ToolRequest("call_1", "f", {}),), "", finish.provider)
        messages = (*ASK.messages, answer, ToolMessage("call_1", "x"))
        await model.generate(ModelRequest(messages), Emitted())
    assert not any("id" in item for item in server.requests[1].body["input"])


@pytest.mark.parametrize(
    ("steps", "code", "retryable", "words"),
    [
        ([scripted.failed()], "provider-error", True, "The model failed."),
        ([scripted.failed("rate_limit_exceeded", "Slow")], "rate-limit", True, "Slow"),
        ([scripted.error("server_error", "Oops")], "provider-error", True, "Oops"),
        ([scripted.text("a"), scripted.failed()], "provider-error", False, "The model failed."),
        ([scripted.text("a"), scripted.end()], "cut-stream", False, "ended before"),
        ([scripted.cut()], "cut-stream", True, ""),
        ([scripted.text("a", scripted.cut())], "cut-stream", False, ""),
        (
            [scripted.status(429, {"retry-after": "3"}, b"")],
            "rate-limit", True, "the provider's limit is reached",
        ),
        (
            [scripted.status(200, body={"error": {"message": "no", "code": 400}})],
            "bad-request", False, "no",
        ),
    ],
)  # fmt: skip
async def test_failures(steps: Any, code: str, retryable: bool, words: str) -> None:
    _, error = await fail(*steps)
    assert (error.code, error.retryable) == (code, retryable)
    assert words in error.message


async def test_an_answer_that_is_no_stream() -> None:
    part = {"type": "output_text", "text": "a"}
    output = [{"type": "message", "content": [part]}]
    response = {"object": "response", "status": "completed", "output": output}
    parts, finish = await ask(scripted.status(200, body=response))
    assert (parts, finish.reason) == ([TextPart("a")], "stop")


async def test_a_refused_request_says_why() -> None:
    request = ModelRequest((UserMessage("Hi"),), options={"temprature": 1})
    async with opened() as (_, model):
        with pytest.raises(ModelError, match="Unknown parameter: 'temprature'") as info:
            await model.generate(request, Emitted())
    assert (info.value.code, info.value.retryable) == ("bad-request", False)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("max_output_tokens", "length"), ("content_filter", "content-filter")],
)
async def test_incomplete(reason: str, expected: str) -> None:
    parts, finish = await ask(scripted.text("a"), scripted.incomplete(reason))
    assert (parts, finish.reason) == ([TextPart("a")], expected)


async def test_a_refusal() -> None:
    parts, finish = await ask(scripted.refusal("I ", "can't."), scripted.finish())
    assert (parts, finish.reason) == ([TextPart("I "), TextPart("can't.")], "stop")


async def test_cancelling_closes_the_providers_connection() -> None:
    emitted = Emitted()
    async with opened([scripted.text("a", scripted.hang())]) as (server, model):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(model.generate, ASK, emitted)
            await emitted.event.wait()
            nursery.cancel_scope.cancel()
        await server.requests[0].disconnected.wait()
    assert emitted == [TextPart("a")]


@pytest.mark.parametrize(
    ("steps", "name", "parts"),
    [
        ([scripted.reasoning(), scripted.hang()], "first-token", []),
        ([scripted.text("a", scripted.hang())], "between-tokens", [TextPart("a")]),
    ],
)
async def test_deadlines(steps: Any, name: str, parts: list[ModelPart]) -> None:
    deadlines = {"first_token_deadline": 0.2, "between_tokens_deadline": 0.2}
    emitted, error = await fail(*steps, **deadlines)
    assert (error.code, error.retryable) == (f"timeout-{name}", not parts)
    assert emitted == parts


async def test_nothing_is_waited_for_behind_the_end() -> None:
    with trio.fail_after(5):
        parts, finish = await ask(scripted.text("a"), scripted.finish(), scripted.hang())
    assert (parts, finish.reason) == ([TextPart("a")], "stop")


async def test_connections_are_used_again() -> None:
    answer = [scripted.tokens(500), scripted.finish()]
    async with opened(answer, answer) as (server, model):
        for _ in range(2):
            emitted = Emitted()
            await model.generate(ASK, emitted)
            assert len(emitted) == 500
        assert server.connections == 1
        await model.check()
