"""What a scripted Responses provider says: events with their numbers, and items with their ids.

Source: the OpenAI API reference, "Responses", "Streaming events".
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, TypeAlias

import attrs

from ..wire._sse import format_sse
from ._scripted_server import Step

Item: TypeAlias = dict[str, Any]


@attrs.define(eq=False)
class Ledger:
    """What a provider gave so far, by which it knows what comes back."""

    stored: dict[str, Item] = attrs.field(factory=dict)
    """Items that it stored, by their ids."""
    reasoning_before: dict[str, str] = attrs.field(factory=dict)
    """The id of the reasoning that led to an item that it stored, by that item's."""
    encrypted: set[str] = attrs.field(factory=set)
    """All encrypted content that it gave."""
    _numbers: Iterator[int] = attrs.field(factory=lambda: count(1))

    def new_id(self, prefix: str) -> str:
        """Make an id that nothing has yet."""
        return f"{prefix}_{next(self._numbers):032x}"

    def seal(self) -> str:
        """Make encrypted content."""
        sealed = f"gAAAAABscripted{next(self._numbers):017x}"
        self.encrypted.add(sealed)
        return sealed


class Writer:
    """Writes the events of one answer.

    Args:
        request: the body of the request that is answered.
        ledger: keeps what is given.
    """

    def __init__(self, request: Mapping[str, Any], ledger: Ledger) -> None:
        self.request = request
        self.output: list[Item] = []
        """The items that are done."""
        self._ledger = ledger
        self._sequence = count()
        self._index = 0
        self._id = ledger.new_id("resp")
        self._has_begun = False

    @property
    def stores(self) -> bool:
        """Whether the provider was told to keep the response, as it does by default."""
        return self.request.get("store") is not False

    def begin(self) -> bytes:
        """Write what is before everything else, once."""
        if self._has_begun:
            return b""
        self._has_begun = True
        return b"".join(
            self.event(f"response.{type_}", response=self.response("in_progress", output=[]))
            for type_ in ("created", "in_progress")
        )

    def event(self, type_: str, **fields: Any) -> bytes:
        """Write one event."""
        value = {"type": type_, "sequence_number": next(self._sequence), **fields}
        return format_sse(json.dumps(value), event=type_)

    def response(self, status: str, **fields: Any) -> dict[str, Any]:
        """Make the response as a whole."""
        return {
            "id": self._id,
            "object": "response",
            "created_at": 0,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self.request.get("model"),
            "output": self.output,
            "parallel_tool_calls": self.request.get("parallel_tool_calls", True),
            "tool_choice": self.request.get("tool_choice", "auto"),
            "tools": self.request.get("tools", []),
            "store": self.stores,
            "usage": None,
            **fields,
        }

    def sealed(self) -> dict[str, str]:
        """Return the encrypted content of a reasoning item, if it was asked for."""
        asked = "reasoning.encrypted_content" in (self.request.get("include") or ())
        return {"encrypted_content": self._ledger.seal()} if asked else {}

    def add(self, item: Item, prefix: str) -> tuple[Item, dict[str, Any], bytes]:
        """Begin an item: return it with its id, where it is, and its event."""
        item = {"id": self._ledger.new_id(prefix), **item}
        place = {"item_id": item["id"], "output_index": self._index}
        event = self.event("response.output_item.added", output_index=self._index, item=item)
        return item, place, event

    def end(self, item: Item) -> bytes:
        """End an item."""
        event = self.event("response.output_item.done", output_index=self._index, item=item)
        if self.stores:
            self._ledger.stored[item["id"]] = item
            before = self.output[-1] if self.output else {}
            if before.get("type") == "reasoning":
                self._ledger.reasoning_before[item["id"]] = before["id"]
        self.output.append(item)
        self._index += 1
        return event


@attrs.frozen
class Words:
    """A step that an answer writes when it comes to it: it has a place among the others."""

    write: Callable[[Writer], Iterator[Step]]
