"""Requests of chat completions, without any I/O."""

import json
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
from trio_agent.models.openai._dialects import gemini_schema, mistral_id
from trio_agent.models.openai._request import RequestForm, encode_request


def test_the_request() -> None:
    request = ModelRequest(
        instructions="Be brief.",
        messages=(
            SystemMessage("Now."),
            UserMessage("Weather?"),
            AssistantMessage(
                "", (ToolRequest("a", "f", {"city": "Köln"}), ToolRequest("b", "f", "{bro"))
            ),
            ToolMessage("a", "rain"),
            ToolMessage("b", "invalid JSON", "error"),
            AssistantMessage("Rain."),
        ),
        tools=(ToolSpec("f", "Tells.", {"type": "object"}),),
        options={"temperature": 0, "stream_options": {"include_usage": False}},
    )
    body = encode_request(request, "m")
    calls = body["messages"][3].pop("tool_calls")
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "Now."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None},
            {"role": "tool", "tool_call_id": "a", "content": "rain"},
            {"role": "tool", "tool_call_id": "b", "content": "invalid JSON"},
            {"role": "assistant", "content": "Rain."},
        ],
        "stream": True,
        "stream_options": {"include_usage": False},
        "temperature": 0,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "Tells.",
                    "parameters": {"type": "object"},
                },
            }
        ],
    }
    assert [(call["id"], call["type"], call["function"]["name"]) for call in calls] == [
        ("a", "function", "f"),
        ("b", "function", "f"),
    ]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [
        {"city": "Köln"},
        {"invalid": "{bro"},
    ]


def test_a_small_request_has_nothing_to_spare() -> None:
    body = encode_request(ModelRequest((UserMessage("Hi"),)), "m")
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("name", ["model", "messages", "stream", "tools"])
def test_options_can_not_override_the_request(name: str) -> None:
    with pytest.raises(ModelError, match=f"bad-request: the option '{name}' is set by the agent"):
        encode_request(ModelRequest((), options={name: None}), "m")


def encoded(*messages: AnyMessage, **form: Any) -> list[Any]:
    """The messages of a request."""
    body = encode_request(ModelRequest(messages, "Be."), "m", RequestForm(**form))
    [instructions, *rest] = body["messages"]
    assert instructions == {"role": form.get("system_role", "system"), "content": "Be."}
    return rest


def calling(*calls: ToolRequest, said: str = "") -> AssistantMessage:
    return AssistantMessage(said, calls)


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ({"a": 1}, {"a": 1}),
        ({}, {}),
        ('{"a": Oslo', {"invalid": '{"a": Oslo'}),
        ("", {"invalid": ""}),
        ([1, "a"], {"invalid": [1, "a"]}),
        (1.5, {"invalid": 1.5}),
        (None, {"invalid": None}),
    ],
)
def test_arguments_go_back_as_an_object(written: Any, arguments: Any) -> None:
    [message] = encoded(calling(ToolRequest("a", "f", written)))
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == arguments


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("get_weather-2", "get_weather-2"),
        ("get_weather<|channel|>json", "get_weather__channel__json"),
        ("functions.é f", "functions___f"),
        ("x" * 70, "x" * 64),
        ("", "_"),
    ],
)
def test_names_go_back_as_names(written: str, name: str) -> None:
    [message] = encoded(calling(ToolRequest("a", written, {})))
    assert message["tool_calls"][0]["function"]["name"] == name


@pytest.mark.parametrize(
    ("output", "content"), [("", "(no output)"), (" \n", "(no output)"), ("0", "0")]
)
def test_a_tool_that_returned_nothing(output: str, content: str) -> None:
    [message] = encoded(ToolMessage("a", output))
    assert message["content"] == content


@pytest.mark.parametrize("said", [{}, {"reasoning": "Hm."}, {"provider": {"openai@x": {}}}])
def test_a_turn_in_which_nothing_happened_is_left_out(said: dict[str, Any]) -> None:
    nothing = AssistantMessage("", **said)
    assert encoded(nothing, UserMessage("Hi")) == [{"role": "user", "content": "Hi"}]


