"""What the provider wants back with an answer."""

import json
from typing import Any

import pytest

from trio_agent._events import ToolRequest
from trio_agent._messages import AssistantMessage
from trio_agent.models.openai_responses._item import Item, kind_of
from trio_agent.models.openai_responses._state import items_back, kept_state

REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}


def message(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part], **fields}


def kept(*values: dict[str, Any], stored: bool = False) -> Any:
    items = [Item(kind_of(value), closed=True, value=value) for value in values]
    state = kept_state(items, stored=stored)
    return None if state is None else state["output"]


def without(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name not in ("id", *names)}


def back(state: Any, message: AssistantMessage, *, stored: bool = False) -> Any:
    return items_back(state, message, stored=stored, call_id=lambda id_: f"<{id_}>")


def test_items_are_kept_in_their_order() -> None:
    values = [REASONING, message(phase="commentary"), SEARCH, CALL]
    assert kept(*values) == list(map(without, values))
    assert kept(*values, stored=True) == values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({**REASONING, "status": "completed", "content": None}, without(REASONING)),
        ({**without(REASONING, "summary")}, without(REASONING)),
        ({**SEARCH, "created_by": "x", "results": None}, without(SEARCH)),
        (
            message(
                content=[{"type": "output_text", "text": "x", "annotations": [1], "logprobs": []}]
            ),
            without(message(content=[{"type": "output_text", "text": "x", "annotations": [1]}])),
        ),
    ],
)
def test_what_no_server_takes_back_is_left_out(value: Any, expected: Any) -> None:
    assert kept(value, message()) == [expected, without(message())]


@pytest.mark.parametrize(
    "values",
    [
        (),
        (message(),),
        (message(status="completed"), CALL),
        (message(""), CALL),
        ({"type": "reasoning", "id": "rs_1", "summary": [{"text": "x"}]}, message()),
        (REASONING,),
        (message(), REASONING),
    ],
)
def test_nothing_is_kept_if_the_message_says_as_much(values: Any) -> None:
    assert kept(*values) is None


@pytest.mark.parametrize(
    "value",
    [
        message(phase="final_answer"),
        message(content=[{"type": "refusal", "refusal": "No."}]),
        message(content=[{"type": "output_text", "text": "x", "annotations": [{"url": "y"}]}]),
        {**CALL, "namespace": "n"},
        SEARCH,
    ],
)
def test_what_only_the_item_says_is_kept(value: Any) -> None:
    assert kept(value) == [without(value)]


def test_an_id_is_enough_where_the_server_stored_the_response() -> None:
    bare = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert kept(bare, message(), stored=True) == [bare, message()]


@pytest.mark.parametrize(
    "odd", [{"x": 2**60}, {"x": float("nan")}, {"x": "\ud83d"}, {"x": "a" * (5 << 20)}]
)
def test_what_is_no_json_for_everybody_or_too_large_is_not_kept(odd: dict[str, Any]) -> None:
    assert kept({**SEARCH, **odd}) is None


def test_items_that_never_came_whole_are_made_of_what_was_said() -> None:
    said, thought = Item("message"), Item("reasoning")
    said.say("message", 0, "Hi")
    thought.say("thought", 0, "Hm")
    call = Item("function_call", call_id="c", name="f")
    call.arguments.add("{")
    assert kept_state([thought, said, call, Item("reasoning"), Item("message")], stored=False) == {
        "output": [
            {
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "Hm"}],
            },
            {**without(message()), "status": "completed"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"},
        ]
    }


STATE = {"output": [REASONING, message(), CALL]}
ANSWER = AssistantMessage("Hi", (ToolRequest("c-2", "f", {"a": 1}),))


def test_what_comes_back() -> None:
    call = {**CALL, "call_id": "<c-2>"}
    assert back(STATE, ANSWER, stored=True) == [REASONING, message(), call]
    assert back(STATE, ANSWER) == list(map(without, (REASONING, message(), call)))
    assert json.dumps(STATE) == json.dumps({"output": [REASONING, message(), CALL]}), "unchanged"


