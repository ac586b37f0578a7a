"""Requests of Anthropic's Messages API: whatever stands in a transcript, the API takes it."""

import itertools
import json
import re
from typing import Any

import pytest
from anthropic_kit import MODEL, ORIGIN
from hypothesis import given, settings, strategies as st

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
from trio_agent.models.anthropic._request import (
    DEFAULT_MAX_TOKENS,
    anthropic_id,
    encode_request,
)
from trio_agent.testing._anthropic_rules import refusal_of
from trio_agent.testing._scripted_server import RecordedRequest

ASK = UserMessage("q")
TOOL = ToolSpec("f", "Does.", {"type": "object", "properties": {"x": {"type": "integer"}}})


def encode(*messages: AnyMessage, **request: Any) -> dict[str, Any]:
    return encode_request(ModelRequest(messages, **request), MODEL, origin=ORIGIN)


def refused(body: dict[str, Any]) -> str | None:
    """What the API says to a body."""
    headers = {"anthropic-version": "2023-06-01"}
    return refusal_of(
        RecordedRequest("POST", "/v1/messages", headers, json.loads(json.dumps(body)))
    )


def turns(*messages: AnyMessage, **request: Any) -> list[Any]:
    """The role and the blocks of each turn; texts as they are."""
    body = encode(*messages, **request)
    assert refused(body) is None
    return [
        [turn["role"], *(b["text"] if b["type"] == "text" else b for b in turn["content"])]
        for turn in body["messages"]
    ]


def answer(content: str = "", *calls: ToolRequest, **fields: Any) -> AssistantMessage:
    return AssistantMessage(content, calls, **fields)


def called(id_: str = "t", name: str = "f", input_: Any = None) -> ToolRequest:
    return ToolRequest(id_, name, {} if input_ is None else input_)


def use(id_: str = "t", name: str = "f", input_: Any = None) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": input_ or {}}


def result(id_: str = "t", content: str = "r", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **fields}


def test_a_whole_request() -> None:
    body = encode(
        SystemMessage("Head."),
        ASK,
        instructions="Be.",
        tools=(TOOL, ToolSpec("g", "", {}, strict=True)),
        options={"temperature": 0, "cache_control": {"type": "ephemeral"}},
        tool_choice="auto",
    )
    assert body == {
        "model": MODEL,
        "max_tokens": DEFAULT_MAX_TOKENS,
        "stream": True,
        "system": "Be.\n\nHead.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}],
        "temperature": 0,
        "cache_control": {"type": "ephemeral"},
        "tools": [
            {"name": "f", "description": "Does.", "input_schema": TOOL.schema},
            {"name": "g", "input_schema": {"type": "object"}, "strict": True},
        ],
        "tool_choice": {"type": "auto"},
    }
    assert refused(body) is None


