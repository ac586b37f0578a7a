"""What of an answer goes back as it came: thinking with its signatures, and what servers did.

Most answers are text and calls, which a transcript has anyway: nothing is kept of them. Else all
blocks are kept in their order, but calls without ids, which may have been renamed since: the n-th
belongs to the n-th of the message. A signature is good for the model that gave it only. An answer
that has a shape was unwrapped before it became the text of its message, which stands where it was
said.

Source: Anthropic's documentation, "Extended thinking" (preserving thinking blocks), "Server
tools".
"""

from collections.abc import Mapping
from typing import Any

from ..._log.plain import plain_json
from ..._messages import AssistantMessage

_THOUGHTS = ("thinking", "redacted_thinking")
_PLAIN = {"text": {"type", "text"}, "tool_use": {"type", "name", "input"}}
"""What a transcript has of a block, by the block's type."""


def keep(
    content: list[dict[str, Any]], model: str, container: str = "", *, shaped: bool = False
) -> dict[str, Any]:
    """Return what is to be kept of an answer's content: nothing if the transcript has it all.

    Args:
        content: the blocks.
        model: whose signatures these are.
        container: where the provider's servers keep what they work on, if they do.
        shaped: whether an answer that has a shape was asked for.
    """
    if not container and _is_plain(content, in_any_order=shaped):
        return {}
    while shaped and content and is_thought(content[-1]):
        content = content[:-1]  # the API wants no answer that ends with a thought
    try:
        content = plain_json(content, "an answer")
    except ValueError:
        return {}  # no log takes it
    kept: dict[str, Any] = {"model": model, "content": content}
    if container:
        kept["container"] = container
    return kept | {"shaped": True} if shaped else kept


def kept_blocks(message: AssistantMessage, origin: str, model: str) -> list[dict[str, Any]] | None:
    """Return the blocks that were kept of a message, the calls without ids and inputs.

    None if there are none, or if they say something else than the message: somebody changed it.

    Args:
        message: the answer.
        origin: the endpoint that will read them.
        model: whose signatures are good.
    """
    kept = message.provider.get(origin)
    content = kept.get("content") if isinstance(kept, Mapping) else None
    if not isinstance(kept, Mapping) or not isinstance(content, list):
        return None
    if not all(isinstance(block, Mapping) for block in content):
        return None
    if kept.get("shaped") is True and _text_of(content) != message.content:
        content = _saying(content, message.content)
    if not _fits(content, message):
        return None
    same_model = kept.get("model") == model
    return [dict(block) for block in content if same_model or block.get("type") not in _THOUGHTS]


def kept_container(message: AssistantMessage, origin: str) -> str:
    """Return the id of the container that an answer was given in, or an empty text."""
    kept = message.provider.get(origin)
    container = kept.get("container") if isinstance(kept, Mapping) else None
    return container if isinstance(container, str) else ""


def is_thought(block: Mapping[str, Any]) -> bool:
    """Whether a block is thinking, readable or not."""
    return block.get("type") in _THOUGHTS


def _is_plain(content: list[dict[str, Any]], *, in_any_order: bool) -> bool:
    types = [block.get("type") for block in content]
    in_order = types == sorted(types, key=lambda type_: type_ == "tool_use")
    return (in_order or in_any_order) and all(
        block.keys() <= _PLAIN.get(str(block.get("type")), set()) for block in content
    )


def _text_of(content: list[Mapping[str, Any]]) -> str:
    texts = [block.get("text") for block in content if block.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def _saying(content: list[Mapping[str, Any]], text: str) -> list[Mapping[str, Any]]:
    """Return the blocks with this text in the place of their last one, and no other."""
    places = [number for number, block in enumerate(content) if block.get("type") == "text"]
    if not places:
        return content
    before = [block for block in content[: places[-1]] if block.get("type") != "text"]
    return [*before, {"type": "text", "text": text}, *content[places[-1] + 1 :]]


def _fits(content: list[Mapping[str, Any]], message: AssistantMessage) -> bool:
    calls = [block for block in content if block.get("type") == "tool_use"]
    return (
        _text_of(content) == message.content
        and [block.get("name") for block in calls] == [call.name for call in message.tool_calls]
        and all(
            # What was no object when it came may have been read as one since.
            "input" not in block or block["input"] == call.input
            for block, call in zip(calls, message.tool_calls, strict=True)
        )
    )
