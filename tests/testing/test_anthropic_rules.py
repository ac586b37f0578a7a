"""What the scripted provider refuses, as the real one does."""

import copy
from typing import Any

import pytest

from trio_agent.testing._anthropic_rules import refusal_of, sealed, signature_of
from trio_agent.testing._scripted_server import RecordedRequest

TEXT = {"type": "text", "text": "q"}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "r"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": signature_of("hm", "m")}
HIDDEN = {"type": "redacted_thinking", "data": sealed("x", "m")}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9000,
    "messages": [{"role": "user", "content": "q"}],
}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def refused(body: Any, **headers: str) -> str | None:
    headers = headers or {"anthropic-version": "2023-06-01"}
    return refusal_of(RecordedRequest("POST", "/v1/messages", headers, copy.deepcopy(body)))


def said(*messages: Any, **fields: Any) -> str | None:
    return refused({**BODY, "messages": list(messages), **fields})


def image(media_type: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": media_type, "data": "aGk="}
    return {"type": "image", "source": source}


def shape(properties: Any) -> str | None:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    form = {"type": "json_schema", "schema": schema}
    return said(user(TEXT), output_config={"effort": "low", "format": form})


def test_a_shape_that_is_taken() -> None:
    assert shape({"x": {"type": "array", "items": {"type": "integer"}}}) is None
    assert said(user(TEXT), output_config={"effort": "low"}) is None


LOOP = (user(TEXT), assistant(USE), user(RESULT))
ON = {"type": "enabled", "budget_tokens": 2000}


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ([{"role": "user", "content": "q"}], {}),
        (LOOP, {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}}),
        ([user(TEXT), assistant(THOUGHT, HIDDEN, TEXT, USE), user(RESULT, TEXT)], {"thinking": ON}),
        (LOOP, {"thinking": {"type": "adaptive"}}),
        (LOOP, {"thinking": {"type": "disabled"}, "temperature": 0}),
        ([user(TEXT), assistant(TEXT)], {}),
        ([user(image("image/png"), TEXT)], {}),
        ([user({"type": "image", "source": {"type": "url", "url": "u"}})], {}),
        ([user(TEXT)], {"tools": [TOOL, {"type": "web_search_1", "name": "web_search"}]}),
    ],
)
def test_what_is_taken(messages: Any, fields: Any) -> None:
    assert said(*messages, **fields) is None


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in BODY.items() if key != name}