TURNS: list[tuple[str, tuple[AnyMessage, ...], list[Any]]] = [
    ("nothing at all", (), [["user", "(nothing)"]]),
    ("system messages only", (SystemMessage("s"),), [["user", "(nothing)"]]),
    ("a blank question", (UserMessage(" \n"),), [["user", "(nothing)"]]),
    ("neighbours", (ASK, UserMessage("r"), answer("a"), answer("b"), ASK),
     [["user", "q", "r"], ["assistant", "a", "b"], ["user", "q"]]),
    ("the assistant begins", (answer("Hi"), ASK),
     [["user", "(nothing)"], ["assistant", "Hi"], ["user", "q"]]),
    ("silence", (ASK, answer(), UserMessage("r")), [["user", "q", "r"]]),
    ("silence first", (answer(), ASK), [["user", "q"]]),
    ("a blank answer", (ASK, answer(" \n"), UserMessage("r")), [["user", "q", "r"]]),
    ("a blank question between", (ASK, answer("a"), UserMessage(""), answer("b"), ASK),
     [["user", "q"], ["assistant", "a"], ["user", "(nothing)"], ["assistant", "b"], ["user", "q"]]),
    ("the last answer ends in a space", (ASK, answer("a \n")), [["user", "q"], ["assistant", "a"]]),
    ("another answer does", (ASK, answer("a \n"), ASK),
     [["user", "q"], ["assistant", "a \n"], ["user", "q"]]),
    ("a later system message", (ASK, answer("a"), SystemMessage("s"), ASK),
     [["user", "q"], ["assistant", "a"], ["user", "<system>\ns\n</system>", "q"]]),
    ("a blank system message", (ASK, SystemMessage(" "), ASK), [["user", "q", "q"]]),
    ("a system message behind results", (ASK, answer("", called()), ToolMessage("t", "r"),
     SystemMessage("s")), [["user", "q"], ["assistant", use()],
     ["user", result(), "<system>\ns\n</system>"]]),
    ("results first", (ASK, answer("a", called("t"), called("u", "g", {"x": 1})),
     ToolMessage("t", "r"), ToolMessage("u", "no", "error"), UserMessage("r")),
     [["user", "q"], ["assistant", "a", use("t"), use("u", "g", {"x": 1})],
      ["user", result("t"), result("u", "no", is_error=True), "r"]]),
    ("a result without a word", (ASK, answer("", called()), ToolMessage("t", " ")),
     [["user", "q"], ["assistant", use()], ["user", result("t", "(no output)")]]),
    ("results that are none", (ASK, answer("", called()), ToolMessage("t", "r", "unknown")),
     [["user", "q"], ["assistant", use()], ["user", result("t", is_error=True)]]),
    ("input that is no object", (ASK, answer("", called(input_='{"a":')), ToolMessage("t", "r")),
     [["user", "q"], ["assistant", use(input_={"invalid": '{"a":'})], ["user", result()]]),
    ("a name that no tool has", (ASK, answer("", called(name="f<|x|>" + "y" * 200)),
     ToolMessage("t", "r")),
     [["user", "q"], ["assistant", use(name="f__x__" + "y" * 58)], ["user", result()]]),
    ("no name", (ASK, answer("", called(name="")), ToolMessage("t", "r")),
     [["user", "q"], ["assistant", use(name="_")], ["user", result()]]),
    ("an id of an earlier run", (ASK, answer("", called()), ToolMessage("t", "1"),
     answer("", called()), ToolMessage("t", "2")),
     [["user", "q"], ["assistant", use()], ["user", result("t", "1")],
      ["assistant", use("t-2")], ["user", result("t-2", "2")]]),
    ("texts and files",
     (UserMessage((Text("a"), File("image/png", url="https://h/i"), Text(" "))),),
     [["user", "a", {"type": "image", "source": {"type": "url", "url": "https://h/i"}}]]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "expected"), [t[1:] for t in TURNS], ids=[t[0] for t in TURNS]
)
def test_turns(messages: tuple[AnyMessage, ...], expected: list[Any]) -> None:
    tools = (TOOL,)
    assert turns(*messages, tools=tools) == expected


@pytest.mark.parametrize("id_", ["parent/child", "call.1", "", "é", "a b", "\ud800"])
def test_ids_that_are_not_taken_are_mapped_always_the_same(id_: str) -> None:
    mapped = anthropic_id(id_)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", mapped)
    assert mapped == anthropic_id(id_) != anthropic_id(id_ + "!")
    body = encode(ASK, answer("", called(id_)), ToolMessage(id_, "r"))
    assert body["messages"][1]["content"][0]["id"] == mapped
    assert body["messages"][2]["content"][0]["tool_use_id"] == mapped