def test_files_are_parts_of_the_content() -> None:
    [message] = encoded(UserMessage((Text("Hi"), File("image/png", url="https://x/a.png"))))
    assert message == {
        "role": "user",
        "content": [
            {"type": "text", "text": "Hi"},
            {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
        ],
    }
    with pytest.raises(ModelError, match="bad-request: a file of type"):
        encoded(UserMessage((File("video/mp4", data=b""),)))


def test_reasoning_goes_back_with_all_of_a_turn_in_which_tools_were_called() -> None:
    state = {"reasoning": "reasoning_content"}

    def said(text: str, *calls: ToolRequest, at: str = "openai@x") -> AssistantMessage:
        return AssistantMessage(text, calls, f"{text}?", {at: state})

    call = ToolRequest("c", "f", {})
    messages = (
        said("a"),
        UserMessage("1"),
        said("b"),
        said("c", call),
        ToolMessage("c", "ok"),
        SystemMessage("s"),
        said("d"),
        UserMessage("2"),
        said("e"),
        UserMessage("3"),
        said("f", call, at="openai@y"),
        ToolMessage("c", "ok"),
        said("g"),
    )
    body = encode_request(ModelRequest(messages), "m", origin="openai@x")
    assert [
        (message["content"], message.get("reasoning_content"))
        for message in body["messages"]
        if message["role"] == "assistant"
    ] == [("a", None), ("b", "b?"), ("c", "c?"), ("d", "d?"), ("e", None), ("f", ""), ("g", "g?")]


def test_what_stood_beside_a_call_goes_back_beside_it_under_any_id() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    state = {"calls": [{"name": "f", "extra_content": extra}, {"name": "f"}]}
    calls = ToolRequest("a", "f", {}), ToolRequest("a-2", "f", {})
    message = AssistantMessage("", calls, "", {"openai@x": state})
    form = RequestForm(call_ids="mistral")
    body = encode_request(ModelRequest((message,)), "m", form, origin="openai@x")
    first, second = body["messages"][0]["tool_calls"]
    assert first["extra_content"] == extra
    assert "extra_content" not in second


@pytest.mark.parametrize(
    ("said", "form", "content"),
    [
        ("", {}, {"content": None}),
        ("", {"empty_content": "null"}, {"content": None}),
        ("", {"empty_content": "empty"}, {"content": ""}),
        ("", {"empty_content": "absent"}, {}),
        ("Look.", {"empty_content": "absent"}, {"content": "Look."}),
    ],
)
def test_content_beside_calls(said: str, form: dict[str, Any], content: dict[str, Any]) -> None:
    [message] = encoded(calling(ToolRequest("a", "f", {}), said=said), **form)
    del message["tool_calls"]
    assert message == {"role": "assistant", **content}


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_the_role_of_what_the_system_says(role: str) -> None:
    assert encoded(SystemMessage("Now."), system_role=role) == [{"role": role, "content": "Now."}]


@pytest.mark.parametrize(
    ("call_ids", "id_"),
    [(None, "call_1"), (str.upper, "CALL_1"), ("mistral", mistral_id("call_1"))],
)
def test_ids_of_a_call_and_its_result_stay_the_same(call_ids: Any, id_: str) -> None:
    call = calling(ToolRequest("call_1", "f", {}))
    asked, answered = encoded(call, ToolMessage("call_1", "1"), call_ids=call_ids)
    assert asked["tool_calls"][0]["id"] == answered["tool_call_id"] == id_


def test_the_usage_need_not_be_asked_for() -> None:
    request = ModelRequest((UserMessage("Hi"),), options={"seed": 1})
    body = encode_request(request, "m", RequestForm(stream_usage=False))
    assert "stream_options" not in body
    assert body["seed"] == 1


def function(tool: ToolSpec, **form: Any) -> Any:
    body = encode_request(ModelRequest((), tools=(tool,)), "m", RequestForm(**form))
    [encoded_tool] = body["tools"]
    assert encoded_tool["type"] == "function"
    return encoded_tool["function"]


SCHEMA = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}}


@pytest.mark.parametrize(
    ("tool", "form", "fields"),
    [
        (ToolSpec("f", "", SCHEMA), {}, {"parameters": SCHEMA}),
        (ToolSpec("f", "D.", SCHEMA), {}, {"description": "D.", "parameters": SCHEMA}),
        (ToolSpec("f", "", SCHEMA, True), {}, {"parameters": SCHEMA, "strict": True}),
        (ToolSpec("f", "", SCHEMA, False), {}, {"parameters": SCHEMA, "strict": False}),
        (
            ToolSpec("f", "", SCHEMA),
            {"schema_dialect": "gemini"},
            {"parameters": gemini_schema(SCHEMA)},
        ),
        (
            ToolSpec("f", "", SCHEMA),
            {"schema_dialect": lambda schema: {**schema, "x": 1}},
            {"parameters": {**SCHEMA, "x": 1}},
        ),
        (ToolSpec("f", "", {"type": "object", "properties": {}}), {"schema_dialect": "gemini"}, {}),
    ],
)
def test_a_tool(tool: ToolSpec, form: dict[str, Any], fields: dict[str, Any]) -> None:
    assert function(tool, **form) == {"name": "f", **fields}


