"""Requests of Responses."""

from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent._events import ToolRequest
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    File,
    SystemMessage,
    Text,
    ToolMessage,
    UserMessage,
)
from trio_agent.models._parts import ModelRequest, OutputSpec, ToolSpec
from trio_agent.models.openai_responses._request import encode_request

ORIGIN = "openai-responses@api.openai.com"
SCHEMA = {"type": "object", "properties": {}}


def encoded(*messages: AnyMessage, model: str = "m", **options: Any) -> dict[str, Any]:
    return encode_request(ModelRequest(messages, **options), model, origin=ORIGIN)


def items(*messages: AnyMessage, **options: Any) -> Any:
    return encoded(*messages, options=options)["input"]


def test_by_default_nothing_is_stored() -> None:
    assert encoded(UserMessage("Hi"), instructions="Be brief.") == {
        "model": "m",
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "instructions": "Be brief.",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"store": True}, {"store": True, "include": ["reasoning.encrypted_content"]}),
        ({"include": []}, {"store": False, "include": []}),
        (
            {"reasoning": {"effort": "low"}, "max_output_tokens": 9, "text": {"verbosity": "low"}},
            {"reasoning": {"effort": "low"}, "max_output_tokens": 9, "text": {"verbosity": "low"}},
        ),
        ({"tool_choice": "none"}, {"tool_choice": "none"}),
    ],
)
def test_options_win(options: dict[str, Any], expected: dict[str, Any]) -> None:
    assert encoded(UserMessage("Hi"), options=options).items() >= expected.items()


@pytest.mark.parametrize("name", ["model", "messages", "stream", "tools", "input", "instructions"])
def test_what_the_request_says_by_itself_is_no_option(name: str) -> None:
    with pytest.raises(ModelError, match=f"the option '{name}' is set by the agent") as info:
        encoded(UserMessage("Hi"), options={name: 1})
    assert info.value.code == "bad-request"


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("gpt-5", True),
        ("o3", True),
        ("openai/gpt-5.1", True),
        ("my-deployment", True),
        ("gpt-4o-mini", False),
        ("gpt-4.1", False),
        ("openai/gpt-4o", False),
        ("ft:gpt-4o:me", False),
        ("gpt-3.5-turbo", False),
        ("chatgpt-4o-latest", False),
    ],
)
def test_models_that_never_think_are_not_asked_for_it(model: str, asked: bool) -> None:
    assert ("include" in encoded(UserMessage("Hi"), model=model)) is asked


@pytest.mark.parametrize("role", ["developer", "system", "user"])
def test_system_messages(role: Any) -> None:
    request = ModelRequest((SystemMessage("x"),))
    body = encode_request(request, "m", system_role=role)
    assert body["input"] == [{"type": "message", "role": role, "content": "x"}]


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (ToolSpec("f", "Do f.", SCHEMA), {"description": "Do f.", "strict": False}),
        (ToolSpec("f", "", SCHEMA), {"strict": False}),
        (ToolSpec("f", "", SCHEMA, strict=True), {"strict": True}),
        (ToolSpec("f", "", SCHEMA, strict=False), {"strict": False}),
    ],
)
def test_tools(tool: ToolSpec, expected: dict[str, Any]) -> None:
    body = encoded(UserMessage("Hi"), tools=(tool,))
    assert body["tools"] == [{"type": "function", "name": "f", "parameters": SCHEMA, **expected}]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "expected"),
    [*((c, c) for c in ("auto", "none", "required")), ("f", {"type": "function", "name": "f"})],
)
def test_tool_choice(choice: str, expected: Any) -> None:
    tools = (ToolSpec("f", "", SCHEMA),)
    assert encoded(UserMessage("Hi"), tools=tools, tool_choice=choice)["tool_choice"] == expected
    assert "tool_choice" not in encoded(UserMessage("Hi"), tool_choice=choice)


def test_calls_and_results() -> None:
    calls = (
        ToolRequest("call_1", "f", {"a": "é"}),
        ToolRequest("call_2", "get<|channel|>json", "{broken"),
    )
    assert items(
        AssistantMessage("Let me see.", calls),
        ToolMessage("call_1", "4"),
        ToolMessage("call_2", " "),
    ) == [
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "f",
            "arguments": '{"a":"é"}',
        },
        {
            "type": "function_call",
            "call_id": "call_2",
            "name": "get__channel__json",
            "arguments": '{"invalid":"{broken"}',
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "4"},
        {"type": "function_call_output", "call_id": "call_2", "output": "(no output)"},
    ]