def test_ids_that_are_taken_are_their_own() -> None:
    assert anthropic_id("toolu_01-A") == "toolu_01-A"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("f", {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choice(choice: str | None, expected: Any) -> None:
    assert encode(ASK, tools=(TOOL,), tool_choice=choice).get("tool_choice") == expected
    assert "tool_choice" not in encode(ASK, tool_choice=choice)


def test_a_choice_of_the_options_holds_where_the_request_has_none() -> None:
    option = {"type": "auto", "disable_parallel_tool_use": True}
    body = encode(ASK, tools=(TOOL,), options={"tool_choice": option})
    assert body["tool_choice"] == option


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, DEFAULT_MAX_TOKENS),
        ({"max_tokens": 5}, 5),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, DEFAULT_MAX_TOKENS + 2000),
        ({"thinking": {"type": "enabled"}}, DEFAULT_MAX_TOKENS),
        ({"thinking": {"type": "adaptive"}}, DEFAULT_MAX_TOKENS),
        ({"thinking": None}, DEFAULT_MAX_TOKENS),
    ],
)
def test_max_tokens(options: dict[str, Any], expected: int) -> None:
    assert encode(ASK, options=options)["max_tokens"] == expected


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"options": {"stream": False}}, "'stream' is set by the agent"),
        ({"options": {"tools": []}}, "'tools' is set by the agent"),
        ({"options": {"system": "x"}, "instructions": "y"}, "'system' is set by the agent"),
    ],
)
def test_options_that_are_not_for_people(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as info:
        encode(ASK, **request_)
    assert info.value.code == "bad-request"


def test_a_system_option_where_nothing_else_says_it() -> None:
    system = [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]
    assert encode(ASK, options={"system": system})["system"] == system


KEPT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "hm", "signature": "sig"},
    {"type": "text", "text": "a"},
    {"type": "text", "text": "\n"},
    {"type": "tool_use", "name": "f", "input": {"x": 1}, "caller": {"type": "direct"}},
    {"type": "redacted_thinking", "data": "d"},
    {"type": "tool_use", "name": "f"},
]
THOUGHTFUL = answer(
    "a\n",
    called("one/1", "f", {"x": 1}),
    called("two", "f", "{"),
    provider={ORIGIN: {"model": MODEL, "content": KEPT}, "other@host": {"content": []}},
)


def test_what_was_kept_goes_back_in_its_order_with_ids_of_the_message() -> None:
    body = encode(ASK, THOUGHTFUL, ToolMessage("one/1", "1"), ToolMessage("two", "2"))
    one = anthropic_id("one/1")
    assert body["messages"][1]["content"] == [
        KEPT[0],
        KEPT[1],
        {**KEPT[3], "id": one},
        KEPT[4],
        {"type": "tool_use", "name": "f", "id": "two", "input": {"invalid": "{"}},
    ]
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == [one, "two"]


def test_another_model_gets_no_signatures() -> None:
    body = encode_request(ModelRequest((ASK, THOUGHTFUL, ASK)), "other", origin=ORIGIN)
    types = [block["type"] for block in body["messages"][1]["content"]]
    assert types == ["text", "tool_use", "tool_use"]


def test_another_endpoint_gets_what_the_transcript_has() -> None:
    body = encode_request(ModelRequest((ASK, THOUGHTFUL)), MODEL, origin="anthropic@proxy")
    assert body["messages"][1]["content"][0] == {"type": "text", "text": "a\n"}


def test_a_container_goes_back_within_its_tool_loop() -> None:
    provider = {ORIGIN: {"model": MODEL, "content": [use()], "container": "c1"}}
    message = answer("", called(), provider=provider)
    loop = (ASK, message, ToolMessage("t", "r"))
    assert encode(*loop)["container"] == "c1"
    assert encode(*loop, options={"container": "c2"})["container"] == "c2"
    later = (answer("", called("u")), ToolMessage("u", "r"))
    assert encode(*loop, *later)["container"] == "c1"
    assert "container" not in encode(*loop, answer("a"), ASK)
    assert "container" not in encode(ASK)


ENABLED = {"thinking": {"type": "enabled", "budget_tokens": 2000}}


@pytest.mark.parametrize("thinking", [None, "enabled", "adaptive", "disabled"])
def test_thinking_is_kept_or_turned_off_with_all_its_blocks(thinking: str | None) -> None:
    options = {"thinking": {"type": thinking, "budget_tokens": 2000}} if thinking else {}
    begun = answer("", called("u"))
    body = encode(
        *(ASK, THOUGHTFUL, ToolMessage("one/1", "1"), ToolMessage("two", "2"), answer("b"), ASK),
        *(begun, ToolMessage("u", "r")),
        options=options,
    )
    types = [block["type"] for turn in body["messages"] for block in turn["content"]]
    if thinking in ("enabled", "disabled"):
        assert body["thinking"]["type"] == "disabled"
        assert "thinking" not in types
        assert "redacted_thinking" not in types
    else:
        assert body.get("thinking") == options.get("thinking")
        assert "thinking" in types


