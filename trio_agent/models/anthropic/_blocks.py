"""The content of one answer: blocks of text, thinking, calls, and whatever else there may be.

The index tells which block a delta belongs to, but not every gateway counts: without one, or with
one that no block has, it is the newest block. A delta of another kind than its block begins one
of its own. Ids of calls may be missing, blank or doubled; those that go out are unique.
"""

import json
from typing import Any, Final

from .._parts import (
    MAX_CALLS,
    ModelPart,
    OutputPart,
    ReasoningPart,
    TextPart,
    ToolInputPart,
)
from .._provider._errors import bad_response
from .._provider._loose import text_or_none, word
from .._provider._unique_ids import UniqueIds
from ._block import Block, Call
from ._event import Delta

_MAX_BLOCKS: Final = 4096
_MAX_KEPT: Final = 32 << 20
"""Characters of what is kept for the provider and given on to nobody."""


class Blocks:
    """Puts blocks together.

    Args:
        text: what the text of the answer is given on as.
        final_tool: the tool whose input is the answer, if there is one.
    """

    def __init__(
        self,
        *,
        text: type[TextPart | OutputPart] = TextPart,
        final_tool: str | None = None,
    ) -> None:
        self._text = text
        self._final_tool = final_tool
        self._blocks: list[Block] = []
        self._slots: dict[int, Block] = {}
        self._caller: Block | None = None
        """The newest that takes input."""
        self._ids = UniqueIds()
        self._calls = 0
        self._kept = 0

    @property
    def calls_tools(self) -> bool:
        """Whether the model called a tool of ours, or the final one."""
        return self._calls > 0

    @property
    def calls_others(self) -> bool:
        """Whether the model called another tool than the final one."""
        calls = (each.call for each in self._blocks if each.call is not None)
        return any(call.name != self._final_tool for call in calls)

    @property
    def are_whole(self) -> bool:
        """Whether nothing of any call is missing."""
        return all(each.call is None or each.call.arguments.is_json() for each in self._blocks)

    def start(self, index: int | None, value: dict[str, Any], parts: list[ModelPart]) -> None:
        """Begin a block.

        Raises:
            ModelError: `bad-response`: there are too many, or a call has no name.
        """
        if index is None:
            index = self._next()
        elif self._is_repeated(index, value):
            return
        self._begin(index, value, parts)

    def add(self, index: int | None, delta: Delta, parts: list[ModelPart]) -> None:
        """Take what is new in a block.

        Raises:
            ModelError: `bad-response`: it is too much, or input without a call.
        """
        if delta.text:
            self._of("text", index, parts).grow("text", delta.text)
            parts.append(self._text(delta.text))
        if delta.thinking:
            self._of("thinking", index, parts).grow("thinking", delta.thinking)
            parts.append(ReasoningPart(delta.thinking))
        if delta.partial_json:
            self._input(index, delta.partial_json, parts)
        if delta.signature:
            self._keep(delta.signature)
            self._of("thinking", index, parts).grow("signature", delta.signature)
        if delta.citation:
            self._keep(delta.citation)
            self._of("text", index, parts).add_citation(delta.citation)
        if delta.other and (block := self._at(index)):
            self._keep(delta.other)
            block.add_unknown(delta.other)

    def stop(self, index: int | None, parts: list[ModelPart]) -> None:
        """End a block."""
        if block := self._at(index):
            _end(block, parts)

    def end(self, parts: list[ModelPart]) -> None:
        """End all blocks."""
        for block in self._blocks:
            _end(block, parts)

    def go_on(self) -> None:
        """What comes next is another response, which counts from zero."""
        self._slots.clear()

    def content(self) -> list[dict[str, Any]]:
        """Return all blocks as the provider's API takes them; calls without their ids.

        The first call of the final tool is the text of its input, others are left out.
        """
        content: list[dict[str, Any]] = []
        is_given = False
        for each in self._blocks:
            block = each.written()
            if each.call is not None and each.call.name == self._final_tool:
                block = None if is_given else {"type": "text", "text": each.call.arguments.text}
                is_given = True
            if block is not None:
                content.append(block)
        return content

    def _begin(self, index: int, value: dict[str, Any], parts: list[ModelPart]) -> Block:
        if len(self._blocks) == _MAX_BLOCKS:
            raise bad_response(f"the answer has more than {_MAX_BLOCKS} content blocks")
        fields = dict(value)
        block = Block(fields)
        if block.type in ("text", "thinking"):
            if text := text_or_none(fields.pop(block.type, None)):
                block.grow(block.type, text)
                parts.append(self._text(text) if block.type == "text" else ReasoningPart(text))
        elif block.type == "tool_use":
            block.call = self._open(fields, parts)
        self._keep(fields)
        self._slots[index] = block
        self._blocks.append(block)
        if block.takes_input:
            self._caller = block
        return block

    def _open(self, fields: dict[str, Any], parts: list[ModelPart]) -> Call:
        said_id = (word(fields.pop("id", None)) or "").strip()
        name = (word(fields.pop("name", None)) or "").strip()
        whole = fields.pop("input", None)
        if not name:
            raise bad_response("a tool call has no name")
        if self._calls == MAX_CALLS:
            raise bad_response(f"the model called more than {MAX_CALLS} tools at once")
        id_ = self._ids.take(said_id or f"call_{self._calls}")
        self._calls += 1
        parts.append(ToolInputPart(id_, name, ""))
        text = whole if isinstance(whole, str) else json.dumps(whole) if whole else ""
        return Call(id_, said_id, name, text)

    def _is_repeated(self, index: int, value: dict[str, Any]) -> bool:
        """Whether the begin of a call is only said once more."""
        block = self._slots.get(index)
        if block is None or block.call is None or value.get("type") != "tool_use":
            return False
        said_id = (word(value.get("id")) or "").strip()
        return bool(said_id) and said_id == block.call.said_id and block.call.arguments.is_empty

    def _next(self) -> int:
        return max(self._slots, default=-1) + 1

    def _at(self, index: int | None) -> Block | None:
        if index in self._slots:
            return self._slots[index]
        return self._blocks[-1] if self._slots else None

    def _of(self, type_: str, index: int | None, parts: list[ModelPart]) -> Block:
        """Return the block at an index, or a new one there if that is of another type."""
        block = self._at(index)
        if block is not None and block.type == type_:
            return block
        return self._begin(self._next() if index is None else index, {"type": type_}, parts)

    def _input(self, index: int | None, text: str, parts: list[ModelPart]) -> None:
        block = self._at(index)
        if block is None or not block.takes_input:
            if text.isspace():
                return
            block = self._caller
        if block is None:
            raise bad_response("the input of a tool call comes without its name")
        if (call := block.call) is None:
            self._keep(text)
            block.add_input(text)
        elif delta := call.add(text):
            parts.append(ToolInputPart(call.id, call.name, delta))

    def _keep(self, value: Any) -> None:
        self._kept += _size(value)
        if self._kept > _MAX_KEPT:
            raise bad_response("the answer has too much that is only for the provider")


def _end(block: Block, parts: list[ModelPart]) -> None:
    if (call := block.call) is not None and (text := call.end()):
        parts.append(ToolInputPart(call.id, call.name, text))


def _size(value: Any) -> int:
    """Characters of a JSON value, roughly."""
    size, left = 0, [value]
    while left:
        item = left.pop()
        size += len(item) if isinstance(item, str) else 8
        if isinstance(item, dict):
            left += [*item, *item.values()]
        elif isinstance(item, list):
            left += item
    return size
