"""Chunks that are not written to the letter, as the chunks that they mean.

The slow path, for what `decode_chunk` refuses. Where a value has another type than it should:

- a field that the answer can do without is left out;
- a count or an index may be text or a whole float (`"7"`, `7.0`);
- text may be a number, a list of parts or an object that holds it;
- a list may be its only item;
- arguments may be an object instead of its JSON text;
- JSON may hold NaN, halves of surrogate pairs and control characters.

What the answer can't do without and what has no single meaning is a `ValueError`.
"""

from typing import Any

import msgspec

from .._provider._loose import (
    arguments_or_none,
    count,
    items,
    text_or_none,
    word,
)
from ._chunk import NOTHING, Choice, Chunk, Counts, Delta, Details, Function, Groq, ToolCall

_COUNTED = [name for name in Counts.__struct_fields__ if not name.endswith("_details")]
_TEXT_PARTS = frozenset({None, "text", "output_text", "refusal"})
_NO_ANSWER = frozenset({"reference", "image_url"})
_REASONING_PARTS = frozenset({"thinking", "reasoning", "reasoning_text", "summary_text"})


def read_chunk(value: dict[str, Any], *, whole: bool = False) -> Chunk:
    """Make the chunk that a JSON object means.

    Args:
        value: as `parse_json` returns it.
        whole: whether a `message` is the answer where there is no `delta`, as in the body of a
            completion that isn't streamed.

    Raises:
        ValueError: it can't be told what is meant.
    """
    choices = items(value.get("choices"))
    return Chunk(
        [_choice(each, whole) for each in choices if isinstance(each, dict)],
        _counts(value.get("usage")),
        x_groq=_groq(value.get("x_groq")),
    )


def _groq(value: Any) -> Groq | None:
    if not isinstance(value, dict):
        return None
    return Groq(_counts(value.get("usage")), text_or_none(value.get("error")))


def _choice(value: dict[str, Any], whole: bool) -> Choice:
    delta = value.get("delta")
    if whole and not delta:
        delta = value.get("message")
    if not delta:
        delta = value.get("text")  # as it was before there were chats
    return Choice(
        count(value.get("index")) or 0,
        _delta(delta),
        _finish_reason(value.get("finish_reason")),
        _counts(value.get("usage")),
    )


def _delta(value: Any) -> Delta:
    if isinstance(value, str):
        return Delta(content=value)
    if not isinstance(value, dict):
        return Delta()
    content, thoughts, part_type = _content(value.get("content"))
    return Delta(
        content,
        text_or_none(value.get("refusal")),
        text_or_none(value.get("reasoning_content")),
        text_or_none(value.get("reasoning")),
        [_tool_call(each) for each in items(value.get("tool_calls")) if each],
        _function(value["function_call"]) if value.get("function_call") else None,
        text_or_none(value.get("reasoning_text")),
        text_or_none(value.get("thinking")),
        thoughts or None,
        part_type,
        _raw(value.get("reasoning_details")),
        text_or_none(value.get("reasoning_opaque")),
        _raw(value.get("extra_content")),
    )


def _content(value: Any) -> tuple[str, str, str | None]:
    """Text, reasoning, and the type of its parts. Images and references are no part of the answer.

    Parts of other types that have a text are text.
    """
    text = thoughts = ""
    thinking: str | None = None
    for part in items(value):
        if isinstance(part, dict) and part.get("text", part) is None:
            continue
        type_ = part.get("type") if isinstance(part, dict) else "text"
        type_ = type_ if isinstance(type_, str) else None
        if type_ in _REASONING_PARTS:
            thinking = type_
            thoughts += text_or_none(part) or ""
        elif type_ in _TEXT_PARTS:
            text += _text(part)
        elif type_ not in _NO_ANSWER and isinstance(part.get("text"), str):
            text += part["text"]
    return text, thoughts, thinking


def _text(value: Any) -> str:
    """The text that is meant.

    Raises:
        ValueError: it can't be told.
    """
    text = text_or_none(value)
    if text is None and value:
        raise ValueError("there is no text in what should be text")
    return text or ""


def _tool_call(value: Any) -> ToolCall:
    if not isinstance(value, dict):
        raise ValueError("a tool call is no object")
    # Some write name and arguments without a `function` around them.
    function = value.get("function") or value
    return ToolCall(
        count(value.get("index")),
        word(value.get("id")),
        _function(function),
        _raw(value.get("extra_content")),
    )


def _function(value: Any) -> Function:
    if not isinstance(value, dict):
        raise ValueError("the function of a tool call is no object")
    return Function(word(value.get("name")), arguments_or_none(value.get("arguments")))


def _finish_reason(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    return str(value) if value else None


def _counts(value: Any) -> Counts | None:
    if not isinstance(value, dict):
        return None
    counts = Counts()
    for name in _COUNTED:
        setattr(counts, name, count(value.get(name)))
    counts.prompt_tokens_details = _details(value.get("prompt_tokens_details"))
    counts.completion_tokens_details = _details(value.get("completion_tokens_details"))
    return counts


def _details(value: Any) -> Details | None:
    if not isinstance(value, dict):
        return None
    return Details(count(value.get("cached_tokens")), count(value.get("reasoning_tokens")))


def _raw(value: Any) -> msgspec.Raw:
    """What is only kept. What has no JSON form of ours can't come back."""
    try:
        return msgspec.Raw(msgspec.json.encode(value)) if value else NOTHING
    except ValueError:
        return NOTHING
