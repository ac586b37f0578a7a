"""The three languages of models, and what a conversation is in each of them.

Each wire says the same in its provider's own stream, and the scripted provider refuses what the
real one refuses, so that a conversation that goes through brought back all that was wanted.
"""

import base64
import json
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeAlias

import attrs

from trio_agent.abc import Model
from trio_agent.models import AnthropicModel, OpenAIModel, OpenAIResponsesModel
from trio_agent.testing import anthropic, openai, openai_responses as responses
from trio_agent.testing.openai import RecordedRequest, ScriptedServer

PNG = b"\x89PNG\r\n\x1a\n not much of an image"

Call: TypeAlias = tuple[str, str, dict[str, Any]]
"""Id, tool and arguments."""

Open: TypeAlias = Callable[[Iterable[Any]], AbstractAsyncContextManager[ScriptedServer]]


@attrs.frozen(kw_only=True)
class Wire:
    """One of them: how it is spoken."""

    name: str
    open: Open
    model: Callable[[str], Model]
    """Makes the model of a base URL."""
    acts: Callable[..., Any]
    """Makes the answer that thinks and calls: `acts(thought, *calls)`."""
    says: Callable[[str], Any]
    """Makes the answer that says something."""
    image: Callable[[RecordedRequest], bytes | None]
    """Finds the image in a request."""
    brings_back: Callable[[RecordedRequest], bool]
    """Whether a request of a tool loop has what the provider wants back."""


def _chat_acts(details: str | None, thought: str, *calls: Call) -> Any:
    if details == "reasoning_details":
        piece = {"type": "reasoning.text", "text": thought, "signature": "c2ln", "index": 0}
        yield openai.reasoning_details(piece)
    else:
        yield openai.reasoning(thought)
    signature = f"signed {thought}" if details == "thought_signature" else None
    for index, (id_, name, arguments) in enumerate(calls):
        first = signature if not index else None  # Google signs the first of parallel calls
        yield openai.tool_call(
            id_, name, json.dumps(arguments), index=index, thought_signature=first
        )
    yield openai.finish("tool_calls")
    yield openai.usage(10, 5, cached_tokens=4, reasoning_tokens=3)


def _chat_says(said: str) -> Any:
    return [openai.text(said), openai.finish(), openai.usage(10, 5, cached_tokens=4)]


def _anthropic_acts(thought: str, *calls: Call) -> Any:
    yield anthropic.start(input_tokens=6, cache_read_input_tokens=4)
    yield anthropic.thinking(thought)
    yield anthropic.redacted_thinking()
    for id_, name, arguments in calls:
        yield anthropic.tool_use(id_, name, json.dumps(arguments))
    yield anthropic.finish("tool_use", 5)


def _anthropic_says(said: str) -> Any:
    yield anthropic.start(input_tokens=6, cache_read_input_tokens=4)
    yield anthropic.text(said)
    yield anthropic.finish(output_tokens=5)


def _responses_acts(thought: str, *calls: Call) -> Any:
    yield responses.reasoning(thought)
    for id_, name, arguments in calls:
        yield responses.tool_call(id_, name, json.dumps(arguments))
    yield responses.finish(input_tokens=10, output_tokens=5, cached=4, thought=3)


def _responses_says(said: str) -> Any:
    return [responses.text(said), responses.finish(input_tokens=10, output_tokens=5, cached=4)]


def _parts(messages: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for message in messages:
        if isinstance(content := message.get("content"), list):
            yield from content


def _data(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])


def _chat_image(request: RecordedRequest) -> bytes | None:
    for part in _parts(request.body["messages"]):
        if part["type"] == "image_url":
            return _data(part["image_url"]["url"])
    return None


def _anthropic_image(request: RecordedRequest) -> bytes | None:
    for part in _parts(request.body["messages"]):
        if part["type"] == "image":
            return base64.b64decode(part["source"]["data"])
    return None


def _responses_image(request: RecordedRequest) -> bytes | None:
    for part in _parts(request.body["input"]):
        if part["type"] == "input_image":
            return _data(part["image_url"])
    return None


_CHAT_BACK = {
    None: "reasoning_content",  # as other providers take it, too
    "reasoning_content": "reasoning_content",
    "reasoning_details": "reasoning_details",
}


def _chat_brings_back(details: str | None, request: RecordedRequest) -> bool:
    [*_, last] = (each for each in request.body["messages"] if each["role"] == "assistant")
    if details == "thought_signature":
        return "extra_content" in last["tool_calls"][0]
    return _CHAT_BACK[details] in last


def _anthropic_brings_back(request: RecordedRequest) -> bool:
    [*_, last] = (each for each in request.body["messages"] if each["role"] == "assistant")
    types = [block["type"] for block in last["content"]]
    is_thinking = request.body["thinking"]["type"] == "enabled"
    return is_thinking and types[:2] == ["thinking", "redacted_thinking"]


def _responses_bring_back(request: RecordedRequest) -> bool:
    sealed = [each for each in request.body["input"] if each.get("encrypted_content")]
    return bool(sealed) and request.body["store"] is False


def _chat(name: str, wants_back: Any) -> Wire:
    return Wire(
        name=name,
        open=partial(openai.open_scripted_openai, strict=True, wants_back=wants_back),
        model=lambda url: OpenAIModel("m", base_url=url, api_key="k"),
        acts=partial(_chat_acts, wants_back),
        says=_chat_says,
        image=_chat_image,
        brings_back=partial(_chat_brings_back, wants_back),
    )


def _thinking(url: str) -> Model:
    options = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    return AnthropicModel("m", base_url=url, api_key="k", options=options)


WIRES = {
    wire.name: wire
    for wire in (
        _chat("chat completions", None),
        _chat("deepseek", "reasoning_content"),
        _chat("gemini", "thought_signature"),
        _chat("openrouter", "reasoning_details"),
        Wire(
            name="anthropic",
            open=anthropic.open_scripted_anthropic,
            model=_thinking,
            acts=_anthropic_acts,
            says=_anthropic_says,
            image=_anthropic_image,
            brings_back=_anthropic_brings_back,
        ),
        Wire(
            name="openai responses",
            open=responses.open_scripted_responses,
            model=lambda url: OpenAIResponsesModel("m", base_url=url, api_key="k"),
            acts=_responses_acts,
            says=_responses_says,
            image=_responses_image,
            brings_back=_responses_bring_back,
        ),
    )
}
