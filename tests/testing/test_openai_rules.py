"""What OpenAI refuses, in tables."""

from typing import Any

import pytest

from trio_agent.testing._openai_rules import refusal_of

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