IDS = st.sampled_from(["t", "parent/child", "call 1", "", "a" * 70])
INPUTS = st.sampled_from([{}, {"x": 1}, "{", None, [1], 7])
WORDS = st.sampled_from(["", " ", "\n\n", "a", "b ", "\u00e9"])


@st.composite
def transcripts(draw: st.DrawFn) -> list[AnyMessage]:
    messages: list[AnyMessage] = []
    for _ in range(draw(st.integers(0, 6))):
        match draw(st.sampled_from("suat")):
            case "s":
                messages.append(SystemMessage(draw(WORDS)))
            case "u":
                messages.append(UserMessage(draw(WORDS)))
            case "a":
                messages.append(answer(draw(WORDS)))
            case _:
                ids = draw(st.lists(IDS, min_size=1, max_size=3, unique=True))
                calls = [ToolRequest(id_, draw(WORDS), draw(INPUTS)) for id_ in ids]
                messages.append(answer(draw(WORDS), *calls))
                status = st.sampled_from(["ok", "error"])
                messages += [ToolMessage(id_, draw(WORDS), draw(status)) for id_ in ids]
    return messages


@settings(deadline=None, max_examples=200)
@given(transcripts(), st.sampled_from([{}, ENABLED, {"thinking": {"type": "adaptive"}}]))
def test_whatever_stands_in_a_transcript_is_taken(
    messages: list[AnyMessage], options: dict[str, Any]
) -> None:
    body = encode(*messages, tools=(TOOL,), options=options)
    assert refused(body) is None
    assert json.loads(json.dumps(body)) == body
    roles = [turn["role"] for turn in body["messages"]]
    assert all(a != b for a, b in itertools.pairwise(roles))


def test_a_shape_is_a_format_of_the_output() -> None:
    open_schema = {"type": "object", "properties": {"x": {"type": "string", "minLength": 1}}}
    narrowed = {"additionalProperties": False, "required": []}
    for schema, more in (({"type": "object", "properties": {}}, narrowed), (open_schema, {})):
        output = OutputSpec("final", "A verdict.", schema)
        options = {"output_config": {"effort": "low"}}
        body = encode(UserMessage("Hi"), output=output, options=options)
        assert body["output_config"] == {
            "effort": "low",
            "format": {"type": "json_schema", "schema": {**schema, **more}},
        }
        assert "tools" not in body


PNG = File("image/png", data=b"a")
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "YQ=="}}


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (ToolMessage("t", "r", files=(PNG,)), [{"type": "text", "text": "r"}, IMAGE]),
        (ToolMessage("t", " ", files=(PNG,)), [{"type": "text", "text": "(no output)"}, IMAGE]),
        # An error has text only, so that it is told as none.
        (ToolMessage("t", "r", "error", (PNG,)), [{"type": "text", "text": "r"}, IMAGE]),
    ],
)
def test_files_of_a_result_stand_in_it(message: ToolMessage, content: list[Any]) -> None:
    body = encode(ASK, answer("", called()), message)
    assert refused(body) is None
    assert body["messages"][-1]["content"] == [
        {"type": "tool_result", "tool_use_id": "t", "content": content}
    ]


def test_the_model_is_told_of_a_file_of_a_result_that_is_not_taken() -> None:
    sound = ToolMessage("t", "r", files=(File("audio/wav", data=b"a", name="a.wav"),))
    body = encode(ASK, answer("", called()), sound)
    assert refused(body) is None
    [result] = body["messages"][-1]["content"]
    assert result["content"] == [
        {"type": "text", "text": "r"},
        {"type": "text", "text": "[A file that you can't be shown: 'a.wav', audio/wav]"},
    ]
