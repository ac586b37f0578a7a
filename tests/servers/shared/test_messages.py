"""Messages of clients, in our form and as OpenAI's clients keep them."""

import re
from typing import Any

import msgspec
import pytest

from trio_agent import (
    AnyMessage,
    AssistantMessage,
    File,
    SystemMessage,
    Text,
    ToolMessage,
    ToolRequest,
    UserMessage,
)
from trio_agent.servers._shared.messages import Said, messages_of
from trio_agent.servers._shared.problem import Problem

PNG = File("image/png", data=b"abc", name="n")


def read(*messages: Any) -> tuple[AnyMessage, ...]:
    return messages_of(msgspec.convert(messages, tuple[Said, ...]))


def call(arguments: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "type": "function",
        "function": {"name": "t", "arguments": arguments},
        **more,
    }


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ({"role": "system", "content": "a"}, SystemMessage("a")),
        ({"role": "developer", "content": "a", "name": "x"}, SystemMessage("a")),
        ({"role": "system", "content": [{"type": "text", "text": "a"}]}, SystemMessage("a")),
        ({"role": "user", "content": "a", "name": "Ann"}, UserMessage("a")),
        ({"role": "user", "content": [{"type": "text", "text": "a"}]}, UserMessage("a")),
        (
            {"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]},
            UserMessage((Text("a"), Text("b"))),
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "http://a/b.png"}]},
            UserMessage((File("image/png", url="http://a/b.png"),)),
        ),
        ({"role": "assistant", "content": "a", "audio": None}, AssistantMessage("a")),
        ({"role": "assistant", "content": "a", "provider": {}}, AssistantMessage("a")),
        ({"role": "assistant", "content": "a", "provider": None}, AssistantMessage("a")),
        (
            {"role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
            AssistantMessage("a"),
        ),
        ({"role": "assistant", "content": None, "refusal": "no"}, AssistantMessage("no")),
        ({"role": "assistant", "content": "a", "reasoning": "hm"}, AssistantMessage("a", (), "hm")),
        (
            {"role": "assistant", "content": "a", "reasoning_content": "hm", "tool_calls": None},
            AssistantMessage("a", (), "hm"),
        ),
        (
            {
                "role": "assistant",
                "content": "",
                "toolCalls": [{"id": "c", "name": "t", "input": 1}],
            },
            AssistantMessage("", (ToolRequest("c", "t", 1),)),
        ),
        (
            {"role": "assistant", "toolCalls": [{"id": "c", "name": "t", "input": None}]},
            AssistantMessage("", (ToolRequest("c", "t", None),)),
        ),
        ({"role": "tool", "toolCallId": "c", "content": "r"}, ToolMessage("c", "r")),
        ({"role": "tool", "tool_call_id": "c", "content": "r"}, ToolMessage("c", "r")),
        (
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "r"}]},
            ToolMessage("c", "r"),
        ),
        (
            {"role": "tool", "toolCallId": "c", "content": "r", "status": "error"},
            ToolMessage("c", "r", "error"),
        ),
    ],
    ids=repr,
)
def test_one(message: dict[str, Any], meant: AnyMessage) -> None:
    assert read(message) == (meant,)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (" ", {}),
        ("{broken", "{broken"),
        ('"text"', "text"),
        ({"a": 1}, {"a": 1}),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_arguments(arguments: Any, value: Any) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [call(arguments)]}
    assert read(message) == (AssistantMessage("", (ToolRequest("c", "t", value),)),)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            {"role": "function", "content": "a"},
            "assistant or tool, not 'function' - at `$.messages[1].role`",
        ),
        ({"role": "user"}, "a text, or a list of parts - at `$.messages[1].content`"),
        ({"role": "user", "content": [{"type": "x"}]}, "at `$.messages[1].content[0].type`"),
        ({"role": "system", "content": [{"type": "image_url"}]}, "only texts"),
        ({"role": "assistant"}, "has a content, or tool_calls, or both - at `$.messages[1]`"),
        ({"role": "assistant", "content": None, "tool_calls": []}, "has a content, or tool_calls"),
        (
            {"role": "assistant", "content": "a", "provider": {"openai": []}},
            "provider is kept by the server: leave it out - at `$.messages[1].provider`",
        ),
        ({"role": "user", "content": "a", "provider": "x"}, "provider is kept by the server"),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "t"}},
            "give tool_calls instead",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "name": "t"}]},
            "id, name and input, or id and function - at `$.messages[1].tool_calls[0]`",
        ),
        (
            {"role": "assistant", "toolCalls": [{"id": "c", "input": 1}]},
            "at `$.messages[1].toolCalls[0]`",
        ),
        (
            {"role": "tool", "toolCallId": "c", "content": "", "files": [{"type": "text"}]},
            "not 'text' - at `$.messages[1].files[0].type`",
        ),
        (
            {"role": "tool", "toolCallId": "c", "content": "", "files": [{"type": "file"}]},
            "exactly one of url, data (in base64) and blob - at `$.messages[1].files[0]`",
        ),
        ({"role": "tool", "content": "r"}, "has the tool_call_id of its call - at `$.messages[1]`"),
    ],
    ids=repr,
)
def test_what_can_not_be_meant(message: dict[str, Any], said: str) -> None:
    with pytest.raises(Problem, match=re.escape(said)) as caught:
        read({"role": "user", "content": "a"}, message)
    assert (caught.value.status, caught.value.code) == (400, "bad-request")


def test_what_we_write_is_what_we_read() -> None:
    messages: tuple[AnyMessage, ...] = (
        SystemMessage("s"),
        UserMessage((Text("a"), PNG)),
        AssistantMessage("", (ToolRequest("c", "t", {"a": [1]}),), "hm"),
        ToolMessage("c", "r", "unknown"),
        ToolMessage("d", "r", files=(PNG, File("a/b", url="https://h/x"))),
    )
    assert read(*msgspec.json.decode(msgspec.json.encode(messages))) == messages
