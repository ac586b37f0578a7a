"""What OpenAI refuses, in tables."""

from typing import Any

import pytest

from trio_agent.testing._openai_rules import lack_of, refusal_of

HI = {"role": "user", "content": "Hi"}


def call(id_: Any = "a", name: Any = "f", arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": id_, "type": "function", "function": function, **more}


def calls(*calls: Any, content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": [*calls]}


def result(id_: str = "a", content: Any = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def parts(*types: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": [{"type": type_} for type_ in types]}


@pytest.mark.parametrize(
    "messages",
    [
        [HI],
        [{"role": "system", "content": "Be."}, {"role": "developer", "content": "Be."}, HI],
        [HI, calls(call()), result(), {"role": "assistant", "content": "Hi"}],
        [HI, calls(call("a"), call("b", "x" * 64)), result("b"), result("a"), HI],
        [HI, {"role": "assistant", "tool_calls": [call(extra_content={})]}, result()],
        [parts("text", "image_url", "input_audio", "file"), parts("text", role="tool") and HI],
        [parts("text", "refusal", "thinking", role="assistant"), HI],
    ],
)
def test_what_is_taken(messages: list[Any]) -> None:
    assert refusal_of({"model": "m", "messages": messages}) is None


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (None, "Invalid type for 'messages'"),
        ({}, "Invalid type for 'messages'"),
        ([], "empty array"),
        (["Hi"], r"Invalid type for 'messages\[0\]'"),
        ([{"role": "boss", "content": "Hi"}], "Invalid value: 'boss'. Supported values are"),
        ([{"role": [], "content": "Hi"}], "Supported values are"),
        ([{"role": "user"}], "expected a string, got null"),
        ([{"role": "assistant", "content": None}], "expected a string, got null"),
        ([{"role": "user", "content": 7}], "expected a string or an array"),
        ([parts("image")], "Invalid value: 'image'.*content.0..type"),
        ([{"role": "user", "content": ["Hi"]}], "Invalid value: 'None'"),
        ([parts("image_url", role="system")], "Invalid value: 'image_url'"),
        ([parts("image_url", role="assistant")], "Invalid value: 'image_url'"),
        ([calls(call()), result(content=[{"type": "image_url"}])], "Invalid value: 'image_url'"),
        ([HI, result()], "must be a response to a preceeding message with 'tool_calls'"),
        ([calls(call()), result(), result()], "must be a response to a preceeding"),
        ([calls(call()), result("b")], "must be a response to a preceeding"),
        ([calls(call())], "must be followed by tool messages .* response messages: a"),
        ([calls(call(), call("b")), result(), HI], "did not have response messages: b"),
        ([calls(call(), call()), result(), result()], "Duplicate value for 'tool_call_id' of 'a'"),
        ([calls(content="Hi")], "tool_calls': empty array"),
        ([calls("f"), result()], "expected 'function'"),
        ([calls(call(type="tool")), result()], "expected 'function'"),
        ([calls(call(None)), result()], ".id': expected a string"),
        ([calls(call("")), result()], ".id': expected a string"),
        ([calls(call("x" * 41)), result("x" * 41)], ".id': string too long"),
        ([calls(call(name="a b")), result()], "does not match pattern"),
        ([calls(call(name="x" * 65)), result()], "does not match pattern"),
        ([calls(call(function=None)), result()], "does not match pattern"),
        ([calls(call(arguments={})), result()], "arguments': expected a string"),
    ],
)  # fmt: skip
def test_what_is_refused(messages: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        raise ValueError(refusal_of({"messages": messages}))


@pytest.mark.parametrize("body", [None, "", []])
def test_what_is_no_request(body: Any) -> None:
    assert "could not parse" in (refusal_of(body) or "")


@pytest.mark.parametrize(
    ("tool", "taken"),
    [({"function": {"name": "f"}}, True), ({"function": {"name": "a.b"}}, False), ("f", False)],
)
def test_tools(tool: Any, taken: bool) -> None:
    assert (refusal_of({"messages": [HI], "tools": [tool]}) is None) is taken


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}


def schema(**said: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "a", **said}}}


def strict_tool(parameters: Any) -> dict[str, Any]:
    function = {"name": "f", "strict": True, "parameters": parameters}
    return {"tools": [{"type": "function", "function": function}]}


def choosing(name: str) -> dict[str, Any]:
    return {"tools": [FUNCTION], "tool_choice": {"function": {"name": name}}}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"response_format": {"type": "json_object"}}, None),
        (schema(schema=CLOSED, strict=True), None),
        (schema(schema={"type": "object"}, strict=False), None),
        (schema(schema={"type": "object", "default": {}}), None),
        (strict_tool(CLOSED), None),
        (choosing("f"), None),
        ({"tools": [FUNCTION], "tool_choice": "required"}, None),
        ({"response_format": {"type": "yaml"}}, "Invalid value: 'yaml'"),
        ({"response_format": "json_schema"}, "Invalid value: 'None'"),
        ({"response_format": {"type": "json_schema"}}, "json_schema.name': string does not match"),
        (schema(name="a b", schema=CLOSED), "json_schema.name': string does not match"),
        (schema(), "Missing required parameter: 'response_format.json_schema.schema'"),
        (schema(schema={"type": "object"}, strict=True), "response_format 'a': In context=(), "),
        (schema(schema=CLOSED | {"default": {}}, strict=True), "'default' is not permitted"),
        (strict_tool({"type": "object"}), "Invalid schema for function 'f': In context=(), "),
        (choosing("g"), "Tool choice 'g' not found"),
        ({"tool_choice": "auto"}, "only allowed when 'tools' are set"),
    ],
)
def test_shapes_and_choices(fields: dict[str, Any], why: str | None) -> None:
    said = refusal_of({"messages": [HI], **fields})
    assert (said is None) is (why is None)
    assert (why or "") in (said or "")


@pytest.mark.parametrize(
    ("fields", "knows_schemas", "can_force", "why"),
    [
        (schema(schema=CLOSED), True, True, None),
        (schema(schema=CLOSED), False, True, "This response_format type is unavailable now"),
        ({"response_format": {"type": "json_object"}}, False, False, None),
        ({"tool_choice": "required"}, True, False, "does not support this tool_choice"),
        (choosing("f"), True, False, "does not support this tool_choice"),
        ({"tool_choice": "auto"}, True, False, None),
        (choosing("f"), False, True, None),
        ({}, False, False, None),
    ],
)
def test_what_some_providers_lack(
    fields: dict[str, Any], knows_schemas: bool, can_force: bool, why: str | None
) -> None:
    said = lack_of(fields, knows_schemas=knows_schemas, can_force=can_force)
    assert (said is None) is (why is None)
    assert (why or "") in (said or "")