def test_a_turn_in_which_nothing_happened_is_left_out() -> None:
    assert items(AssistantMessage("")) == []


@pytest.mark.parametrize(
    ("id_", "kept"),
    [
        ("call_1", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("parent/child", False),
        ("", False),
        ("é", False),
        ("\ud83d", False),
    ],
)
def test_ids_of_calls(id_: str, kept: bool) -> None:
    call, output = items(AssistantMessage("", (ToolRequest(id_, "f", {}),)), ToolMessage(id_, "x"))
    assert call["call_id"] == output["call_id"]
    assert (call["call_id"] == id_) is kept
    assert 0 < len(call["call_id"]) <= 64
    assert call["call_id"].isascii()


def test_ids_of_calls_stay_different() -> None:
    ids = [f"{'a' * 70}{number}" for number in range(20)]
    calls = tuple(ToolRequest(id_, "f", {}) for id_ in ids)
    assert len({item["call_id"] for item in items(AssistantMessage("", calls))}) == 20


def test_what_a_user_says_in_parts() -> None:
    (item,) = items(UserMessage((Text("What is it?"), File("image/png", url="https://x/y.png"))))
    assert item["content"] == [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
    ]


REASONING = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
STATE = {ORIGIN: {"output": [REASONING, CALL]}}


def test_what_the_provider_wants_back_comes_back_before_the_result() -> None:
    answer = AssistantMessage("", (ToolRequest("call_9", "f", {}),), "Hm.", STATE)
    assert items(answer, ToolMessage("call_9", "x")) == [
        REASONING,
        {**CALL, "call_id": "call_9"},
        {"type": "function_call_output", "call_id": "call_9", "output": "x"},
    ]


@pytest.mark.parametrize(
    "answer",
    [
        AssistantMessage("Edited", (ToolRequest("c", "f", {}),), "Hm.", STATE),
        AssistantMessage("", (ToolRequest("c", "g", {}),), "Hm.", STATE),
        AssistantMessage(
            "", (ToolRequest("c", "f", {}),), "", {"openai-responses@x": STATE[ORIGIN]}
        ),
    ],
)
def test_the_state_of_another_answer_is_not_used(answer: AssistantMessage) -> None:
    assert REASONING not in items(answer)
    assert items(answer)[-1]["type"] == "function_call"


@pytest.mark.parametrize(
    ("schema", "more", "strict"),
    [
        (SCHEMA, {"additionalProperties": False, "required": []}, True),
        ({"type": "object", "properties": {"x": {}}}, {}, False),
    ],
)
def test_a_shape_is_a_format_of_the_text(schema: Any, more: Any, strict: bool) -> None:
    for description in ("A verdict.", ""):
        output = OutputSpec("final", description, schema)
        form = encoded(UserMessage("Hi"), output=output)["text"]["format"]
        assert form.pop("description", "") == description
        assert form == {
            "type": "json_schema",
            "name": "final",
            "schema": {**schema, **more},
            "strict": strict,
        }


def test_a_shape_stands_beside_other_options_of_the_text() -> None:
    output = OutputSpec("final", "", SCHEMA)
    body = encoded(UserMessage("Hi"), output=output, options={"text": {"verbosity": "low"}})
    assert body["text"].keys() == {"verbosity", "format"}


def test_files_of_a_result_stand_in_it() -> None:
    files = (File("image/png", url="https://h/x"), File("application/pdf", data=b"a"))
    call = AssistantMessage("", (ToolRequest("call_1", "f", {}),))
    _, output = items(call, ToolMessage("call_1", "", files=files))
    assert output["output"] == [
        {"type": "input_text", "text": "(no output)"},
        {"type": "input_image", "image_url": "https://h/x", "detail": "auto"},
        {
            "type": "input_file",
            "filename": "file.pdf",
            "file_data": "data:application/pdf;base64,YQ==",
        },
    ]
    sound = ToolMessage("call_1", "", files=(File("audio/wav", data=b"a"),))
    _, output = items(call, sound)
    told = {"type": "input_text", "text": "[A file that you can't be shown: audio/wav]"}
    assert output["output"][1:] == [told]
