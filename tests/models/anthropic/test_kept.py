"""What goes back as it came, and when it doesn't."""

from typing import Any

import msgspec
import pytest

from trio_agent._events import ToolRequest
from trio_agent._messages import AssistantMessage
from trio_agent.models.anthropic._kept import is_thought, keep, kept_blocks, kept_container

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}
TEXT = {"type": "text", "text": "a"}
USE = {"type": "tool_use", "name": "f", "input": {"x": 1}}
CONTENT: list[dict[str, Any]] = [THOUGHT, TEXT, USE, {"type": "tool_use", "name": "g"}]
MESSAGE = AssistantMessage(
    "a",
    (ToolRequest("1", "f", {"x": 1}), ToolRequest("2", "g", "{")),
    provider={"o": keep(CONTENT, "m", "c1")},
)


@pytest.mark.parametrize(
    ("content", "is_kept"),
    [
        ([], False),
        ([TEXT], False),
        ([TEXT, TEXT, USE, USE], False),
        ([USE, TEXT], True),
        ([THOUGHT, TEXT], True),
        ([TEXT | {"citations": [1]}], True),
        ([USE | {"caller": {"type": "direct"}}], True),
        ([{"type": "news"}], True),
    ],
)
def test_what_a_transcript_has_is_not_kept(content: list[Any], is_kept: bool) -> None:
    assert keep(content, "m") == ({"model": "m", "content": content} if is_kept else {})


def deep() -> Any:
    value: Any = []
    for _ in range(200):
        value = [value]
    return value


@pytest.mark.parametrize("value", [deep(), "\ud800", float("nan"), 2**70])
def test_what_no_log_takes_is_not_kept(value: Any) -> None:
    assert keep([THOUGHT, {"type": "news", "value": value}], "m") == {}


def test_a_container_is_kept_with_whatever_was_said_in_it() -> None:
    assert keep([TEXT], "m", "c1") == {"model": "m", "content": [TEXT], "container": "c1"}
    assert kept_container(MESSAGE, "o") == "c1"
    assert kept_container(MESSAGE, "p") == ""


def test_it_is_found_by_endpoint_and_thoughts_by_model() -> None:
    assert kept_blocks(MESSAGE, "o", "m") == CONTENT
    assert kept_blocks(MESSAGE, "o", "n") == CONTENT[1:]
    assert kept_blocks(MESSAGE, "p", "m") is None


def changed(**fields: Any) -> AssistantMessage:
    return msgspec.structs.replace(MESSAGE, **fields)


@pytest.mark.parametrize(
    "message",
    [
        changed(content="b"),
        changed(content=""),
        changed(tool_calls=()),
        changed(tool_calls=MESSAGE.tool_calls[:1]),
        changed(tool_calls=MESSAGE.tool_calls[::-1]),
        changed(tool_calls=(*MESSAGE.tool_calls, ToolRequest("3", "h", {}))),
        changed(tool_calls=(ToolRequest("1", "f", {"x": 2}), MESSAGE.tool_calls[1])),
        changed(tool_calls=(ToolRequest("1", "h", {"x": 1}), MESSAGE.tool_calls[1])),
    ],
)
def test_who_changes_a_message_loses_it(message: AssistantMessage) -> None:
    assert kept_blocks(message, "o", "m") is None


def test_ids_may_be_renamed() -> None:
    calls = [msgspec.structs.replace(each, id=f"new-{each.id}") for each in MESSAGE.tool_calls]
    assert kept_blocks(changed(tool_calls=tuple(calls)), "o", "m") == CONTENT


@pytest.mark.parametrize(
    "value", [None, [], "x", {"content": None}, {"content": ["x"]}, {"content": {}}]
)
def test_what_has_another_form_is_not_used(value: Any) -> None:
    message = changed(provider={"o": value})
    assert kept_blocks(message, "o", "m") is None
    assert kept_container(message, "o") == ""


def test_thoughts() -> None:
    assert [is_thought({"type": name}) for name in ("thinking", "redacted_thinking", "text")] == [
        True, True, False,
    ]  # fmt: skip


def shaped(text: str, *types: str) -> list[dict[str, Any]]:
    kinds: dict[str, dict[str, Any]] = {
        "thinking": {"type": "thinking", "thinking": "hm", "signature": "s"},
        "text": {"type": "text", "text": text},
        "said": {"type": "text", "text": "So: "},
        "tool_use": {"type": "tool_use", "name": "f", "input": {}},
    }
    return [kinds[each] for each in types]


CALLED = (ToolRequest("1", "f", {}),)


@pytest.mark.parametrize(
    ("kept", "content", "calls", "back"),
    [
        (("thinking", "text"), "{1}", (), ("thinking", "text")),
        (("thinking", "text"), "1", (), ("thinking", "text")),
        (("said", "thinking", "text"), "So: {1}", (), ("said", "thinking", "text")),
        (("said", "thinking", "text"), "So: 1", (), ("thinking", "text")),
        (("thinking", "tool_use", "text"), "1", CALLED, ("thinking", "tool_use", "text")),
        (("thinking", "text", "tool_use"), "1", CALLED, ("thinking", "text", "tool_use")),
        (("thinking", "text", "thinking"), "1", (), ("thinking", "text")),
    ],
)
def test_the_text_of_a_shape_is_that_of_the_message(
    kept: Any, content: str, calls: Any, back: Any
) -> None:
    provider = {"o": keep(shaped("{1}", *kept), "m", shaped=True)}
    message = AssistantMessage(content, calls, provider=provider)
    text = "{1}" if content.endswith("{1}") else content
    assert kept_blocks(message, "o", "m") == shaped(text, *back)


@pytest.mark.parametrize("calls", [(), (*CALLED, *CALLED), (ToolRequest("1", "g", {}),)])
def test_who_changes_the_calls_beside_a_shape_loses_it(calls: Any) -> None:
    kept = keep(shaped("{1}", "thinking", "text", "tool_use"), "m", shaped=True)
    assert kept_blocks(AssistantMessage("1", calls, provider={"o": kept}), "o", "m") is None


def test_a_text_that_was_nowhere_loses_it() -> None:
    kept = keep(shaped("", "thinking", "tool_use"), "m", shaped=True)
    message = AssistantMessage("1", CALLED, provider={"o": kept})
    assert kept_blocks(message, "o", "m") is None


def test_text_and_calls_of_a_shape_are_not_kept_in_any_order() -> None:
    assert keep(shaped("1", "tool_use", "text"), "m", shaped=True) == {}
    assert keep(shaped("1", "tool_use", "text"), "m") != {}