REFUSALS: list[tuple[str, str | None, str]] = [
    ("no version", refused(BODY, host="h"), "anthropic-version: header is required"),
    ("no JSON", refused("x"), "not valid JSON"),
    ("no model", refused(without("model")), "model: Field required"),
    ("no max_tokens", refused(without("max_tokens")), "max_tokens: Field required"),
    ("no messages", refused(without("messages")), "messages: Field required"),
    ("max_tokens 0", said(user(TEXT), max_tokens=0), "max_tokens: Input should be greater"),
    ("nothing said", said(), "at least one message is required"),
    ("first message not user", said(assistant(TEXT)), 'must use the "user" role'),
    ("system role", said(user(TEXT), {"role": "system", "content": "s"}), "role 'system' is not"),
    ("tool role", said(user(TEXT), {"role": "tool", "content": "s"}), "messages.1.role: Input"),
    ("no content", said(user(TEXT), assistant(), user(TEXT)), "messages.1: all messages must have"),
    ("empty text", said(user(TEXT | {"text": ""})), "text content blocks must be non-empty"),
    ("blank text", said(user(TEXT | {"text": " "})), "must contain non-whitespace text"),
    ("trailing space", said(user(TEXT), assistant(TEXT | {"text": "a "})),
     "final assistant content cannot end with trailing whitespace"),
    ("unknown block", said(user({"type": "audio"})), "messages.0.content.0: Input tag 'audio'"),
    ("image type", said(user(image("image/tiff"))), "image.source.base64.media_type: Input"),
    ("no result", said(user(TEXT), assistant(USE), user(TEXT)),
     "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t."),
    ("no message behind a call", said(user(TEXT), assistant(USE)), "`tool_use` ids were found"),
    ("result behind text", said(user(TEXT), assistant(USE), user(TEXT, RESULT)),
     "`tool_use` ids were found"),
    ("unexpected result", said(user(TEXT), assistant(TEXT), user(RESULT)),
     "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t."),
    ("two results", said(user(TEXT), assistant(USE), user(RESULT, RESULT)),
     "messages.2.content.1: each tool_use must have a single result. Found multiple"),
    ("id malformed", said(user(TEXT), assistant(USE | {"id": "a/b"}),
     user(RESULT | {"tool_use_id": "a/b"})), "tool_use.id: String should match pattern"),
    ("name malformed", said(user(TEXT), assistant(USE | {"name": "a b"}), user(RESULT)),
     "tool_use.name: String should match pattern"),
    ("input no object", said(user(TEXT), assistant(USE | {"input": "{"}), user(RESULT)),
     "tool_use.input: Input should be a valid dictionary"),
    ("ids doubled", said(user(TEXT), assistant(USE, USE), user(RESULT)), "ids must be unique"),
    ("ids of two turns", said(*LOOP, assistant(USE), user(RESULT)), "ids must be unique"),
    ("tool name", said(user(TEXT), tools=[TOOL | {"name": "a b"}]), "tools.0.custom.name: String"),
    ("no schema", said(user(TEXT), tools=[{"name": "f"}]), "input_schema: Field required"),
    ("schema of a list", said(user(TEXT), tools=[TOOL | {"input_schema": {"type": "array"}}]),
     "input_schema.type: Input should be 'object'"),
    ("tools doubled", said(user(TEXT), tools=[TOOL, TOOL]), "Tool names must be unique"),
    ("choice without tools", said(user(TEXT), tool_choice={"type": "auto"}), "while providing"),
    ("choice of another tool", said(user(TEXT), tools=[TOOL], tool_choice={"type": "tool",
     "name": "g"}), "Tool 'g' not found"),
    ("temperature", said(user(TEXT), thinking=ON, temperature=0), "`temperature` may only be set"),
    ("temperature, adaptive", said(user(TEXT), thinking={"type": "adaptive"}, temperature=0.5),
     "`temperature` may only be set"),
    ("small budget", said(user(TEXT), thinking=ON | {"budget_tokens": 99}), "or equal to 1024"),
    ("large budget", said(user(TEXT), thinking=ON | {"budget_tokens": 9000}),
     "`max_tokens` must be greater than `thinking.budget_tokens`"),
    ("forced", said(user(TEXT), thinking=ON, tools=[TOOL], tool_choice={"type": "any"}),
     "Thinking may not be enabled when tool_choice forces tool use."),
    ("no thinking block", said(*LOOP, thinking=ON),
     "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`"),
    ("signature altered", said(user(TEXT), assistant(THOUGHT | {"signature": "x"}, USE),
     user(RESULT), thinking=ON), "messages.1.content.0: Invalid `signature` in `thinking` block"),
    ("thinking altered", said(user(TEXT), assistant(THOUGHT | {"thinking": "x"}, USE),
     user(RESULT), thinking=ON), "Invalid `signature` in `thinking` block"),
    ("no signature", said(user(TEXT), assistant({"type": "thinking", "thinking": "hm"}, USE),
     user(RESULT), thinking=ON), "Invalid `signature` in `thinking` block"),
    ("of another model", said(user(TEXT), assistant(THOUGHT, USE), user(RESULT), thinking=ON,
     model="n"), "Invalid `signature` in `thinking` block"),
    ("sealed altered", said(user(TEXT), assistant(HIDDEN | {"data": "y"}, USE), user(RESULT)),
     "Invalid `data` in `redacted_thinking` block"),
    ("format", said(user(TEXT), output_config={"format": {"type": "json_object"}}),
     "output_config.format.type: Input should be 'json_schema'"),
    ("no schema", said(user(TEXT), output_config={"format": {"type": "json_schema"}}),
     "output_config.format.schema: Field required"),
    ("open object", shape({"x": {"type": "array", "items": {"type": "object"}}}),
     "For 'object' type, 'additionalProperties' must be explicitly set to false"),
    ("bound", shape({"x": {"anyOf": [{"type": "integer", "minimum": 0}]}}),
     "For 'integer' type, property 'minimum' is not supported"),
    ("final thinking, off", said(user(TEXT), assistant(THOUGHT)),
     "an `assistant` message in the final position cannot contain `thinking`"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "message"), [each[1:] for each in REFUSALS], ids=[each[0] for each in REFUSALS]
)
def test_what_is_refused(told: str | None, message: str) -> None:
    assert told is not None
    assert message in told


@pytest.mark.parametrize(
    ("blocks", "fields", "message"),
    [
        ([TEXT], {"is_error": True}, None),
        ([TEXT, {"type": "image", "source": {"type": "url", "url": "https://h"}}], {}, None),
        ([{"type": "image", "source": {"type": "url"}}], {"is_error": True}, "type `text` if"),
        ([{"type": "audio"}], {}, "Input tag 'audio' found using 'type' does not match"),
        ([USE], {}, "Input tag 'tool_use' found using 'type' does not match"),
        (
            [{"type": "image", "source": {"type": "base64", "media_type": "image/bmp"}}],
            {},
            "image.source.base64.media_type: Input should be",
        ),
    ],
)
def test_what_a_result_may_hold(
    blocks: list[Any], fields: dict[str, Any], message: str | None
) -> None:
    told = said(user(TEXT), assistant(USE), user({**RESULT, "content": blocks, **fields}))
    if message is None:
        assert told is None
    else:
        assert message in str(told)
