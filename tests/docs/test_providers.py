"""docs/providers: the programs of its pages, and what the pages say was tried."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import pytest
import trio
from model_kit import Emitted
from program_kit import EXAMPLES, REPOSITORY, environment, run_against
from server_kit import SOON

from trio_agent import AnthropicModel, ModelError, OpenAIModel, UserMessage
from trio_agent.abc import Model, ModelRequest, ReasoningPart, TextPart, ToolInputPart
from trio_agent.models.openai._dialects import mistral_id
from trio_agent.testing import anthropic, openai_responses as responses
from trio_agent.testing.openai import (
    Answer,
    RecordedRequest,
    delta,
    finish,
    open_scripted_openai,
    reasoning,
    reasoning_details,
    status,
    text,
    tool_call,
    usage,
)

PAGES = REPOSITORY / "docs" / "providers"
WantsBack: TypeAlias = Literal["reasoning_content", "thought_signature", "reasoning_details"]

LISBON = '{"city": "Lisbon"}'
KEEP_ALIVE = b": OPENROUTER PROCESSING\n\n: keep-alive\n\n"


async def ask(
    name: str,
    script: list[Answer],
    folder: Path,
    *,
    provider: str = "",
    wants_back: WantsBack | None = None,
) -> tuple[str, list[RecordedRequest]]:
    """Run `docs/examples/{name}.py`; return what it wrote, and what it asked.

    `provider` is what the provider's own variables begin with, if it has any. OpenAI's hold
    another key then, which must not go out. `wants_back` is what it doesn't go on without.
    """
    with trio.fail_after(3 * SOON):
        async with open_scripted_openai(script, strict=True, wants_back=wants_back) as server:
            own = {f"{provider}_BASE_URL": server.base_url, f"{provider}_API_KEY": "its-own"}
            env = {**environment(server), **(own if provider else {})}
            output = await run_against(env, EXAMPLES / f"{name}.py", folder)
    for request in server.requests:
        assert (request.headers["authorization"] == "Bearer sk-test") is not bool(provider)
    return output, server.requests


def called(*, before: tuple[bytes, ...] = (), arguments: str = LISBON) -> list[Answer]:
    """A call of the tool `temperature`, and an answer."""
    return [
        [*before, tool_call("call_1", "temperature", arguments), finish("tool_calls")],
        [text("Take "), text("none."), finish(), usage(20, 3)],
    ]


def bodies(requests: list[RecordedRequest]) -> list[Any]:
    return [request.body for request in requests]


async def test_openai(tmp_path: Path) -> None:
    output, requests = await ask("providers/openai", called(), tmp_path)
    assert output == "Take none.\n23 tokens\n"
    first, second = bodies(requests)
    assert first["model"] == "gpt-4.1-mini"
    assert first["max_completion_tokens"] == 2000
    assert first["messages"][0] == {"role": "developer", "content": "Be brief."}
    [tool] = first["tools"]
    assert tool["function"]["strict"] is True
    assert second["messages"][-1]["content"] == "18 °C in Lisbon"


async def test_openai_responses(tmp_path: Path) -> None:
    script = [
        [
            responses.reasoning("Where is it?"),
            responses.tool_call("call_1", "temperature", LISBON),
            responses.finish(input_tokens=9, output_tokens=20, thought=12),
        ],
        [responses.text("Take ", "none."), responses.finish(input_tokens=30, output_tokens=3)],
    ]
    with trio.fail_after(3 * SOON):
        async with responses.open_scripted_responses(script) as server:
            program = (EXAMPLES / "providers/openai_responses").with_suffix(".py")
            output = await run_against(environment(server), program, tmp_path)
    assert output == "Take none.\n12 tokens of reasoning\n"
    first, second = bodies(server.requests)
    assert (first["store"], first["include"]) == (False, ["reasoning.encrypted_content"])
    assert first["reasoning"] == {"effort": "low", "summary": "auto"}
    assert first["tools"][0]["strict"] is False
    _, thought, call, result = second["input"]
    assert thought["encrypted_content"]
    assert call["call_id"] == result["call_id"] == "call_1"


async def test_anthropic(tmp_path: Path) -> None:
    script = [
        [
            anthropic.start(9),
            anthropic.thinking("Where is it?"),
            anthropic.tool_use("toolu_1", "temperature", LISBON),
            anthropic.finish("tool_use", 20),
        ],
        [
            anthropic.start(3, cache_read_input_tokens=27),
            anthropic.text("Take ", "none."),
            anthropic.finish(output_tokens=3),
        ],
    ]
    with trio.fail_after(3 * SOON):
        async with anthropic.open_scripted_anthropic(script) as server:
            own = {"ANTHROPIC_BASE_URL": server.base_url, "ANTHROPIC_API_KEY": "its-own"}
            program = (EXAMPLES / "providers/anthropic").with_suffix(".py")
            output = await run_against({**environment(server), **own}, program, tmp_path)
    assert output == "Take none.\n27 tokens cached\n"
    assert [each.headers["x-api-key"] for each in server.requests] == ["its-own", "its-own"]
    first, second = bodies(server.requests)
    assert (first["max_tokens"], first["thinking"]) == (8000, {"type": "adaptive"})
    _, said, result = second["messages"]
    assert [block["type"] for block in said["content"]] == ["thinking", "tool_use"]
    assert said["content"][0]["signature"]
    assert result["content"][0]["tool_use_id"] == "toolu_1"


async def test_ollama(tmp_path: Path) -> None:
    output, requests = await ask("providers/ollama", called(), tmp_path, provider="OLLAMA")
    assert output == "Take none.\n"
    _, second = bodies(requests)
    assert second["messages"][1]["content"] == ""


async def test_vllm(tmp_path: Path) -> None:
    script: list[Answer] = [[text("<think>17*3</think>"), text("51"), finish()]]
    output, requests = await ask("providers/vllm", script, tmp_path, provider="VLLM")
    assert output == "51\n"
    [body] = bodies(requests)
    assert body["top_k"] == 20
    assert body["chat_template_kwargs"] == {"enable_thinking": True}


async def test_vllm_json_within_json(tmp_path: Path) -> None:
    script = called(arguments=json.dumps(LISBON))
    _, requests = await ask("providers/ollama", script, tmp_path, provider="OLLAMA")
    _, second = bodies(requests)
    assert second["messages"][-1]["content"] == "18 °C in Lisbon"


async def test_openrouter(tmp_path: Path) -> None:
    block = {"type": "reasoning.text", "index": 0, "text": "Where is it?", "signature": "s"}
    script = called(before=(KEEP_ALIVE, reasoning_details(block)))
    output, requests = await ask(
        "providers/openrouter",
        script,
        tmp_path,
        provider="OPENROUTER",
        wants_back="reasoning_details",
    )
    assert output == "Take none.\n"
    first, second = requests
    assert first.headers["http-referer"] == "https://weather.example"
    assert first.headers["x-openrouter-title"] == "Weather"
    assert first.body["provider"] == {"require_parameters": True}
    assert first.body["reasoning"] == {"effort": "low"}
    assert second.body["messages"][1]["reasoning_details"] == [block]


async def test_azure(tmp_path: Path) -> None:
    script: list[Answer] = [[KEEP_ALIVE, text("A bound."), finish()]]
    output, [request] = await ask("providers/azure", script, tmp_path, provider="AZURE_OPENAI")
    assert output == "A bound.\n"
    assert request.body["model"] == "mini"


async def test_gemini(tmp_path: Path) -> None:
    script: list[Answer] = [
        [
            tool_call("c1", "find_trains", '{"day": "2026-05-02"}', thought_signature="s"),
            finish("stop"),
        ],
        [text("On Saturday at 9:04."), finish()],
    ]
    output, requests = await ask(
        "providers/gemini", script, tmp_path, provider="GEMINI", wants_back="thought_signature"
    )
    assert output == "On Saturday at 9:04.\n"
    first, second = bodies(requests)
    assert first["tool_choice"] == {"type": "function", "function": {"name": "find_trains"}}
    assert "tool_choice" not in second
    [tool] = first["tools"]
    day = tool["function"]["parameters"]["properties"]["day"]
    assert day == {"type": "string", "description": "Format: date."}
    assert second["messages"][-1]["content"] == '["Saturday, 9:04"]'


async def test_deepseek(tmp_path: Path) -> None:
    script = called(before=(KEEP_ALIVE, reasoning("Where is it?")))
    output, requests = await ask(
        "providers/deepseek", script, tmp_path, provider="DEEPSEEK", wants_back="reasoning_content"
    )
    assert output == "Take none.\n"
    first, second = bodies(requests)
    assert first["reasoning_effort"] == "high"
    assert second["messages"][1]["reasoning_content"] == "Where is it?"


async def test_mistral(tmp_path: Path) -> None:
    output, requests = await ask("providers/mistral", called(), tmp_path, provider="MISTRAL")
    assert output == "Take none.\n"
    first, second = bodies(requests)
    assert "stream_options" not in first
    _, said, result = second["messages"]
    assert said["tool_calls"][0]["id"] == result["tool_call_id"] == mistral_id("call_1")


def chunk(**fields: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(fields).encode()


def calls(*pieces: dict[str, Any], **beside: Any) -> bytes:
    return delta({"tool_calls": list(pieces), **beside})


def named(name: str, arguments: Any = "{}", **beside: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **beside}


@attrs.frozen
class Tried:
    """What a provider answers, and what that is taken for."""

    answer: Iterable[Any]
    says: str = ""
    thinks: str = ""
    calls: tuple[str, ...] = ()
    ends: str = ""
    """Why it is complete, if neither by itself nor for calls."""
    fails: str = ""
    """The code of its failure."""
    may_pass: bool = False
    """Whether asking again may help."""


HI = (text("Hi"), finish())
OVERLONG = "This endpoint's maximum context length is 8192 tokens. However, you requested 9000."
WITH_RAW = {
    "code": 400,
    "message": "Provider returned error",
    "metadata": {"raw": json.dumps({"error": {"message": OVERLONG}})},
}
QUOTA = {
    "code": 429,
    "message": "Quota exceeded.",
    "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}],
}
DOWN = {"code": 502, "message": "down"}
CONTENT = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
    {"type": "text", "text": "Hi"},
]


def refused(code: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    return [status(code, headers, body if isinstance(body, bytes) else json.dumps(body).encode())]


TRIED = {
    "openai: retry-after-ms": Tried(
        refused(429, {"error": {"message": "Slow."}}, {"retry-after-ms": "5"}),
        fails="rate-limit",
        may_pass=True,
    ),
    "openai: a refusal": Tried([delta({"refusal": "I can't."}), finish()], "I can't."),
    "openai: more choices": Tried(
        [chunk(choices=[{"index": 1, "delta": {"content": "No"}}]), *HI], "Hi"
    ),
    "ollama: all calls of one index": Tried(
        [*(calls(named(name, index=0)) for name in ("f", "g", "h")), finish("")],
        calls=("f", "g", "h"),
    ),
    "ollama: reasoning": Tried([delta({"reasoning": "Hm."}), *HI], "Hi", "Hm."),
    "ollama: an error within": Tried(
        [text("H"), chunk(error="the runner stopped")], fails="provider-error"
    ),
    "vllm: arguments null, then text": Tried(
        [calls(named("f", None, index=0, id="a")), calls({"index": 0, **named("f")}), finish()],
        calls=("f",),
    ),
    "vllm: tool_calls without any": Tried([text("Hi"), finish("tool_calls")], "Hi"),
    "vllm: an error within": Tried(
        [text("H"), chunk(object="error", message="died", code=500)], fails="provider-error"
    ),
    "vllm: 422": Tried(refused(422, {"detail": [{"msg": "no such"}]}), fails="bad-request"),
    "openrouter: an error at the top": Tried(
        [chunk(error=DOWN, choices=[{"index": 0, "delta": {}, "finish_reason": "error"}])],
        fails="provider-error",
        may_pass=True,
    ),
    "openrouter: an error within a choice": Tried(
        [chunk(choices=[{"index": 0, "delta": {}, "error": DOWN, "finish_reason": "error"}])],
        fails="provider-error",
        may_pass=True,
    ),
    "openrouter: the other's words": Tried(
        refused(400, {"error": WITH_RAW}), fails="context-length"
    ),
    "openrouter: overlong, within": Tried(
        [chunk(error={"code": 400, "message": OVERLONG})], fails="context-length"
    ),
    "openrouter: the finish reason twice": Tried(
        [*HI, chunk(choices=[{"delta": {}, "finish_reason": "stop"}], usage={})], "Hi"
    ),
    "openrouter: one id for two": Tried(
        [calls(named("f", index=0, id="a"), named("g", index=1, id="a")), finish("tool_calls")],
        calls=("f", "g"),
    ),
    "openrouter: halves of a pair": Tried([text("\ud83d"), text("\ude00"), finish()], "\U0001f600"),
    "openrouter: a large chunk": Tried([delta({"images": ["x" * (1 << 20)]}), *HI], "Hi"),
    "azure: filtered after text": Tried(
        [chunk(choices=[]), text("H"), finish("content_filter")], "H", ends="content-filter"
    ),
    "azure: a code as text": Tried(
        [chunk(error={"code": "429", "message": "Busy."})], fails="rate-limit", may_pass=True
    ),
    "azure: a page": Tried(
        refused(503, b"<html>Unavailable</html>"), fails="provider-error", may_pass=True
    ),
    "azure: 529": Tried(refused(529, b""), fails="provider-error", may_pass=True),
    "gemini: a whole call": Tried(
        [calls(named("f", id="a", extra_content={"google": {}})), finish()], calls=("f",)
    ),
    "gemini: ids without a letter": Tried(
        [calls(named("f", id="", index=0), named("g", id="", index=1)), finish()],
        calls=("f", "g"),
    ),
    "gemini: a list": Tried(
        refused(400, [{"error": {"message": "No.", "status": "INVALID_ARGUMENT"}}]),
        fails="bad-request",
    ),
    "gemini: the wait in the body": Tried(
        refused(429, [{"error": QUOTA}]), fails="rate-limit", may_pass=True
    ),
    "deepseek: no resources": Tried(
        [finish("insufficient_system_resource")], fails="provider-error", may_pass=True
    ),
    "deepseek: an error after text": Tried(
        [text("H"), chunk(error={"message": "died", "type": "server_error"})],
        fails="provider-error",
    ),
    "deepseek: an empty account": Tried(
        refused(402, {"error": {"message": "Insufficient Balance"}}), fails="rate-limit"
    ),
    "mistral: thoughts and text in a list": Tried(
        [delta({"content": CONTENT}), finish()], "Hi", "Hm."
    ),
    "mistral: an error": Tried(
        refused(422, {"object": "error", "message": "No.", "code": "3230"}), fails="bad-request"
    ),
}


TRIED_ANTHROPIC = {
    "overloaded, before a word": Tried(
        [anthropic.start(), anthropic.error()], fails="provider-error", may_pass=True
    ),
    "overloaded, after some": Tried(
        [anthropic.start(), anthropic.text("H"), anthropic.error()],
        fails="provider-error",
    ),
    "529": Tried(
        [anthropic.refuse(529, "overloaded_error", "Overloaded")],
        fails="provider-error",
        may_pass=True,
    ),
    "429": Tried(
        [anthropic.refuse(429, "rate_limit_error", "Slow.", retry_after="5")],
        fails="rate-limit",
        may_pass=True,
    ),
    "no more tokens": Tried(
        [anthropic.start(), anthropic.text("H"), anthropic.finish("max_tokens")],
        "H",
        ends="length",
    ),
    "a refusal": Tried(
        [anthropic.start(), anthropic.text("H"), anthropic.finish("refusal")],
        "H",
        ends="content-filter",
    ),
    "a pause": Tried(
        [anthropic.start(), anthropic.text("Hi"), anthropic.finish("pause_turn")], "Hi there"
    ),
    "pings": Tried(
        [anthropic.ping(), anthropic.start(), anthropic.text("Hi"), anthropic.finish()], "Hi"
    ),
}


@pytest.mark.parametrize("tried", TRIED.values(), ids=TRIED)
async def test_what_was_tried(tried: Tried) -> None:
    with trio.fail_after(SOON):
        async with open_scripted_openai([tried.answer]) as server:
            await check(tried, OpenAIModel("m", base_url=server.base_url, api_key="k"))


@pytest.mark.parametrize("tried", TRIED_ANTHROPIC.values(), ids=TRIED_ANTHROPIC)
async def test_what_was_tried_of_anthropic(tried: Tried) -> None:
    goes_on = [anthropic.start(), anthropic.text(" there"), anthropic.finish()]
    with trio.fail_after(SOON):
        async with anthropic.open_scripted_anthropic([tried.answer, goes_on]) as server:
            await check(tried, AnthropicModel("m", base_url=server.base_url, api_key="k"))


async def check(tried: Tried, model: Model) -> None:
    emitted = Emitted()
    failure = finished = None
    async with model.open() as opened:
        try:
            finished = await opened.generate(ModelRequest((UserMessage("Hello"),)), emitted)
        except ModelError as exc:
            failure = exc
    if failure:
        assert (failure.code, failure.retryable) == (tried.fails, tried.may_pass)
        return
    assert finished
    ends = tried.ends or ("tool-calls" if tried.calls else "stop")
    assert (tried.fails, finished.reason) == ("", ends)
    assert said(emitted, TextPart) == tried.says
    assert said(emitted, ReasoningPart) == tried.thinks
    pieces = [part for part in emitted if isinstance(part, ToolInputPart)]
    names = {part.id: part.name for part in pieces}
    assert tuple(names.values()) == tried.calls
    for id_ in names:
        arguments = "".join(part.delta for part in pieces if part.id == id_)
        assert json.loads(arguments or "{}") == {}


def said(emitted: Emitted, kind: type[TextPart | ReasoningPart]) -> str:
    return "".join(part.delta for part in emitted if isinstance(part, kind))


async def test_a_wait_that_is_told_is_respected() -> None:
    waits = []
    for name in ("openai: retry-after-ms", "gemini: the wait in the body"):
        async with open_scripted_openai([TRIED[name].answer]) as server:
            model = OpenAIModel("m", base_url=server.base_url, api_key="k")
            async with model.open() as opened:
                with pytest.raises(ModelError) as caught:
                    await opened.generate(ModelRequest((UserMessage("Hello"),)), Emitted())
        waits.append(caught.value.retry_after)
    assert waits == [0.005, 37.0]


def test_every_page_has_what_was_tried() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"index"}
    assert {name.partition(":")[0] for name in TRIED} | {"anthropic"} == pages
    for page in pages:
        assert "\n## What was tried\n\nNot the real se" in (PAGES / f"{page}.md").read_text()