@pytest.mark.parametrize(
    ("choice", "encoded_choice"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("f", {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_the_choice_of_a_tool(choice: str, encoded_choice: Any) -> None:
    tools = (ToolSpec("f", "", SCHEMA),)
    options = {"tool_choice": "auto"}
    request = ModelRequest((), tools=tools, options=options, tool_choice=choice)
    assert encode_request(request, "m")["tool_choice"] == encoded_choice
    assert "tool_choice" not in encode_request(ModelRequest((), tool_choice=choice), "m")
    request = ModelRequest((), tools=tools, options=options)
    assert encode_request(request, "m")["tool_choice"] == "auto"


CLOSED = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
OPEN = {"type": "object", "properties": {"x": {}}}


@pytest.mark.parametrize(
    ("schema", "sent", "strict"),
    [({"type": "object", "properties": {}}, CLOSED, True), (OPEN, OPEN, False)],
)
def test_a_shape_is_a_response_format(schema: Any, sent: Any, strict: bool) -> None:
    for description in ("A verdict.", ""):
        output = OutputSpec("final", description, schema)
        body = encode_request(ModelRequest((UserMessage("Hi"),), output=output), "m")
        said = {"name": "final", "schema": sent, "strict": strict}
        said |= {"description": description} if description else {}
        assert body["response_format"] == {"type": "json_schema", "json_schema": said}


def test_a_shape_is_in_the_dialect_of_the_provider() -> None:
    form = RequestForm(schema_dialect="gemini")
    for properties in ({"x": {"type": ["integer", "null"]}}, {}):
        schema = {"type": "object", "properties": properties}
        request = ModelRequest((UserMessage("Hi"),), output=OutputSpec("final", "", schema))
        said = encode_request(request, "m", form)["response_format"]["json_schema"]
        if properties:
            assert said["schema"]["properties"] == {"x": {"type": "integer", "nullable": True}}
            assert said["strict"] is False
        else:
            assert said["schema"] == CLOSED


PNG = File("image/png", data=b"a")
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,YQ=="}}


def caption(id_: str) -> dict[str, str]:
    text = f"Files that came with the result of the tool call {id_}:"
    return {"type": "text", "text": text}


def test_files_of_results_follow_behind_all_of_their_step() -> None:
    calls = calling(ToolRequest("a", "f", {}), ToolRequest("b", "f", {}), ToolRequest("c", "f", {}))
    again = calling(ToolRequest("d", "f", {}))
    _, *results, shown, _, last, last_shown = encoded(
        *(calls, ToolMessage("a", "1", files=(PNG, PNG)), ToolMessage("b", "2")),
        *(ToolMessage("c", "3", files=(PNG,)), again, ToolMessage("d", "4", files=(PNG,))),
    )
    assert [(result["role"], result["content"]) for result in results] == [
        *(("tool", "1"), ("tool", "2"), ("tool", "3"))
    ]
    assert shown == {"role": "user", "content": [caption("a"), SHOWN, SHOWN, caption("c"), SHOWN]}
    assert last == {"role": "tool", "tool_call_id": "d", "content": "4"}
    assert last_shown == {"role": "user", "content": [caption("d"), SHOWN]}


def test_files_of_results_are_of_the_call_as_the_provider_knows_it() -> None:
    call, result = calling(ToolRequest("call_1", "f", {})), ToolMessage("call_1", "", files=(PNG,))
    _, told, shown = encoded(call, result, call_ids=lambda id_: f"x{id_}")
    assert (told["tool_call_id"], shown["content"][0]) == ("xcall_1", caption("xcall_1"))


def test_the_model_is_told_of_a_file_of_a_result_that_is_not_taken() -> None:
    result = ToolMessage("a", "", files=(File("text/csv", data=b"a"),))
    *_, shown = encoded(calling(ToolRequest("a", "f", {})), result)
    assert shown["content"][1:] == [
        {"type": "text", "text": "[A file that you can't be shown: text/csv]"}
    ]