@pytest.mark.parametrize(
    "answer",
    [
        AssistantMessage("Ho", ANSWER.tool_calls),
        AssistantMessage("Hi"),
        AssistantMessage("Hi", ANSWER.tool_calls * 2),
        AssistantMessage("Hi", (ToolRequest("c-2", "g", {"a": 1}),)),
        AssistantMessage("Hi", (ToolRequest("c-2", "f", {"a": 2}),)),
    ],
)
def test_who_changed_the_message_meant_it(answer: AssistantMessage) -> None:
    assert back(STATE, answer) is None


@pytest.mark.parametrize("state", [None, {}, [], "x", {"output": None}, {"output": ["x"]}])
def test_what_is_no_state(state: Any) -> None:
    assert back(state, ANSWER) is None


@pytest.mark.parametrize(
    ("arguments", "value", "sent"),
    [
        ('{"a": 1}', {"a": 1}, '{"a": 1}'),
        ("", {}, "{}"),
        ("null", {}, "{}"),
        ('"{\\"a\\": 1}"', {"a": 1}, '{"a":1}'),
        ("{broken", "{broken", '{"invalid":"{broken"}'),
        ("[1]", [1], '{"invalid":[1]}'),
    ],
)
def test_arguments_go_back_as_an_object(arguments: str, value: Any, sent: str) -> None:
    state = {"output": [REASONING, {**CALL, "arguments": arguments}]}
    items = back(state, AssistantMessage("", (ToolRequest("c", "f", value),)))
    assert items is not None
    assert items[-1]["arguments"] == sent


def test_a_name_goes_back_in_a_form_that_is_taken() -> None:
    state = {"output": [REASONING, {**CALL, "name": "f<|x|>"}]}
    items = back(state, AssistantMessage("", (ToolRequest("c", "f<|x|>", {"a": 1}),)))
    assert items[-1]["name"] == "f__x__"


def test_the_nth_call_of_the_message_is_the_nth_that_was_kept() -> None:
    state = {"output": [REASONING, CALL, {**REASONING, "id": "rs_2"}, CALL]}
    calls = tuple(ToolRequest(id_, "f", {"a": 1}) for id_ in ("x", "y"))
    items = back(state, AssistantMessage("", calls))
    assert [item.get("call_id") for item in items] == [None, "<x>", None, "<y>"]


def test_reasoning_that_can_not_be_looked_up_is_left_out() -> None:
    bare = {"type": "reasoning", "id": "rs_1", "summary": []}
    state = {"output": [bare, message()]}
    assert back(state, AssistantMessage("Hi")) == [without(message())]
    assert back(state, AssistantMessage("Hi"), stored=True) == [bare, message()]


def shaped(*values: dict[str, Any], final: str | None = None) -> Any:
    items = [Item(kind_of(value), value=value) for value in values]
    for item, value in zip(items, values, strict=True):
        if item.kind == "function_call":
            item.name = value["name"]
            item.arguments.add(value["arguments"])
    return kept_state(items, stored=False, shaped=True, final_tool=final)


THOUGHT = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}


def function(name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": name, "name": name, "arguments": arguments}


@pytest.mark.parametrize("text", ["{1}", "1"])
def test_the_text_of_a_shape_is_that_of_the_message(text: str) -> None:
    state = shaped(THOUGHT, message("So: "), THOUGHT, message("{1}"))
    content = f"So: {text}" if text == "{1}" else text
    items = back(state, AssistantMessage(content))
    said = "".join(part["text"] for each in items for part in each.get("content", ()))
    assert said == content
    assert [each["type"] for each in items if each["type"] == "reasoning"] == ["reasoning"] * 2


def test_the_call_of_the_final_tool_goes_back_as_text_where_it_was() -> None:
    calls = (THOUGHT, function("final", "{1}"), function("f", "{}"), function("final", "{2}"))
    state = shaped(*calls, final="final")
    items = back(state, AssistantMessage("{1}", (ToolRequest("f", "f", {}),)))
    assert [each["type"] for each in items] == ["reasoning", "message", "function_call"]
    assert items[1]["content"][0]["text"] == "{1}"
    assert back(state, AssistantMessage("{1}")) is None
    assert shaped(*calls[1:], final="final") is None


def test_a_text_of_a_shape_that_was_nowhere_loses_the_state() -> None:
    state = shaped(THOUGHT, function("f", "{}"))
    assert back(state, AssistantMessage("1", (ToolRequest("f", "f", {}),))) is None
